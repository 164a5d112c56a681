"""Telling those who hold a release, or accepted terms, of what became of it. They may be many, so a job does it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import releases
from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts.tables import Person
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.notices.telling import tell
from gatekeeper.releases import Holder
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
TOLD = _OF_RELEASES | {"licensing:version:newer": "version-newer", "licensing:terms:change": "terms-changed"}


async def tell_holders(database: Database, payload: dict[str, Any]) -> None:
    """The job TELL_HOLDERS: everybody whom the event concerns, some at a time.

    Of a release that is everybody with access to the repository, and everybody who fetched weights of the release, with
    the digests that they hold.
    """
    after = ""
    while True:
        async with database.write() as session:
            event = await session.get(LedgerEvent, payload["event"])
            repo = await session.get(Repo, event.repo_id) if event is not None and event.repo_id else None
            if event is None or repo is None:
                return
            commit = str(event.body.get("commit", ""))
            concerned = col(Person.id).in_(_concerned(event, repo, commit))
            query = sa.select(col(Person.id)).where(concerned, col(Person.id) > after)
            people = list(await session.scalars(query.order_by(col(Person.id)).limit(_PAGE)))
            held = {each.person_id: each for each in await _holders(session, event, repo, commit)}
            facts = names_of(repo) | {"commit": commit[:12], "day": str(event.body.get("deadline_at", ""))[:10]}
            for person_id in people:
                if person_id != event.actor_id:
                    files = _files(held[person_id]) if person_id in held else ""
                    await tell(session, person_id, TOLD[event.kind], event=event.id, files=files, **facts)
        if len(people) < _PAGE:
            return
        after = people[-1]


async def told_of_release(session: AsyncSession, repo: Repo, commit: str, *, most: int) -> list[Person]:
    """Who is told when a release is held, resumed, put back or withdrawn, by name; up to `most`."""
    concerned = col(Person.id).in_(_of_release(repo, commit))
    query = sa.select(Person).where(concerned).order_by(col(Person.name_key)).limit(most)
    return list(await session.scalars(query))


def names_of(repo: Repo) -> dict[str, str]:
    """The facts about a repository that the words of a notice need."""
    prefix = "" if repo.kind is RepoKind.MODEL else f"/{repo.kind.value}"
    return {"repo": repo.full_name, "url": f"{prefix}/{repo.full_name}"}


def _concerned(event: LedgerEvent, repo: Repo, commit: str) -> sa.Select[str] | sa.CompoundSelect[str]:
    """Ids of those to tell."""
    if event.kind in _OF_RELEASES:
        return _of_release(repo, commit)
    if event.kind == "licensing:version:newer":
        return _with_access(repo)
    return sa.select(col(Acceptance.person_id)).where(
        col(Acceptance.repo_id) == repo.id,
        col(Acceptance.withdrawn_at).is_(None),
        col(Acceptance.bundle_sha256) != str(event.body.get("new_sha256", "")),
    )


def _of_release(repo: Repo, commit: str) -> sa.CompoundSelect[str]:
    return sa.union(_with_access(repo), releases.fetched_by(repo.id, commit))


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
