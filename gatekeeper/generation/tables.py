"""Records of what was asked of the inference process and what it made."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class GenerationState(StrEnum):
    """How an order stands. The last four are ends."""

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Generation(SQLModel, table=True):
    """One order. The prompt is kept for its owner only as long as its images are (see generation.images)."""

    __tablename__ = "generation"

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
    charged_images: int = Field(default=0)  # what counts against the quota; 0 again when nothing could be made
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  # images and prompt end then
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
