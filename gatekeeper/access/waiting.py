"""How many ask, and how long answers take: what is public of a repository, the age of a request, requests by day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil
from statistics import median, quantiles

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from gatekeeper.access import moves
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessRequest, AccessStep, RequestState
from gatekeeper.kit.clock import now
from gatekeeper.kit.days import by_day, count_by_day, last_days
from gatekeeper.kit.ids import first_id_at
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos.tables import Repo

_MOST = 1_000
_SENT = "access:request:submit"
_DAY = timedelta(days=1)
_TENTHS = 10
_FEWEST_FOR_SPAN = 20  # people: then at least two lie beyond either end, and no end is one person's wait


@dataclass(frozen=True, slots=True)
class Age:
    """How long a request has waited in whole days, and whether that is longer than its queue's target."""

    days: int
    service_days: int

    @property
    def is_overdue(self) -> bool:
        """Whether the answer is late."""
        return self.days >= self.service_days


@dataclass(frozen=True, slots=True)
class Usual:
    """How long answers took lately, in whole days, rounded up.

    span  eight of ten took so long; None where that would tell about single people
    """

    median_days: int
    span: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person was told by another one, and how long after they asked, or appealed."""

    repo_id: str
    person_id: str
    at: datetime
    wait: timedelta


def age(request: AccessRequest, rules: Rules, at: datetime) -> Age:
    """The age of the present round of a request."""
    since = request.waiting_since or request.submitted_at
    return Age(max(0, (at - since).days), rules.service_days(request.queue))


async def usual_waits(
    session: AsyncSession, repo_ids: Collection[str], rules: Rules, *, at: datetime
) -> dict[str, Usual]:
    """How long it took from asking to a person's decision; without those where too few people were answered lately.

    People count, not requests, so that the number never tells about one person.
    """
    if not repo_ids:
        return {}
    waits: dict[str, dict[str, timedelta]] = {}
    named, since = col(AccessRequest.repo_id).in_(repo_ids), at - timedelta(days=rules.median_days)
    for answer in await answered(session, named, since=since, most=_MOST * len(repo_ids)):
        waits.setdefault(answer.repo_id, {}).setdefault(answer.person_id, answer.wait)
    return {
        repo_id: _usual([wait / _DAY for wait in by_person.values()])
        for repo_id, by_person in waits.items()
        if len(by_person) >= rules.median_least
    }


async def usual_wait(session: AsyncSession, repo_id: str, rules: Rules, *, at: datetime) -> Usual | None:
    """The same of one repository."""
    return (await usual_waits(session, [repo_id], rules, at=at)).get(repo_id)


async def answered(
    session: AsyncSession, requests: sa.ColumnElement[bool], *, since: datetime, most: int
) -> list[Answer]:
    """Approvals and rejections by people since then, newest first.

    As the history has it: a revocation or an end that came later is no answer, nor is a decision turned around.
    """
    before = aliased(AccessStep)
    asked_at = (
        sa.select(sa.func.max(col(before.at)))
        .where(
            col(before.request_id) == col(AccessStep.request_id),
            col(before.act).in_([act.name for act in moves.ANEW]),
            col(before.at) <= col(AccessStep.at),
        )
        .scalar_subquery()
    )
    rows = await session.execute(
        sa.select(col(AccessRequest.repo_id), col(AccessRequest.person_id), col(AccessStep.at), asked_at)
        .join(AccessRequest, col(AccessRequest.id) == col(AccessStep.request_id))
        .where(
            requests,
            col(AccessRequest.is_direct).is_(False),
            col(AccessStep.act).in_([moves.APPROVE.name, moves.REJECT.name]),
            col(AccessStep.before) == RequestState.IN_REVIEW,
            col(AccessStep.actor_id).is_not(None),
            col(AccessStep.at) > since,
        )
        .order_by(col(AccessStep.at).desc())
        .limit(most)
    )
    return [Answer(repo_id, person_id, at, at - asked) for repo_id, person_id, at, asked in rows if asked is not None]


async def asked_by_day(session: AsyncSession, days: int, *, repos: sa.ColumnElement[bool]) -> list[tuple[str, int]]:
    """Requests sent on each of the last `days`, for repositories that meet a condition on Repo, as the log has it."""
    wanted = last_days(now(), days)
    counted = await count_by_day(
        session,
        col(LedgerEvent.occurred_at),
        col(LedgerEvent.kind) == _SENT,
        col(LedgerEvent.id) >= first_id_at(datetime.combine(wanted[0], time(), UTC)),
        col(LedgerEvent.repo_id).in_(sa.select(col(Repo.id)).where(repos)),
    )
    return by_day(wanted, counted)


def _usual(days: list[float]) -> Usual:
    tenths = quantiles(days, n=_TENTHS) if len(days) >= _FEWEST_FOR_SPAN else None
    return Usual(_whole(median(days)), (_whole(tenths[0]), _whole(tenths[-1])) if tenths else None)


def _whole(days: float) -> int:
    return max(1, ceil(days))
