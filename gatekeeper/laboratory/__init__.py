"""The laboratory: evaluations carried out, with the inference process and under the policies in force.

`begin` and `contest` start a run of a grid or a set of prompts; `carry_on` does a part of it, a job: its images are
orders on the same way as everybody's, and once all are there what they show is read, counted and signed. What a run is,
how it is measured and what its reports say is told by the room `evaluation`.
"""

from gatekeeper.laboratory.attached import health_of
from gatekeeper.laboratory.beginning import Wanted, begin, contest
from gatekeeper.laboratory.equipment import Equipment
from gatekeeper.laboratory.making import carry_on

__all__ = ["Equipment", "Wanted", "begin", "carry_on", "contest", "health_of"]
