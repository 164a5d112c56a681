"""Does everything the database names really lie there, unchanged? Reads and hashes every byte."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.repos.storage import Key, Store, object_key, xorb_key
from gatekeeper.repos.tables import GitObject, GitRef, Repo, RepoObject, RepoXorb, StoredObject, StoredXorb, XetPart
from gatekeeper.repos.xet.xorb import is_sound_xorb

_BATCH = 100


@dataclass(slots=True)
class Report:
    """What `verify` found. Missing and damaged things are faults; orphans only take room."""

    checked: int = 0
    checked_bytes: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is missing and nothing damaged."""
        return not self.missing and not self.damaged


async def keep_outcome(s: AsyncSession, report: Report) -> None:
    """Record what a check of the whole store found, in numbers."""
    body = {
        "checked": report.checked,
        "missing": len(report.missing),
        "damaged": len(report.damaged),
        "orphaned": len(report.orphaned),
    }
    await ledger.record(s, "repos:store:verify", body=body)


async def verify(s: AsyncSession, store: Store, repo: Repo | None = None) -> Report:
    """Hash again all that `repo` (or every repository) refers to, and with no repository given look for orphans."""
    report = Report()
    await _check_store(s, store, repo, report)
    await _check_xorbs(s, store, repo, report)
    await _check_git(s, repo, report)
    await _check_refs(s, repo, report)
    if repo is None:
        await _find_orphans(s, store, report)
    return report


async def _check_store(s: AsyncSession, store: Store, repo: Repo | None, report: Report) -> None:
    query = sa.select(col(StoredObject.sha256), col(StoredObject.size_bytes)).order_by(col(StoredObject.sha256))
    if repo is not None:
        query = query.join(RepoObject, col(RepoObject.sha256) == col(StoredObject.sha256)).where(
            col(RepoObject.repo_id) == repo.id
        )
    for sha256, size in (await s.execute(query)).all():
        report.checked += 1
        report.checked_bytes += size
        digest = await store.digest(object_key(sha256))
        if digest is None:
            report.missing.append(f"file {sha256}")
        elif digest != sha256:
            report.damaged.append(f"file {sha256}")


async def _check_xorbs(s: AsyncSession, store: Store, repo: Repo | None, report: Report) -> None:
    query = sa.select(col(StoredXorb.place), col(StoredXorb.xorb_hash), col(StoredXorb.size_bytes))
    if repo is not None:
        sent = sa.select(col(RepoXorb.xorb_hash)).where(col(RepoXorb.repo_id) == repo.id)
        used = sa.select(col(XetPart.xorb_hash)).where(col(XetPart.repo_id) == repo.id)
        query = query.where(sa.or_(col(StoredXorb.xorb_hash).in_(sent), col(StoredXorb.xorb_hash).in_(used)))
    for place, xorb_hash, size in (await s.execute(query)).all():
        report.checked += 1
        report.checked_bytes += size
        try:
            is_sound = await asyncio.to_thread(_is_sound, store, xorb_key(place, xorb_hash), xorb_hash)
        except FileNotFoundError:
            report.missing.append(f"xorb {xorb_hash}")
            continue
        if not is_sound:
            report.damaged.append(f"xorb {xorb_hash}")


def _is_sound(store: Store, key: Key, xorb_hash: str) -> bool:
    with store.open(key) as file:
        return is_sound_xorb(file, xorb_hash)


async def _check_git(s: AsyncSession, repo: Repo | None, report: Report) -> None:
    async for rows in _git_objects(s, repo):
        report.checked += len(rows)
        report.checked_bytes += sum(len(content) for _, _, content in rows)
        report.damaged += await asyncio.to_thread(_wrong, rows)


async def _git_objects(s: AsyncSession, repo: Repo | None) -> AsyncIterator[Sequence[tuple[str, str, bytes]]]:
    """Every Git object, `_BATCH` at a time, in the order of the key."""
    key = (col(GitObject.repo_id), col(GitObject.object_id))
    last: tuple[str, str] = ("", "")
    while True:
        query = (
            sa.select(*key, col(GitObject.kind), col(GitObject.content))
            .where(sa.or_(key[0] > last[0], sa.and_(key[0] == last[0], key[1] > last[1])))
            .order_by(*key)
            .limit(_BATCH)
        )
        if repo is not None:
            query = query.where(key[0] == repo.id)
        rows = (await s.execute(query)).all()
        if not rows:
            return
        last = (rows[-1][0], rows[-1][1])
        yield [(oid, kind, content) for _, oid, kind, content in rows]


def _wrong(rows: Sequence[tuple[str, str, bytes]]) -> list[str]:
    return [f"{kind} {oid}" for oid, kind, content in rows if _git_id(kind, content) != oid]


def _git_id(kind: str, content: bytes) -> str:
    made = hashlib.sha1(f"{kind} {len(content)}\0".encode(), usedforsecurity=False)  # Git's object id
    made.update(content)
    return made.hexdigest()


async def _check_refs(s: AsyncSession, repo: Repo | None, report: Report) -> None:
    """References to objects that are not there."""
    query = (
        sa.select(col(GitRef.repo_id), col(GitRef.name))
        .outerjoin(
            GitObject,
            sa.and_(col(GitObject.repo_id) == col(GitRef.repo_id), col(GitObject.object_id) == col(GitRef.object_id)),
        )
        .where(col(GitObject.object_id).is_(None))
    )
    if repo is not None:
        query = query.where(col(GitRef.repo_id) == repo.id)
    report.missing += [f"target of {name} in {repo_id}" for repo_id, name in await s.execute(query)]


async def _find_orphans(s: AsyncSession, store: Store, report: Report) -> None:
    """Files of the store that no row names, and rows that no repository refers to."""
    named = set(await s.scalars(sa.select(col(StoredObject.sha256))))
    referred = set(await s.scalars(sa.select(col(RepoObject.sha256)).distinct()))
    present = {lying.key.rpartition("/")[2] async for lying in store.listing("sha256")}
    report.orphaned += sorted(f"file {sha256}" for sha256 in (present - named) | (named - referred))
    xorbs = await s.execute(sa.select(col(StoredXorb.place), col(StoredXorb.xorb_hash)))
    keys = {xorb_key(place, name) for place, name in xorbs}
    lying = [lying.key async for lying in store.listing("xorbs")]
    report.orphaned += sorted(f"xorb {key.rpartition('/')[2]}" for key in lying if key not in keys)
