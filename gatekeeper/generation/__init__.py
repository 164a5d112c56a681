"""Orders to the inference process: admitted, carried out, recorded, and what they made."""

from gatekeeper.generation.client import Worker
from gatekeeper.generation.supervisor import Supervisor

__all__ = ["Supervisor", "Worker"]
