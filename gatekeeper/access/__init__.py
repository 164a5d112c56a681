"""Access: requests, their review, and the grants that enforcement reads.

A request is a small machine (`moves`): every step compares and raises the request's version, so that of two decisions
at once one wins and the other is told what happened. A grant counts while it is not revoked and its end lies ahead,
compared at the instant of asking, so no job has to run for access to end. `projection` is the public hub's view.
"""

from gatekeeper.access.direct import grant_directly
from gatekeeper.access.grants import Standing, close, grant_in_force, latest_request, revoke, standing
from gatekeeper.access.moves import ACTS, Act
from gatekeeper.access.projection import (
    HubPage,
    HubRequest,
    HubStatus,
    grant_hub,
    handle_hub,
    hub_status,
    list_hub,
)
from gatekeeper.access.queue import Page, Row, count_waiting, requests_of, review_queue
from gatekeeper.access.requests import approve, cancel, get, is_gated, reject, submit, withdraw
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState

__all__ = [
    "ACTS",
    "AccessGrant",
    "AccessRequest",
    "Act",
    "HubPage",
    "HubRequest",
    "HubStatus",
    "Page",
    "RequestState",
    "Row",
    "Standing",
    "approve",
    "cancel",
    "close",
    "count_waiting",
    "get",
    "grant_directly",
    "grant_hub",
    "grant_in_force",
    "handle_hub",
    "hub_status",
    "is_gated",
    "latest_request",
    "list_hub",
    "reject",
    "requests_of",
    "review_queue",
    "revoke",
    "standing",
    "submit",
    "withdraw",
]
