"""The door of the Hugging Face Hub: its unmodified clients meet the addresses, headers and JSON they know."""

from gatekeeper.web.hub import resolve
from gatekeeper.web.routing import RawRoute

ROUTES: list[RawRoute] = [*resolve.ROUTES]

__all__ = ["ROUTES"]
