"""Requests for access, what is said about them, and the grants that enforcement reads."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.personal import PersonalJson, PersonalText


class RequestState(StrEnum):
    """States in which a request can rest; the values are stored for good, new ones are added."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    RETURNED = "returned"
    REFERRED = "referred"
    AWAITING_TERMS = "awaiting_terms"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    CLOSED = "closed"
    EXPIRED = "expired"


# INVARIANT: the partial unique index below names the same states.
OPEN = (
    RequestState.DRAFT,
    RequestState.IN_REVIEW,
    RequestState.RETURNED,
    RequestState.REFERRED,
    RequestState.AWAITING_TERMS,
)
_IS_OPEN = "state IN ('draft', 'in_review', 'returned', 'referred', 'awaiting_terms')"


class CloseOut(StrEnum):
    """What a person says about their copies once access is over."""

    DELETED = "deleted"
    STILL_NEEDED = "still_needed"
    NEVER_DOWNLOADED = "never_downloaded"


class AccessRequest(SQLModel, table=True):
    """One person asking for one repository. At most one is open for a pair (partial unique index).

    round             raised whenever review starts anew: voices of earlier rounds do not count
    draft             answers of a returned request that are not sent yet; reviewers go on reading `fields`
    required          kinds of prerequisites that the stage demanded when it was asked for
    approved_ends_at  the end decided on, for the grant that activation makes; also is_tester and conditions
    barred_id         who decided what was appealed against, and therefore does not decide again
    """

    __tablename__ = "access_request"
    __table_args__ = (
        sa.Index(
            "uq_access_request_open",
            "repo_id",
            "person_id",
            unique=True,
            sqlite_where=sa.text(_IS_OPEN),
            postgresql_where=sa.text(_IS_OPEN),
        ),
        sa.Index("ix_access_request_state_id", "state", "id"),  # in the order of the queue
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    state: RequestState = Field(default=RequestState.IN_REVIEW, sa_type=EnumText(RequestState))
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=PersonalJson)
    draft: dict[str, Any] = Field(default_factory=dict, sa_type=PersonalJson)
    bundle_sha256: str | None = Field(default=None, max_length=64)
    form_sha256: str | None = Field(default=None, max_length=64)
    submitted_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    waiting_since: datetime | None = Field(default=None, sa_type=UtcDateTime)  # start of the present round
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decided_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    reason: str = Field(default="", sa_type=PersonalText)
    reason_code: str = Field(default="", max_length=40)
    reapply_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    is_direct: bool = Field(default=False)  # a maintainer gave access without being asked
    queue: str = Field(default="general", max_length=40)
    is_flagged: bool = Field(default=False)
    screened: list[str] = Field(default_factory=list, sa_type=sa.JSON)  # ids of the rules that spoke
    claimed_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    referred_to: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    round: int = Field(default=1)
    approvals_needed: int = Field(default=1)
    required: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    grant_days: int = Field(default=0)  # what the stage proposes; 0: no end
    approved_ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    is_tester: bool = Field(default=False)
    conditions: str = Field(default="", sa_type=PersonalText)
    conditions_accepted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    predecessor_id: str | None = Field(default=None, foreign_key="access_request.id", max_length=26)
    barred_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    appealed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    close_out: CloseOut | None = Field(default=None, sa_type=EnumText(CloseOut))
    version: int = Field(default=0)  # compared and raised by every transition, so that of two at once one wins


class AccessStep(SQLModel, table=True):
    """What happened to a request, with the words that evidence must not hold. `is_shown`: the applicant reads it."""

    __tablename__ = "access_step"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    request_id: str = Field(foreign_key="access_request.id", max_length=26, index=True)
    act: str = Field(max_length=40)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    actor_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    before: RequestState | None = Field(default=None, sa_type=EnumText(RequestState))
    after: RequestState = Field(sa_type=EnumText(RequestState))
    note: str = Field(default="", sa_type=PersonalText)
    data: dict[str, Any] = Field(default_factory=dict, sa_type=PersonalJson)
    is_shown: bool = Field(default=True)


class AccessVoice(SQLModel, table=True):
    """A reviewer's approval or vote in one round of a request. `speaker` is a person's id or `operator`."""

    __tablename__ = "access_voice"
    __table_args__ = (sa.UniqueConstraint("request_id", "round", "kind", "speaker"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    request_id: str = Field(foreign_key="access_request.id", max_length=26)
    round: int
    kind: str = Field(max_length=10)  # approval or vote
    speaker: str = Field(max_length=26)
    value: str = Field(max_length=10)  # yes, no or abstain
    note: str = Field(default="", sa_type=PersonalText)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class AccessGrant(SQLModel, table=True):
    """A right that was given. In force while neither revoked nor suspended and `now < ends_at`: compared when deciding,
    by no job."""

    __tablename__ = "access_grant"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    request_id: str | None = Field(default=None, foreign_key="access_request.id", max_length=26)
    is_tester: bool = Field(default=False)  # named for trusted_test
    granted_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    granted_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    suspended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoke_reason: str = Field(default="", sa_type=PersonalText)


class AccessBlock(SQLModel, table=True):
    """A person whose requests are not taken: for a repository, for an organization's, or (neither is named) for all."""

    __tablename__ = "access_block"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    repo_id: str | None = Field(default=None, foreign_key="repo.id", max_length=26)
    organization_id: str | None = Field(default=None, foreign_key="organization.id", max_length=26)
    reason: str = Field(sa_type=PersonalText)
    blocked_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    blocked_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    lifted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lifted_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)


class Prerequisite(SQLModel, table=True):
    """Something a person brings (training, credential, country), who vouched for it, and until when it counts.

    repo_id  where it counts; None: everywhere, vouched for by an administrator
    """

    __tablename__ = "prerequisite"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    repo_id: str | None = Field(default=None, foreign_key="repo.id", max_length=26)
    kind: str = Field(max_length=40)
    value: str = Field(default="", max_length=200)
    evidence: str = Field(sa_type=PersonalText)  # what was seen: a certificate's number, a register's entry
    set_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    set_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    withdrawn_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RepoRequirement(SQLModel, table=True):
    """A prerequisite that a repository demands; with `accepted`, only these values of it count."""

    __tablename__ = "repo_requirement"

    repo_id: str = Field(foreign_key="repo.id", primary_key=True, max_length=26)
    kind: str = Field(primary_key=True, max_length=40)
    accepted: list[str] = Field(default_factory=list, sa_type=sa.JSON)


class AnswerTemplate(SQLModel, table=True):
    """One version of an answer that reviewers start from; the newest one of an `id` is in force. Rows are only added.

    repo_id, organization_id  whose it is: one of them is set
    act                       reject, return, or approve: then it is its conditions
    text                      with placeholders, see `answers.PLACEHOLDERS`
    """

    __tablename__ = "answer_template"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    version: int = Field(default=1, primary_key=True)
    repo_id: str | None = Field(default=None, foreign_key="repo.id", max_length=26, index=True)
    organization_id: str | None = Field(default=None, foreign_key="organization.id", max_length=26, index=True)
    act: str = Field(max_length=10)
    title: str = Field(max_length=80)
    text: str = Field(max_length=2000)
    is_retired: bool = Field(default=False)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    made_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
