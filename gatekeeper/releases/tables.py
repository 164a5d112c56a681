"""Releases: which revision stands at which stage, and how it came there."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Stage(StrEnum):
    """The default ladder, lowest first."""

    DRAFT = "draft"
    INTERNAL = "internal"
    TRUSTED_TEST = "trusted_test"
    RESEARCH_PREVIEW = "research_preview"
    GATED = "gated"
    OPEN = "open"


class ProposalState(StrEnum):
    """Life of a promotion."""

    OPEN = "open"
    EFFECTIVE = "effective"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Act(StrEnum):
    """What a proposal would do. Stored for good: values are added, none is renamed."""

    PROMOTE = "promote"
    DEMOTE = "demote"
    WITHDRAW = "withdraw"
    EMBARGO = "embargo"  # to a later instant than was announced
    LIFT = "lift"  # the embargo ends before its instant


class Release(SQLModel, table=True):
    """One revision of one staged repository, bound to the digest of its files and of its terms."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("repo_id", "commit_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    commit_id: str = Field(max_length=40)
    manifest_sha256: str = Field(max_length=64)
    bundle_sha256: str | None = Field(default=None, max_length=64)
    stage: Stage = Field(default=Stage.DRAFT, sa_type=EnumText(Stage))
    staged_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    embargoed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    held_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    hold_reason: str = Field(default="", max_length=2000)
    is_hub_hold: bool = Field(default=False)  # an administrator of the hub held it; maintainers cannot lift that
    deprecated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    withdrawn_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    version: int = Field(default=0)


class Proposal(SQLModel, table=True):
    """A wish to change a release that takes more than one person, with the criteria of a promotion as checked."""

    __tablename__ = "proposal"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    release_id: str = Field(foreign_key="release.id", max_length=26, index=True)
    act: Act = Field(default=Act.PROMOTE, sa_type=EnumText(Act))
    target: Stage = Field(sa_type=EnumText(Stage))  # where it stands after; the same stage where that does not change
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)  # of an embargo
    state: ProposalState = Field(default=ProposalState.OPEN, sa_type=EnumText(ProposalState))
    note: str = Field(default="", max_length=2000)
    criteria: list[dict[str, Any]] = Field(default_factory=list, sa_type=sa.JSON)
    proposed_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    proposed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    effective_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    version: int = Field(default=0)


class Approval(SQLModel, table=True):
    """One person's yes to a proposal, as they saw it: both versions are those of that moment."""

    __tablename__ = "approval"
    __table_args__ = (UniqueConstraint("proposal_id", "person_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    proposal_id: str = Field(foreign_key="proposal.id", max_length=26, index=True)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    note: str = Field(default="", max_length=2000)
    approved_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    release_version: int = Field(default=-1)
    proposal_version: int = Field(default=-1)


class OrganizationRule(SQLModel, table=True):
    """What an organization asks for at a stage beyond the ladder of the hub."""

    __tablename__ = "organization_rule"

    organization_id: str = Field(foreign_key="organization.id", primary_key=True, max_length=26)
    stage: Stage = Field(sa_type=EnumText(Stage), primary_key=True)
    approvals: int = Field(default=0)
    sole_maintainer: bool = Field(default=True)
    soak_days: int = Field(default=0)
    testers: int = Field(default=0)
    criteria: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
