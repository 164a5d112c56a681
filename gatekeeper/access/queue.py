"""Lists for people: a repository's review queue, one's own requests."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessRequest, RequestState
from gatekeeper.accounts.tables import Person
from gatekeeper.repos.tables import Repo

MOST_COUNTED = 1_000


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

    states          only these; empty: any
    claimed_by      only what this person looks after; "" for what nobody does
    waiting_before  only what has waited since before this instant
    overdue         for each queue the instant before which a request must have come to be late
    """

    states: tuple[RequestState, ...] = ()
    queue: str | None = None
    claimed_by: str | None = None
    is_flagged: bool = False
    waiting_before: datetime | None = None
    overdue: Mapping[str, datetime] | None = None


async def review_queue(
    session: AsyncSession,
    *,
    repo_ids: frozenset[str] | None = None,
    repos: Iterable[sa.ColumnElement[bool]] = (),
    state: RequestState | None = RequestState.IN_REVIEW,
    only: Filter | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Requests in one state (None: any), who waits longest first.

    repo_ids  only these repositories; None: any
    repos     conditions on Repo, such as `authz.listing_filter`; each row that is shown is decided again
    only      instead of `state`: a choice by more than that
    """
    query = _rows().where(col(AccessRequest.state) != RequestState.DRAFT, *repos)
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


async def count_waiting(
    session: AsyncSession, *, repos: Iterable[sa.ColumnElement[bool]] = (), most: int = MOST_COUNTED
) -> int:
    """How many requests wait for a decision, in repositories that meet the conditions; counted up to `most`."""
    found = (
        sa.select(col(AccessRequest.id))
        .join(Repo, col(Repo.id) == col(AccessRequest.repo_id))
        .where(col(AccessRequest.state) == RequestState.IN_REVIEW, col(Repo.deleted_at).is_(None), *repos)
        .limit(most)
    )
    return int(await session.scalar(sa.select(sa.func.count()).select_from(found.subquery())) or 0)


async def waiting_by_repo(session: AsyncSession, repo_ids: Collection[str]) -> dict[str, int]:
    """How many requests wait for a decision in each of these repositories."""
    rows = await session.execute(
        sa.select(col(AccessRequest.repo_id), sa.func.count())
        .where(col(AccessRequest.state) == RequestState.IN_REVIEW, col(AccessRequest.repo_id).in_(repo_ids))
        .group_by(col(AccessRequest.repo_id))
    )
    return {row[0]: row[1] for row in rows}


async def asked_for_opinion(session: AsyncSession, person_id: str, *, limit: int = 50) -> tuple[Row, ...]:
    """Requests that wait for this person's opinion, who asked first."""
    query = _rows().where(
        col(AccessRequest.state) == RequestState.REFERRED, col(AccessRequest.referred_to) == person_id
    )
    return _page((await session.execute(query.order_by(col(AccessRequest.id)).limit(limit))).all(), limit).rows


def _since() -> sa.ColumnElement[datetime]:
    """When the present round began."""
    return sa.func.coalesce(col(AccessRequest.waiting_since), col(AccessRequest.submitted_at))


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
        conditions.append(_since() <= only.waiting_before)
    if only.overdue is not None:
        late = [sa.and_(col(AccessRequest.queue) == name, _since() <= since) for name, since in only.overdue.items()]
        conditions.append(sa.or_(sa.false(), *late))
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
