"""Telling those who hold a release or access, or accepted terms, of what became of it. They may be many; a job does."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, releases
from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts.tables import Person
from gatekeeper.db import Database
from gatekeeper.kit.clock import day_words, instant_of, last_moment, now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.notices.telling import tell
from gatekeeper.releases import Holder, Release, Stage
from gatekeeper.repos.tables import Repo, RepoKind

TELL_HOLDERS = "notices:tell-holders"
_PAGE = 200
_MOST_FILES = 3

_OF_RELEASES = {
    "releases:release:hold": "release-held",
    "releases:release:resume": "release-resumed",
    "releases:release:demote": "release-demoted",
    "releases:release:withdraw": "release-withdrawn",
}
_OF_DEMANDS = {
    "access:prerequisite:require": "prerequisite-missing",
    "access:prerequisite:waive": "prerequisite-waived",
}
TOLD = (
    _OF_RELEASES | _OF_DEMANDS | {"licensing:version:newer": "version-newer", "licensing:terms:change": "terms-changed"}
)


async def tell_holders(database: Database, payload: dict[str, Any]) -> None:
    """The job TELL_HOLDERS: everybody whom the event concerns, some at a time, each once however often it is run.

    Of a release that is everybody who may know of it because they have access, and everybody who fetched weights of
    it, with the digests that they hold.
    """
    async with database.read() as session:
        event = await session.get(LedgerEvent, payload["event"])
        repo = await session.get(Repo, event.repo_id) if event is not None and event.repo_id else None
        if event is None or repo is None:
            return
        commit = str(event.body.get("commit", ""))
        query = sa.select(col(Person.id)).where(col(Person.id).in_(_concerned(event, repo, commit)))
        people = [id for id in await session.scalars(query.order_by(col(Person.id))) if id != event.actor_id]
        held = {each.person_id: _files(each) for each in await _holders(session, event, repo, commit)}
    deadline = event.body.get("deadline_at")
    day = day_words(last_moment(instant_of(str(deadline)))) if deadline else ""
    facts = names_of(repo) | {"commit": commit[:12], "day": day}
    for start in range(0, len(people), _PAGE):
        async with database.write() as session:
            for person_id in people[start : start + _PAGE]:
                files = held.get(person_id, "")
                await tell(session, person_id, TOLD[event.kind], event=event.id, files=files, **facts)


async def told_of_release(session: AsyncSession, repo: Repo, release: Release, *, most: int) -> list[Person]:
    """Who is told when a release is held, resumed, put back or withdrawn, by name; up to `most`."""
    concerned = col(Person.id).in_(_of_release(repo, release.commit_id, release.stage))
    query = sa.select(Person).where(concerned).order_by(col(Person.name_key)).limit(most)
    return list(await session.scalars(query))


def names_of(repo: Repo) -> dict[str, str]:
    """The facts about a repository that the words of a notice need."""
    prefix = "" if repo.kind is RepoKind.MODEL else f"/{repo.kind.value}"
    return {"repo": repo.full_name, "url": f"{prefix}/{repo.full_name}"}


def _concerned(event: LedgerEvent, repo: Repo, commit: str) -> sa.Select[str] | sa.CompoundSelect[str]:
    """Ids of those to tell."""
    if event.kind in _OF_RELEASES:
        return _of_release(repo, commit, Stage(event.body["before"]["stage"]))
    if event.kind in _OF_DEMANDS:
        return access.holders_without(repo.id, event.body["kind"], event.body["accepted"], now())
    if event.kind == "licensing:version:newer":
        return _with_access(repo)
    return sa.select(col(Acceptance.person_id)).where(
        col(Acceptance.repo_id) == repo.id,
        col(Acceptance.withdrawn_at).is_(None),
        col(Acceptance.bundle_sha256) != str(event.body.get("new_sha256", "")),
    )


def _of_release(repo: Repo, commit: str, stage: Stage) -> sa.CompoundSelect[str]:
    """Whoever fetched it, and with access those who may know of it at `stage`."""
    granted = _with_access(repo)
    if stage is Stage.TRUSTED_TEST:
        granted = granted.where(col(AccessGrant.is_tester))
    elif stage in (Stage.DRAFT, Stage.INTERNAL):
        granted = granted.where(sa.false())
    return sa.union(granted, releases.fetched_by(repo.id, commit))


def _with_access(repo: Repo) -> sa.Select[str]:
    return sa.select(col(AccessGrant.person_id)).where(
        col(AccessGrant.repo_id) == repo.id,
        col(AccessGrant.revoked_at).is_(None),
        sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > now()),
    )


async def _holders(session: AsyncSession, event: LedgerEvent, repo: Repo, commit: str) -> list[Holder]:
    return await releases.holders_of(session, repo.id, commit) if event.kind in _OF_RELEASES else []


def _files(holder: Holder) -> str:
    """What somebody fetched, for the end of a notice."""
    named = [f"{path} (sha256 {digest[:16]})" for path, digest in holder.files[:_MOST_FILES]]
    more = len(holder.files) - len(named)
    named += [f"{more} more"] if more else []
    named += ["its history with git"] if holder.has_git else []
    return f" You fetched {', '.join(named)}." if named else ""
