"""Discussions and pull requests, what happened in them, and which commits are proposals."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id

PULL_REFS = "refs/pr/"  # and a number: what a pull request proposes


class Status(StrEnum):
    """Where a discussion stands. A draft is a pull request that still counts as open; only those are merged."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class EventKind(StrEnum):
    """What happened. The values are those of the public hub's events."""

    COMMENT = "comment"
    STATUS = "status-change"
    TITLE = "title-change"
    COMMIT = "commit"
    LOCK = "locking-change"
    PIN = "pinning-change"


class Discussion(SQLModel, table=True):
    """A discussion of a repository, or a pull request (`is_pull_request`). Numbers run from 1 over both.

    target_ref    the branch that a pull request is for
    base_commit   what that branch was for its author when it was opened
    merge_commit  the commit that merging it made
    locked_at     since then only who moderates it writes in it
    pinned_at     since then it stands above the others in the list
    """

    __tablename__ = "discussion"
    __table_args__ = (UniqueConstraint("repo_id", "num"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26)
    num: int
    title: str = Field(max_length=200)
    status: Status = Field(default=Status.OPEN, sa_type=EnumText(Status))
    is_pull_request: bool = Field(default=False)
    author_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    target_ref: str = Field(default="", max_length=250)
    base_commit: str = Field(default="", max_length=40)
    merge_commit: str = Field(default="", max_length=40)
    locked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    pinned_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DiscussionEvent(SQLModel, table=True):
    """One thing that happened in a discussion; `position` counts them from 1.

    data  of a status change `status` (and `from`, of a draft), of a title change `from` and `to`, of a commit `subject`
          and `oid` and, where its author may not write, how many `bytes` came with it, of a lock `locked`, of a pin
          `pinned`
    """

    __tablename__ = "discussion_event"
    __table_args__ = (UniqueConstraint("discussion_id", "position"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    discussion_id: str = Field(foreign_key="discussion.id", max_length=26)
    position: int
    kind: EventKind = Field(sa_type=EnumText(EventKind))
    author_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    data: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    hidden_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CommentText(SQLModel, table=True):
    """One version of a comment's Markdown, from 1; the highest is the present one."""

    __tablename__ = "comment_text"

    event_id: str = Field(primary_key=True, foreign_key="discussion_event.id", max_length=26)
    version: int = Field(primary_key=True)
    text: str = Field(sa_type=sa.Text)
    author_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    written_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ProposedCommit(SQLModel, table=True):
    """A commit that came through a pull request. Decisions read it: such a commit is decided as what it is based on.

    base_commit  what it is based on
    author_id    whose work alone it is, on top of the base; None where somebody else had a part in it
    """

    __tablename__ = "proposed_commit"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    commit_id: str = Field(primary_key=True, max_length=40)
    discussion_id: str = Field(foreign_key="discussion.id", max_length=26)
    base_commit: str = Field(max_length=40)
    author_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
