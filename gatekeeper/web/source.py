"""Where a request comes from, as far as an acceptance remembers it."""

from gatekeeper.licensing import Source
from gatekeeper.web.guard import Call


def source_of(call: Call) -> Source:
    """The network and the program of this request."""
    client = call.request.client
    return Source.of(client.host if client else "", call.request.headers.get("user-agent", ""))
