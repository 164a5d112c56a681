"""Lists for people: a repository's review queue, one's own requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessRequest, RequestState
from gatekeeper.accounts.tables import Person
from gatekeeper.repos.tables import Repo


@dataclass(frozen=True, slots=True)
class Row:
    """A request with whom and what it is about."""

    request: AccessRequest
    person: Person
    repo: Repo


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `after` asks for the next part, None at the end."""

    rows: tuple[Row, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show of a review queue. Drafts are never shown.

    states      only these; empty: any
    claimed_by  only what this person looks after; "" for what nobody does
    """

    states: tuple[RequestState, ...] = ()
    queue: str | None = None
    claimed_by: str | None = None
    is_flagged: bool = False
    waiting_before: datetime | None = None


async def review_queue(
    session: AsyncSession,
    *,
    repo_ids: frozenset[str] | None = None,
    state: RequestState | None = RequestState.IN_REVIEW,
    only: Filter | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Requests in one state (None: any), who waits longest first.

    repo_ids  only these repositories, those the reader may review; None: all, for an administrator
    only      instead of `state`: a choice by more than that
    """
    query = _rows().where(col(AccessRequest.state) != RequestState.DRAFT)
    query = query.order_by(col(AccessRequest.id)).limit(limit + 1)
    if repo_ids is not None:
        query = query.where(col(AccessRequest.repo_id).in_(repo_ids))
    if only is not None:
        query = query.where(*_chosen(only))
    elif state is not None:
        query = query.where(col(AccessRequest.state) == state)
    if after:
        query = query.where(col(AccessRequest.id) > after)
    return _page((await session.execute(query)).all(), limit)


async def requests_of(session: AsyncSession, person_id: str, *, after: str | None = None, limit: int = 50) -> Page:
    """A person's own requests, newest first."""
    query = _rows().where(col(AccessRequest.person_id) == person_id).order_by(col(AccessRequest.id).desc())
    if after:
        query = query.where(col(AccessRequest.id) < after)
    return _page((await session.execute(query.limit(limit + 1))).all(), limit)


async def count_waiting(session: AsyncSession, *, repo_ids: frozenset[str] | None = None) -> int:
    """How many requests wait for a decision."""
    query = sa.select(sa.func.count()).where(col(AccessRequest.state) == RequestState.IN_REVIEW)
    if repo_ids is not None:
        query = query.where(col(AccessRequest.repo_id).in_(repo_ids))
    return int(await session.scalar(query) or 0)


def _chosen(only: Filter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if only.states:
        conditions.append(col(AccessRequest.state).in_(only.states))
    if only.queue is not None:
        conditions.append(col(AccessRequest.queue) == only.queue)
    if only.claimed_by is not None:
        conditions.append(
            col(AccessRequest.claimed_by) == only.claimed_by
            if only.claimed_by
            else col(AccessRequest.claimed_by).is_(None)
        )
    if only.is_flagged:
        conditions.append(col(AccessRequest.is_flagged).is_(True))
    if only.waiting_before is not None:
        conditions.append(col(AccessRequest.waiting_since) <= only.waiting_before)
    return conditions


def _rows() -> sa.Select[AccessRequest, Person, Repo]:
    return (
        sa.select(AccessRequest, Person, Repo)
        .join(Person, col(Person.id) == col(AccessRequest.person_id))
        .join(Repo, col(Repo.id) == col(AccessRequest.repo_id))
        .where(col(Repo.deleted_at).is_(None))
    )


def _page(rows: Sequence[sa.Row[AccessRequest, Person, Repo]], limit: int) -> Page:
    shown = tuple(Row(*row) for row in rows[:limit])
    return Page(shown, shown[-1].request.id if len(rows) > limit else None)
