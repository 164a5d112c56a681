"""What a decision says, as values that explain themselves."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gatekeeper.authz.resource import Revision


class Code(StrEnum):
    """Why not. Stable names that clients branch on: new ones are added, none is renamed."""

    SIGN_IN_REQUIRED = "sign_in_required"
    ACCOUNT_DISABLED = "account_disabled"
    TOKEN_SCOPE_MISSING = "token_scope_missing"  # noqa: S105 (a code, no password)
    TOKEN_REACH_MISSING = "token_reach_missing"  # noqa: S105
    TOKEN_NOT_APPROVED = "token_not_approved"  # noqa: S105
    PERSON_REQUIRED = "person_required"
    SESSION_REQUIRED = "session_required"
    WITHDRAWN = "withdrawn"
    HELD = "held"
    EMBARGOED = "embargoed"
    TERMS_NOT_ACCEPTED = "terms_not_accepted"
    TERMS_CHANGED = "terms_changed"
    TERMS_WITHDRAWN = "terms_withdrawn"
    TERMS_MISSING = "terms_missing"
    ACCESS_NOT_REQUESTED = "access_not_requested"
    REQUEST_PENDING = "request_pending"
    REQUEST_RETURNED = "request_returned"
    APPROVAL_INCOMPLETE = "approval_incomplete"
    REQUEST_REJECTED = "request_rejected"
    ACCESS_REVOKED = "access_revoked"
    ACCESS_SUSPENDED = "access_suspended"
    ACCESS_EXPIRED = "access_expired"
    PREREQUISITE_MISSING = "prerequisite_missing"
    INSTITUTION_NEEDED = "institution_needed"
    PURPOSE_NEEDED = "purpose_needed"
    TESTERS_ONLY = "testers_only"
    MEMBERS_ONLY = "members_only"
    OWNERS_ONLY = "owners_only"
    MAINTAINERS_ONLY = "maintainers_only"
    ADMINS_ONLY = "admins_only"
    LICENSE_FORBIDS = "license_forbids"
    NOT_AT_THIS_STAGE = "not_at_this_stage"
    POLICY_ERROR = "policy_error"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Yes, by `policies`. Time alone can change the answer at `valid_until` (None: never).

    revision     the one the answer is about
    terms_until  the terms have changed; an acceptance of earlier ones opens this until then, and must be renewed
    """

    policies: tuple[str, ...]
    valid_until: datetime | None = None
    revision: Revision | None = None
    terms_until: datetime | None = None

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Denied:
    """No, because of `code`; `rules` are the policies that forbid it, empty where simply none allows it.

    reason, next_step  sentences for the person who is refused
    hides              the repository's existence must not be told either
    hides_revision     the repository may be known, but not this revision of it
    """

    code: Code
    rules: tuple[str, ...]
    reason: str
    next_step: str
    hides: bool = False
    hides_revision: bool = False
    valid_until: datetime | None = None
    revision: Revision | None = None

    def __bool__(self) -> bool:
        return False


Decision = Allowed | Denied
