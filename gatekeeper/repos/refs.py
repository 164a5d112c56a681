"""Branches, tags and pull request heads of a repository. Every change is a compare-and-set on one row."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, Invalid, RevisionNotFound, Stale
from gatekeeper.kit.clock import now
from gatekeeper.repos import arrivals, revisions
from gatekeeper.repos.paths import check_short_ref, is_lookup
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import GitRef, Repo

MAIN = "refs/heads/main"


def stale() -> Stale:
    """Somebody else was faster; in the public hub's words, which its clients show."""
    return Stale("The branch was updated since you opened this page.", next_step="Please refresh and try again.")


async def heads(s: AsyncSession, repo_ids: Collection[str]) -> dict[str, str]:
    """The commit that each repository's `main` points at."""
    query = sa.select(col(GitRef.repo_id), col(GitRef.object_id)).where(
        col(GitRef.repo_id).in_(repo_ids), col(GitRef.name) == MAIN
    )
    return {row.repo_id: row.object_id for row in await s.execute(query)}


async def listing(s: AsyncSession, repo: Repo) -> Sequence[GitRef]:
    """Every reference, by name."""
    query = sa.select(GitRef).where(col(GitRef.repo_id) == repo.id).order_by(col(GitRef.name))
    return (await s.scalars(query)).all()


async def place(s: AsyncSession, repo: Repo, name: str, oid: str) -> None:
    """Make the reference `name`. Raises Conflict when it exists, or when Git could not hold both it and another."""
    taken = f"Reference {name} already exists"
    prefixes = [name[:end] for end in range(len(name)) if name[end] == "/"]
    below = col(GitRef.name).startswith(f"{name}/", autoescape=True)
    query = sa.select(col(GitRef.name)).where(
        col(GitRef.repo_id) == repo.id, sa.or_(col(GitRef.name).in_([name, *prefixes]), below)
    )
    if clash := await s.scalar(query):
        raise Conflict(
            taken if clash == name else f"{taken}: Git cannot hold it beside {clash}",
            next_step="Choose another name, or delete the old reference first.",
        )
    await insert_missing(s, GitRef, [{"repo_id": repo.id, "name": name, "object_id": oid, "updated_at": now()}])
    if await revisions.read_ref(s, repo, name) != oid:
        raise Conflict(taken, next_step="Somebody made it a moment ago. Look at it before you try again.")
    await arrivals.note(s, repo, [await revisions.peel(s, repo, oid)])


async def move(s: AsyncSession, repo: Repo, name: str, *, old: str, new: str) -> None:
    """Point the reference at `new` if it still points at `old`; raises Stale otherwise."""
    query = (
        sa.update(GitRef)
        .where(col(GitRef.repo_id) == repo.id, col(GitRef.name) == name, col(GitRef.object_id) == old)
        .values(object_id=new, updated_at=now())
    )
    result = await s.execute(query)
    assert isinstance(result, CursorResult)
    if result.rowcount != 1:
        raise stale()
    await arrivals.note(s, repo, [await revisions.peel(s, repo, new)])


async def create_branch(s: AsyncSession, repo: Repo, name: str, *, start: str | None, by: Principal) -> str:
    """Make a branch at the revision `start` (main's head without it) and return its reference name."""
    ref = f"refs/heads/{check_short_ref(name)}"
    oid = await revisions.resolve_revision(s, repo, start or MAIN)
    await place(s, repo, ref, oid)
    await _record(s, "repos:branch:create", repo, ref, oid=oid, by=by)
    return ref


async def delete_branch(s: AsyncSession, repo: Repo, name: str, *, by: Principal) -> None:
    """Delete a branch other than main; its commits stay in the database."""
    ref = f"refs/heads/{name.removeprefix('refs/heads/')}"
    if ref == MAIN:
        raise Invalid("Cannot delete refs/heads/main", next_step="Delete the repository if you no longer want it.")
    await _delete(s, repo, ref, Invalid("Invalid rev id", next_step="List the repository's branches."))
    await _record(s, "repos:branch:delete", repo, ref, by=by)


async def create_tag(s: AsyncSession, repo: Repo, name: str, *, target: str, by: Principal) -> str:
    """Make a lightweight tag on the revision `target` and return its reference name."""
    ref = f"refs/tags/{check_short_ref(name, what='tag')}"
    oid = await revisions.resolve_revision(s, repo, target)
    await place(s, repo, ref, oid)
    await _record(s, "repos:tag:create", repo, ref, oid=oid, by=by)
    return ref


async def delete_tag(s: AsyncSession, repo: Repo, name: str, *, by: Principal) -> None:
    """Delete a tag; raises RevisionNotFound when there is none of that name."""
    ref = f"refs/tags/{name.removeprefix('refs/tags/')}"
    await _delete(
        s, repo, ref, RevisionNotFound(f"Invalid rev id: {name[:80]}", next_step="List the repository's tags.")
    )
    await _record(s, "repos:tag:delete", repo, ref, by=by)


async def _delete(s: AsyncSession, repo: Repo, ref: str, absent: Invalid | RevisionNotFound) -> None:
    if not is_lookup(ref):
        raise absent
    query = sa.delete(GitRef).where(col(GitRef.repo_id) == repo.id, col(GitRef.name) == ref)
    result = await s.execute(query)
    assert isinstance(result, CursorResult)
    if result.rowcount != 1:
        raise absent


async def _record(s: AsyncSession, kind: str, repo: Repo, ref: str, *, oid: str | None = None, by: Principal) -> None:
    body = {"ref": ref} | ({"commit": oid} if oid else {})
    await ledger.record(s, kind, actor=by.person_id, token=by.token_id, repo=repo.id, subject=ref[:80], body=body)
