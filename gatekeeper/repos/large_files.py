"""The LFS files of a repository over all its history: listing them, and deleting them for good."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import lfs, objects, refs, revisions, rewriting, xet
from gatekeeper.repos.paths import is_sha256
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo, RepoObject, StoredObject, XetFile

MAX_DELETIONS = 1_000


@dataclass(frozen=True, slots=True)
class LargeFile:
    """An LFS file.

    sha256  of its content, which also names it for deletion
    size    in bytes
    path    one under which a commit holds it, newer commits first; empty where no commit does
    ref     the reference that leads to that commit
    """

    sha256: str
    size: int
    path: str
    ref: str | None
    received_at: datetime


async def listing(s: AsyncSession, repo: Repo, *, after: str = "", limit: int = 100) -> list[LargeFile]:
    """What the repository holds in LFS, by digest, `limit` files after the digest `after`."""
    query = (
        sa.select(col(RepoObject.sha256), col(StoredObject.size_bytes), col(RepoObject.uploaded_at))
        .join(StoredObject, col(StoredObject.sha256) == col(RepoObject.sha256))
        .where(col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256) > after)
        .order_by(col(RepoObject.sha256))
        .limit(limit)
    )
    rows = (await s.execute(query)).all()
    met = await _places(s, repo, {row.sha256 for row in rows}) if rows else {}
    found = []
    for sha256, size, received_at in rows:
        path, ref = met.get(sha256, ("", None))
        found.append(LargeFile(sha256, size, path, ref, received_at))
    return found


async def delete(
    s: AsyncSession, repo: Repo, digests: Collection[str], *, rewrite_history: bool, by: Principal
) -> dict[str, str]:
    """Take these files away from the repository; returns the new id of each commit that was rewritten.

    The repository may not refer to their bytes any more: from this transaction on they are downloaded under no commit,
    and have to be uploaded again to come back. With `rewrite_history` they also leave every commit that a reference
    leads to. The caller has made sure that no release holds them. Digests it does not have are passed over.
    """
    if len(digests) > MAX_DELETIONS or not all(is_sha256(digest) for digest in digests):
        raise Invalid(
            f"Name at most {MAX_DELETIONS:,} files, each by the SHA-256 that the listing calls `fileOid`.", status=422
        )
    wanted = sorted(set(digests))
    had = set(
        await s.scalars(
            sa.delete(RepoObject)
            .where(col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256).in_(wanted))
            .returning(col(RepoObject.sha256))
        )
    )
    await s.execute(sa.delete(XetFile).where(col(XetFile.repo_id) == repo.id, col(XetFile.sha256).in_(wanted)))
    renamed = await rewriting.drop_files(s, repo, wanted, by=by) if rewrite_history else {}
    repo.updated_at = now()
    # INVARIANT: this row is changed, so that no cached answer with these bytes outlives the transaction.
    s.add(repo)
    for sha256 in sorted(had):
        body = {"rewrite_history": rewrite_history}
        await ledger.record(
            s,
            "repos:file:delete",
            actor=by.person_id,
            token=by.token_id,
            repo=repo.id,
            subject=sha256,
            body=body,
        )
    return renamed


async def share(s: AsyncSession, source: Repo, target: Repo, digests: Collection[str], *, by: Principal) -> None:
    """Let `target` refer to files of `source`.

    INVARIANT: called only after a decision that the caller may download each of them from `source`.
    """
    query = sa.select(col(RepoObject.sha256)).where(
        col(RepoObject.repo_id) == source.id, col(RepoObject.sha256).in_(sorted(set(digests)))
    )
    shared = (await s.scalars(query)).all()
    await xet.share(s, source, target, shared)
    for sha256 in shared:
        row = {"repo_id": target.id, "sha256": sha256, "uploaded_by": by.person_id, "uploaded_at": now()}
        if await insert_missing(s, RepoObject, [row]) == 0:
            await lfs.renew(s, target, [sha256])
        await ledger.record(
            s,
            "repos:file:share",
            actor=by.person_id,
            token=by.token_id,
            repo=target.id,
            subject=sha256,
            body={"from": source.id},
        )


async def _places(s: AsyncSession, repo: Repo, digests: set[str]) -> dict[str, tuple[str, str]]:
    """A path and a reference for each digest. Every folder is looked at once, and no more than it takes."""
    found: dict[str, tuple[str, str]] = {}
    seen: set[tuple[str, str]] = set()
    commits: set[str] = set()
    for row in await refs.listing(s, repo):
        waiting = [await revisions.peel(s, repo, row.object_id)]
        while waiting and len(found) < len(digests):
            oid = waiting.pop(0)
            commit = await revisions.find_commit(s, repo, oid) if oid not in commits else None
            if commit is None:
                continue
            commits.add(oid)
            waiting += commit.parents
            folders = [("", commit.tree)]
            while folders:
                prefix, tree = folders.pop()
                if (prefix, tree) in seen:
                    continue
                seen.add((prefix, tree))
                for item in await objects.folder(s, repo.id, tree):
                    if item.is_folder:
                        folders.append((f"{prefix}{item.name}/", item.oid))
                    elif item.lfs is not None and item.lfs.sha256 in digests:
                        found.setdefault(item.lfs.sha256, (f"{prefix}{item.name}", row.name))
    return found
