"""Makes the report: sums over the last twelve months and the repositories that anybody may know."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, incidents
from gatekeeper.access import Answer
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.generation import RefusalCode
from gatekeeper.generation.tables import Generation, GenerationState, Strike, StrikeKind
from gatekeeper.incidents import Incident
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import first_id_at
from gatekeeper.ledger import LedgerEvent
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos.tables import Repo
from gatekeeper.transparency.refusals import CAUSE
from gatekeeper.transparency.report import FEWEST, Closed, Month, Report, Share, told
from gatekeeper.transparency.tables import RefusalCount, TransparencyReport

_MONTHS = 12
_WAITING = (RequestState.IN_REVIEW, RequestState.REFERRED)
_HELD = "releases:release:hold"
_MOST_CAUSES = 10
_MOST_INCIDENTS = 50
_MOST_DECISIONS = 20_000  # the newest ones, for the waiting times

Where = sa.ColumnElement[bool]


async def refresh(session: AsyncSession, *, visible: Where) -> Report:
    """Make the report anew and keep it.

    visible  the condition on Repo that everything meets which somebody who is not signed in may know
    """
    at = now()
    report = await _make(session, at, sa.select(col(Repo.id)).where(visible, col(Repo.deleted_at).is_(None)))
    row = await session.get(TransparencyReport, 1) or TransparencyReport()
    row.made_at, row.body = at, report.as_json()
    session.add(row)
    return report


async def _make(session: AsyncSession, at: datetime, public: "sa.Select[str]") -> Report:
    months = _last_months(at)
    since = datetime.fromisoformat(f"{months[0]}-01T00:00:00+00:00")
    requests = sa.and_(col(AccessRequest.repo_id).in_(public), ~col(AccessRequest.is_direct))
    grants = col(AccessGrant.repo_id).in_(public)
    orders = sa.and_(col(Generation.repo_id).in_(public), ~col(Generation.is_evaluation))
    done = sa.and_(orders, col(Generation.state) == GenerationState.DONE)
    # What could not be screened was refused for our side's failure.
    is_screened = col(Generation.code) != RefusalCode.PROMPT_UNSCREENED
    refused = sa.and_(orders, col(Generation.state) == GenerationState.REFUSED, is_screened)
    withheld = sa.and_(col(Strike.repo_id).in_(public), col(Strike.kind) == StrikeKind.IMAGE_FLAGGED)
    holds = sa.and_(
        col(LedgerEvent.repo_id).in_(public), col(LedgerEvent.kind) == _HELD, col(LedgerEvent.id) >= first_id_at(since)
    )
    rejected = sa.and_(requests, col(AccessRequest.state) == RequestState.REJECTED)
    ended = sa.func.coalesce(col(AccessGrant.revoked_at), col(AccessGrant.suspended_at))
    delivered = sa.func.sum(sa.func.json_array_length(col(Generation.image_sha256)))
    finished = col(Generation.finished_at)
    by_month = {
        "asked": await _monthly(session, col(AccessRequest.submitted_at), requests, since),
        "granted": await _monthly(session, col(AccessGrant.granted_at), grants, since),
        "rejected": await _monthly(session, col(AccessRequest.decided_at), rejected, since),
        "ended": await _monthly(session, ended, grants, since),
        "images": await _monthly(session, finished, done, since, of=delivered),
        "images_refused": await _monthly(session, finished, refused, since),
        "images_withheld": await _monthly(session, col(Strike.struck_at), withheld, since),
        "denied": await _monthly(
            session, col(RefusalCount.day), sa.true(), since.date(), of=sa.func.sum(col(RefusalCount.total))
        ),
    }
    held = await _monthly(session, col(LedgerEvent.occurred_at), holds, since)
    answers = await access.answered(session, requests, since=since, most=_MOST_DECISIONS)
    return Report(
        made_at=at,
        months=tuple(
            Month(
                month,
                **{name: told(counts[month]) for name, counts in by_month.items()},
                waiting_days=_middle([each for each in answers if f"{each.at:%Y-%m}" == month]),
                held=held[month],
            )
            for month in months
        ),
        waiting=told(await _count(session, AccessRequest, requests, col(AccessRequest.state).in_(_WAITING))),
        waiting_days=_waiting_days(answers),
        rejections=await _shares(
            session, col(AccessRequest.reason_code), rejected, col(AccessRequest.decided_at) >= since
        ),
        denials=await _denials(session, since),
        order_refusals=_told(
            [
                *await _counts(session, col(Generation.code), refused, finished >= since),
                *await _counts(session, col(Strike.kind), withheld, col(Strike.struck_at) >= since),
            ]
        ),
        stages=await _stages(session, public, at),
        held_now=await _count(session, Release, col(Release.repo_id).in_(public), col(Release.held_at).is_not(None)),
        withdrawn=await _count(
            session, Release, col(Release.repo_id).in_(public), col(Release.withdrawn_at).is_not(None)
        ),
        acceptances=told(
            await _count(session, Acceptance, col(Acceptance.repo_id).in_(public), col(Acceptance.accepted_at) >= since)
        ),
        problems=told(
            await _count(session, Incident, col(Incident.repo_id).in_(public), col(Incident.reported_at) >= since)
        ),
        incidents=await _incidents(session, public, since),
    )


def _last_months(at: datetime) -> list[str]:
    year, month = at.year, at.month
    found = []
    for _ in range(_MONTHS):
        found.append(f"{year:04}-{month:02}")
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
    return found[::-1]


async def _monthly(
    session: AsyncSession,
    instant: sa.SQLColumnExpression[Any],
    where: Where,
    since: date,
    *,
    of: sa.ColumnElement[Any] | None = None,
) -> Counter[str]:
    year, month = sa.extract("year", instant), sa.extract("month", instant)
    rows = await session.execute(
        sa.select(year, month, sa.func.count() if of is None else of)
        .where(where, instant >= since)
        .group_by(year, month)
    )
    return Counter({f"{int(each):04}-{int(of_year):02}": int(number or 0) for each, of_year, number in rows})


def _middle(answers: list[Answer]) -> float | None:
    days = _days(answers)
    return round(median(days), 1) if days else None


def _waiting_days(answers: list[Answer]) -> tuple[float, float] | None:
    days = _days(answers)
    return (round(median(days), 1), round(quantiles(days, n=10, method="inclusive")[-1], 1)) if days else None


def _days(answers: list[Answer]) -> list[float]:
    """How long each was waited for; nothing where so few could tell about one person."""
    return [each.wait / timedelta(days=1) for each in answers] if len(answers) >= FEWEST else []


async def _shares(session: AsyncSession, cause: sa.SQLColumnExpression[Any], *where: Where) -> tuple[Share, ...]:
    return _told(await _counts(session, cause, *where))


async def _counts(
    session: AsyncSession, cause: sa.SQLColumnExpression[Any], *where: Where
) -> Sequence[sa.Row[tuple[Any, int]]]:
    number = sa.func.count()
    rows = await session.execute(
        sa.select(cause, number).where(*where).group_by(cause).order_by(number.desc(), cause).limit(_MOST_CAUSES)
    )
    return rows.all()


async def _denials(session: AsyncSession, since: datetime) -> tuple[Share, ...]:
    number = sa.func.sum(col(RefusalCount.total))
    rows = await session.execute(
        sa.select(CAUSE, number)
        .where(col(RefusalCount.day) >= since.date())
        .group_by(CAUSE)
        .order_by(number.desc(), CAUSE)
        .limit(_MOST_CAUSES)
    )
    return _told(rows)


async def _stages(session: AsyncSession, public: "sa.Select[str]", at: datetime) -> tuple[Share, ...]:
    rows = await session.execute(
        sa.select(col(Release.repo_id), col(Release.stage)).where(
            col(Release.repo_id).in_(public),
            col(Release.withdrawn_at).is_(None),
            sa.or_(col(Release.embargoed_until).is_(None), col(Release.embargoed_until) <= at),
        )
    )
    ladder, best = list(Stage), dict[str, Stage]()
    for repo_id, stage in rows:
        best[repo_id] = max(stage, best.get(repo_id, Stage.DRAFT), key=ladder.index)
    counts = Counter(best.values())
    return tuple(Share(stage.value, told(counts[stage])) for stage in ladder if counts[stage])


async def _incidents(session: AsyncSession, public: "sa.Select[str]", since: datetime) -> tuple[Closed, ...]:
    rows = await incidents.published_at(session, col(Repo.id).in_(public), since=since, limit=_MOST_INCIDENTS)
    return tuple(
        Closed(repo.full_name, each.closed_at.date().isoformat(), each.severity.value, each.note) for repo, each in rows
    )


async def _count(session: AsyncSession, table: type[Any], *where: Where) -> int:
    return await session.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0


def _told(rows: Iterable[Any]) -> tuple[Share, ...]:
    return tuple(Share(cause or "not stated", told(int(number))) for cause, number in rows)
