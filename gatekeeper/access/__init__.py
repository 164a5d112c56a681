"""Access: requests, their review, and the grants that enforcement reads.

A request is a small machine (`moves`): every step compares and raises the request's version, so that of two decisions
at once one wins and the other is told what happened. A grant counts while it is neither revoked nor suspended and its
end lies ahead, compared at the instant of asking, so no job has to run for access to end. What reviewers can choose
from is data (`rules`). `projection` is the public hub's view.
"""

from gatekeeper.access.activation import activate_waiting, proposed_end, settle
from gatekeeper.access.afterwards import appeal, close_out, confirm
from gatekeeper.access.asking import OVERDUE, correct, get, save, submit, withdraw
from gatekeeper.access.blocks import block, blocks_of, get_block, is_blocked, unblock
from gatekeeper.access.bulk import MOST as MOST_AT_ONCE
from gatekeeper.access.bulk import Outcome, decide_many
from gatekeeper.access.deciding import add_terms, approvals, approve, cancel, reject, resume, suspend
from gatekeeper.access.direct import grant_directly
from gatekeeper.access.gate import AskRule, is_gated
from gatekeeper.access.grants import (
    EXPIRING,
    Standing,
    close,
    grant_in_force,
    grants_in_force,
    latest_request,
    open_grant_of,
    revoke,
    standing,
)
from gatekeeper.access.handling import (
    VOTES,
    answer,
    claim,
    delegate,
    give_back,
    recall,
    refer,
    route,
    unclaim,
    vote,
)
from gatekeeper.access.history import Told, history, voices
from gatekeeper.access.moves import ACTS, Act, digest_of_reason
from gatekeeper.access.prerequisites import (
    counts,
    get_prerequisite,
    lacking,
    no_longer_require,
    prerequisites_at,
    prerequisites_of,
    require,
    requirements_of,
    take_back,
)
from gatekeeper.access.projection import (
    HubPage,
    HubRequest,
    HubStatus,
    grant_hub,
    handle_hub,
    hub_status,
    list_hub,
)
from gatekeeper.access.queue import (
    MOST_COUNTED,
    Filter,
    Page,
    Row,
    asked_for_opinion,
    count_waiting,
    requests_of,
    review_queue,
    waiting_by_repo,
)
from gatekeeper.access.reminders import discard_drafts, tell_of_delay, tell_of_end
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import (
    OPEN,
    AccessBlock,
    AccessGrant,
    AccessRequest,
    AccessStep,
    CloseOut,
    Prerequisite,
    RepoRequirement,
    RequestState,
)
from gatekeeper.access.undoing import UNDO_WITHIN, undo, undo_until, was_undone
from gatekeeper.access.vouching import vouch
from gatekeeper.access.waiting import Age, age, asked_by_day, median_days

__all__ = [
    "ACTS",
    "EXPIRING",
    "MOST_AT_ONCE",
    "MOST_COUNTED",
    "OPEN",
    "OVERDUE",
    "UNDO_WITHIN",
    "VOTES",
    "AccessBlock",
    "AccessGrant",
    "AccessRequest",
    "AccessStep",
    "Act",
    "Age",
    "AskRule",
    "CloseOut",
    "Filter",
    "HubPage",
    "HubRequest",
    "HubStatus",
    "Outcome",
    "Page",
    "Prerequisite",
    "RepoRequirement",
    "RequestState",
    "Row",
    "Rules",
    "Standing",
    "Told",
    "activate_waiting",
    "add_terms",
    "age",
    "answer",
    "appeal",
    "approvals",
    "approve",
    "asked_by_day",
    "asked_for_opinion",
    "block",
    "blocks_of",
    "cancel",
    "claim",
    "close",
    "close_out",
    "confirm",
    "correct",
    "count_waiting",
    "counts",
    "decide_many",
    "delegate",
    "digest_of_reason",
    "discard_drafts",
    "get",
    "get_block",
    "get_prerequisite",
    "give_back",
    "grant_directly",
    "grant_hub",
    "grant_in_force",
    "grants_in_force",
    "handle_hub",
    "history",
    "hub_status",
    "is_blocked",
    "is_gated",
    "lacking",
    "latest_request",
    "list_hub",
    "median_days",
    "no_longer_require",
    "open_grant_of",
    "prerequisites_at",
    "prerequisites_of",
    "proposed_end",
    "recall",
    "refer",
    "reject",
    "requests_of",
    "require",
    "requirements_of",
    "resume",
    "review_queue",
    "revoke",
    "route",
    "save",
    "settle",
    "standing",
    "submit",
    "suspend",
    "take_back",
    "tell_of_delay",
    "tell_of_end",
    "unblock",
    "unclaim",
    "undo",
    "undo_until",
    "voices",
    "vote",
    "vouch",
    "waiting_by_repo",
    "was_undone",
    "withdraw",
]
