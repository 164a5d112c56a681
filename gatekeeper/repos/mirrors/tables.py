"""Which repositories are kept in step with one on another hub."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime


class Mirror(SQLModel, table=True):
    """A repository that is brought from an upstream hub. The upstream's token is never stored.

    upstream     `namespace/name` there; its kind is the repository's own
    revisions    references that were asked for; none, or `*` among them, means all branches and tags
    heads        what each reference pointed at when it was brought last
    first        the commit that main was born with here; replaced by the upstream's history
    problem      why the last attempt ended, empty when it went well
    """

    __tablename__ = "mirror"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    endpoint: str = Field(max_length=200)
    upstream: str = Field(max_length=150)
    revisions: list[str] = Field(sa_type=sa.JSON)
    heads: dict[str, str] = Field(sa_type=sa.JSON)
    first: str = Field(max_length=40)
    begun_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    brought_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    checked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    problem: str = Field(default="", max_length=500)
