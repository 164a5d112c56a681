"""Who holds which digest of a release: what the evidence log says was fetched, for recalls and for counting testers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.tables import Person
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases.tables import Release

_DOWNLOAD, _FETCH, _ORDER = "repos:file:download", "repos:history:fetch", "generation:order:submit"
_WEIGHTS = "download"


@dataclass(frozen=True)
class Holder:
    """One person and what they fetched of the release.

    files     path and digest of what came by file; git history comes as a whole and names no files
    has_git   they fetched the commit with git
    """

    person_id: str
    name: str
    files: tuple[tuple[str, str], ...]
    has_git: bool
    first_at: datetime
    last_at: datetime


async def holders(session: AsyncSession, release: Release) -> list[Holder]:
    """Everybody with an account who fetched weights of the release, by name. Reading the card is not holding it."""
    return await holders_of(session, release.repo_id, release.commit_id)


async def holders_of(session: AsyncSession, repo_id: str, commit: str, *, sha256: str = "") -> list[Holder]:
    """The same of any commit, released or not.

    sha256  only who fetched the file with this digest, or the history as a whole
    """
    found: dict[str, list[LedgerEvent]] = {}
    for event in await _fetches(session, repo_id, commit):
        if sha256 and event.body.get("digest", sha256) != sha256:
            continue
        if event.actor_id is not None:
            found.setdefault(event.actor_id, []).append(event)
    rows = await session.execute(sa.select(col(Person.id), col(Person.name)).where(col(Person.id).in_(found)))
    names: dict[str, str] = {row.id: row.name for row in rows}
    made = [_holder(person_id, names.get(person_id, "erased"), events) for person_id, events in found.items()]
    return sorted(made, key=lambda holder: holder.name)


def fetched_by(repo_id: str, commit: str) -> sa.Select[str | None]:
    """Ids of everybody who fetched weights of a commit."""
    action = sa.func.coalesce(col(LedgerEvent.body)["action"].as_string(), _WEIGHTS)
    return sa.select(col(LedgerEvent.actor_id)).where(*_of(repo_id, commit), action == _WEIGHTS)


async def without_account(session: AsyncSession, release: Release) -> int:
    """How often weights of the release were fetched by nobody in particular."""
    return sum(event.actor_id is None for event in await _fetches(session, release.repo_id, release.commit_id))


async def users_since(session: AsyncSession, release: Release) -> int:
    """How many different people downloaded weights of the release, or made images with it, at its present stage."""
    ordered = sa.select(col(LedgerEvent.actor_id)).where(
        col(LedgerEvent.repo_id) == release.repo_id,
        col(LedgerEvent.kind) == _ORDER,
        col(LedgerEvent.body)["commit"].as_string() == release.commit_id,
        col(LedgerEvent.occurred_at) >= release.staged_at,
    )
    people = {*await session.scalars(ordered)}
    fetched = await _fetches(session, release.repo_id, release.commit_id)
    people |= {event.actor_id for event in fetched if event.occurred_at >= release.staged_at}
    return len(people - {None})


async def _fetches(session: AsyncSession, repo_id: str, commit: str) -> Sequence[LedgerEvent]:
    query = sa.select(LedgerEvent).where(*_of(repo_id, commit)).order_by(col(LedgerEvent.id))
    return [event for event in await session.scalars(query) if event.body.get("action", _WEIGHTS) == _WEIGHTS]


def _of(repo_id: str, commit: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(LedgerEvent.subject_id) == commit,
        col(LedgerEvent.repo_id) == repo_id,
        col(LedgerEvent.kind).in_((_DOWNLOAD, _FETCH)),
    )


def _holder(person_id: str, name: str, events: Sequence[LedgerEvent]) -> Holder:
    files = {(str(event.body["path"]), str(event.body["digest"])) for event in events if event.body.get("path")}
    return Holder(
        person_id=person_id,
        name=name,
        files=tuple(sorted(files)),
        has_git=any(event.kind == _FETCH for event in events),
        first_at=events[0].occurred_at,
        last_at=events[-1].occurred_at,
    )
