"""Records of what was asked of the inference process and what it made."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.personal import PersonalText

_KEY = "ix_generation_person_id_idempotency_key"


class GenerationState(StrEnum):
    """How an order stands. The last four are ends."""

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Generation(SQLModel, table=True):
    """One order. The prompt is kept for its owner only as long as its images are (see generation.images).

    charged_images, charged_seconds  what counts against the quotas: reserved at first, settled at the end
    claimed_by, claimed_until        the process that makes it, and until when it is believed (see generation.claims)
    losses                           how often the inference process died while making it, or loading its model
    is_awaited                       only a caller on the line can have its images: it ends when they or their server go
    """

    __tablename__ = "generation"
    __table_args__ = (sa.Index(_KEY, "person_id", "idempotency_key", unique=True),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    commit_id: str = Field(max_length=40)
    state: GenerationState = Field(default=GenerationState.RUNNING, sa_type=EnumText(GenerationState))
    settings: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)  # steps, guidance, size, seed ... no prompt
    prompt: str | None = Field(default=None, sa_type=sa.Text)
    prompt_sha256: str = Field(max_length=64)  # keyed, so that it cannot be guessed by hashing likely prompts
    code: str = Field(default="", max_length=60)
    reason: str = Field(default="", max_length=2000)
    receipt: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON)  # {"images": [signed ...], "withheld": [...]}
    image_sha256: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    charged_images: int = Field(default=0)
    charged_seconds: float = Field(default=0)
    # Made for an evaluation: not among a person's own images, and outside of all quotas.
    is_evaluation: bool = Field(default=False)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  # images and prompt end then
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    negative_prompt: str | None = Field(default=None, sa_type=sa.Text)  # kept as long as the prompt
    stage: str = Field(default="", max_length=20)  # at which it was let in, "" without stages
    token_id: str | None = Field(default=None, max_length=26)  # with which it was ordered; it must still be good then
    request_sha256: str = Field(default="", max_length=64)  # keyed, of everything that was asked
    idempotency_key: str | None = Field(default=None, max_length=64)  # keyed hash of the caller's
    claimed_by: str | None = Field(default=None, max_length=26)
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  # None once it has ended
    is_unwanted: bool = Field(default=False)  # cancelled, to be noticed by the process that makes it
    losses: int = Field(default=0)
    is_awaited: bool = Field(default=False)


class QuotaChange(SQLModel, table=True):
    """What an administrator allows a person, or the people of an organization, instead of the policy's numbers."""

    __tablename__ = "quota_change"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, unique=True)
    organization_id: str | None = Field(default=None, foreign_key="organization.id", max_length=26, unique=True)
    images_per_day: int | None = Field(default=None)
    compute_seconds_per_day: int | None = Field(default=None)
    concurrency: int | None = Field(default=None)
    weight: float | None = Field(default=None)  # of a person, times the stage's; an organization has none
    reason: str = Field(default="", max_length=500)
    changed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class StrikeKind(StrEnum):
    """What stopped an order; how much each counts is in policies/safety.toml."""

    HARD_RULE = "hard_rule"
    PROMPT_RULE = "prompt_rule"
    IMAGE_FLAGGED = "image_flagged"


class StrikeState(StrEnum):
    """What a reviewer made of a strike."""

    OPEN = "open"  # not looked at yet
    UPHELD = "upheld"
    DISMISSED = "dismissed"  # it counts for nothing


class Strike(SQLModel, table=True):
    """An order that safety stopped, kept for review. What was asked is not in it."""

    __tablename__ = "strike"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    generation_id: str | None = Field(default=None, foreign_key="generation.id", max_length=26, unique=True)
    kind: StrikeKind = Field(sa_type=EnumText(StrikeKind))
    fired: list[str] = Field(default_factory=list, sa_type=sa.JSON)  # ids of rules, or concepts that checks found
    reason: str = Field(max_length=2000)  # as the person was told
    state: StrikeState = Field(default=StrikeState.OPEN, sa_type=EnumText(StrikeState))
    struck_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    appeal: str = Field(default="", sa_type=PersonalText)
    shows_prompt: bool = Field(default=False)  # the person lets the reviewer read it, as long as it is kept
    appealed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    note: str = Field(default="", sa_type=PersonalText)  # the reviewer's words to the person
    reviewed_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    reviewed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
