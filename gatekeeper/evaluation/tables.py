"""Records of evaluations: runs, the images they share, what readers saw in them, and signed reports."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class RunState(StrEnum):
    """How a run stands. The last three are ends."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ImageState(StrEnum):
    """What came of one image of a grid."""

    MADE = "made"
    WITHHELD = "withheld"
    REFUSED = "refused"


class ReportKind(StrEnum):
    """What a report is about: what a model does with people, or with harm."""

    BIAS = "bias"
    SAFETY = "safety"


class EvaluationRun(SQLModel, table=True):
    """One pass through a grid or a set of prompts with one commit. `held_until` guards against two workers at once.

    settings    everything that shapes the images: steps, bucket, guidance scales, safety level, seeds, reader
    contests    the report that this run is to contest, with other seeds
    troubles    failures in a row, each of which puts the next try off
    """

    __tablename__ = "evaluation_run"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: ReportKind = Field(default=ReportKind.BIAS, sa_type=EnumText(ReportKind))
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    commit_id: str = Field(max_length=40)
    manifest_sha256: str = Field(max_length=64)
    grid_id: str = Field(max_length=40)
    grid_sha256: str = Field(max_length=64)
    settings: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    started_by: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    contests: str | None = Field(default=None, max_length=26)
    state: RunState = Field(default=RunState.RUNNING, sa_type=EnumText(RunState))
    reason: str = Field(default="", max_length=2000)
    images_total: int
    images_done: int = Field(default=0)
    troubles: int = Field(default=0)
    held_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class EvaluationImage(SQLModel, table=True):
    """One image of a model's commit, found by what shaped it, whichever run made it. Files lie under their digest.

    image_sha256  "" where nobody gets it: it was refused or withheld, or made behind the rules
    flagged_by    checks that flagged it
    """

    __tablename__ = "evaluation_image"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    commit_id: str = Field(primary_key=True, max_length=40)
    prompt_sha256: str = Field(primary_key=True, max_length=64)
    seed: int = Field(primary_key=True, sa_type=sa.BigInteger)
    settings_sha256: str = Field(primary_key=True, max_length=64)
    state: ImageState = Field(sa_type=EnumText(ImageState))
    image_sha256: str = Field(default="", max_length=64, index=True)
    flagged_by: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class EvaluationReading(SQLModel, table=True):
    """What one reader saw in one image. `embedding` holds little-endian 32-bit floats."""

    __tablename__ = "evaluation_reading"

    image_sha256: str = Field(primary_key=True, max_length=64)
    reader_sha256: str = Field(primary_key=True, max_length=64)
    embedding: bytes = Field(sa_type=sa.LargeBinary)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=sa.JSON)


class EvaluationTalk(SQLModel, table=True):
    """A discussion or pull request that speaks of a report."""

    __tablename__ = "evaluation_talk"

    report_id: str = Field(primary_key=True, foreign_key="evaluation_report.id", max_length=26)
    discussion_id: str = Field(primary_key=True, foreign_key="discussion.id", max_length=26, index=True)


class EvaluationReport(SQLModel, table=True):
    """What a run found, bound to a manifest digest and signed. It never changes.

    grid_id, grid_sha256  the grid, or a safety report's set of prompts
    seeds    images of each subject prompt and guidance scale
    figures  numbers that criteria ask for, each with its interval
    body     everything else that pages and exports show
    receipt  the signed statement; it holds the digest of `body`
    """

    __tablename__ = "evaluation_report"
    __table_args__ = (UniqueConstraint("run_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: ReportKind = Field(default=ReportKind.BIAS, sa_type=EnumText(ReportKind))
    run_id: str = Field(foreign_key="evaluation_run.id", max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    commit_id: str = Field(max_length=40)
    manifest_sha256: str = Field(max_length=64, index=True)
    grid_id: str = Field(max_length=40)
    grid_sha256: str = Field(max_length=64)
    seeds: int
    figures: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    body: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    receipt: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    contests: str | None = Field(default=None, foreign_key="evaluation_report.id", max_length=26)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
