"""What a hub tells everybody about its gate: sums over what is public, kept ready by a task, never about one person.

Callers write `refresh` and `newest`; `Refusals` counts what the decision denies while requests are answered.
"""

from gatekeeper.transparency.figures import refresh
from gatekeeper.transparency.refusals import Refusals, denials
from gatekeeper.transparency.report import FEWEST, Report, Share, newest

__all__ = ["FEWEST", "Refusals", "Report", "Share", "denials", "newest", "refresh"]
