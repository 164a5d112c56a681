"""Criteria about what surrounds the released files: incidents, questions, and whether a recall was practised."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import day_words, now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases.tables import Release
from gatekeeper.repos.tables import Repo

DRILL_DAYS = 92
_DRILL = "releases:release:drill"
_MOST_NAMED = 5
_QUOTAS = {
    "images_per_day": "images a day",
    "compute_seconds_per_day": "seconds a day",
    "concurrency": "orders at once",
}
_NO_LIMIT = 10**6  # the highest number that a quota takes: who may make so many is not limited

# These rooms lie above this one: their tables are named, not imported.
_INCIDENT = sa.table("incident", *map(sa.column, ("id", "repo_id", "state", "severity")))
_LINK = sa.table("incident_link", *map(sa.column, ("incident_id", "kind", "target", "repo_id")))
_DISCUSSION = sa.table(
    "discussion", *map(sa.column, ("id", "repo_id", "num", "status", "is_pull_request", "author_id"))
)
_QUOTA_CHANGE = sa.table("quota_change", *map(sa.column, _QUOTAS))
_EVENT = sa.table("discussion_event", *map(sa.column, ("discussion_id", "kind", "author_id", "hidden_at")))


async def no_open_incident(session: AsyncSession, repo: Repo, release: Release) -> tuple[bool, str]:
    """No incident of high severity is open about the repository or the revision. What nobody took up is none."""
    linked = sa.exists().where(
        _LINK.c.incident_id == _INCIDENT.c.id,
        sa.or_(
            sa.and_(_LINK.c.kind == "repository", _LINK.c.target == repo.id),
            sa.and_(_LINK.c.kind == "revision", _LINK.c.repo_id == repo.id, _LINK.c.target == release.commit_id),
        ),
    )
    found = await session.scalar(
        sa.select(sa.func.count())
        .select_from(_INCIDENT)
        .where(
            _INCIDENT.c.state == "open",
            _INCIDENT.c.severity.in_(("high", "critical")),
            sa.or_(_INCIDENT.c.repo_id == repo.id, linked),
        )
    )
    if found:
        return False, f"Incidents of high severity that are open: {found}. Close them first."
    return True, "No incident of high severity is open."


async def questions_answered(session: AsyncSession, repo: Repo) -> tuple[bool, str]:
    """Every open discussion has a comment by somebody else than who opened it. Pull requests are none."""
    answered = sa.exists().where(
        _EVENT.c.discussion_id == _DISCUSSION.c.id,
        _EVENT.c.kind == "comment",
        _EVENT.c.hidden_at.is_(None),
        _EVENT.c.author_id.is_distinct_from(_DISCUSSION.c.author_id),
    )
    rows = await session.scalars(
        sa.select(_DISCUSSION.c.num)
        .where(
            _DISCUSSION.c.repo_id == repo.id, _DISCUSSION.c.status == "open", ~_DISCUSSION.c.is_pull_request, ~answered
        )
        .order_by(_DISCUSSION.c.num)
    )
    if waiting := list(rows):
        named = ", ".join(f"#{num}" for num in waiting[:_MOST_NAMED])
        more = f" and {len(waiting) - _MOST_NAMED} more" if len(waiting) > _MOST_NAMED else ""
        return False, f"Nobody has answered {named}{more}. Answer or close them."
    return True, "Every open discussion has an answer."


async def drilled(session: AsyncSession, repo: Repo) -> tuple[bool, str]:
    """Somebody went through the rollback drill of a release of this repository in the last quarter."""
    last = await session.scalar(
        sa.select(sa.func.max(col(LedgerEvent.occurred_at))).where(
            col(LedgerEvent.kind) == _DRILL,
            col(LedgerEvent.repo_id) == repo.id,
            col(LedgerEvent.occurred_at) > now() - timedelta(days=DRILL_DAYS),
        )
    )
    if last is None:
        return False, f"No rollback drill was done in the last {DRILL_DAYS} days. A release's page leads to it."
    return True, f"The last rollback drill was done on {day_words(last)}."


async def quotas_limit(session: AsyncSession, quotas: Mapping[str, Any]) -> tuple[bool, str]:
    """What one person may make is limited, by the policies' `quotas` and by what administrators gave to single ones."""
    if free := [words for name, words in _QUOTAS.items() if quotas.get(name, _NO_LIMIT) >= _NO_LIMIT]:
        return False, f"Hosted use has no limit at this stage: {', '.join(free)}. Set one in safety.toml."
    without = sa.or_(*(_QUOTA_CHANGE.c[name] >= _NO_LIMIT for name in _QUOTAS))
    if given := await session.scalar(sa.select(sa.func.count()).select_from(_QUOTA_CHANGE).where(without)):
        return False, f"People or organizations to whom an administrator gave no limit: {given}. Change their quotas."
    numbers = ", ".join(f"{quotas[name]:,} {words}" for name, words in _QUOTAS.items())
    return True, f"At most, of one person: {numbers}."


async def record_drill(session: AsyncSession, release: Release, *, by: Principal) -> None:
    """Keep that somebody went through the drill of this release: who would fall back to what, who holds what."""
    await ledger.record(
        session,
        _DRILL,
        actor=by.person_id,
        token=by.token_id,
        repo=release.repo_id,
        subject=release.id,
        body={"commit": release.commit_id},
    )
