"""Copying a revision of one repository into another, without sending a byte."""

from collections.abc import Mapping

import sqlalchemy as sa
from dulwich.objects import Blob, ShaFile, Tree
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.repos import commits, large_files, listing, objects, refs, revisions
from gatekeeper.repos.tables import GitObject, Repo

_BATCH = 200


async def copy_files(s: AsyncSession, source: Repo, commit: str, target: Repo, *, by: Principal) -> str:
    """Make the files of `commit` the one commit of the new repository `target`; returns its id.

    History is not copied: it may hold what the caller may not see. The target has the source's gate.

    INVARIANT: called only after a decision that the caller may download every file of `commit`.
    """
    head = await revisions.read_ref(s, target, refs.MAIN)
    tree = (await revisions.require_commit(s, source, commit)).tree
    entries = await listing.tree(s, source, commit, recursive=True)
    wanted = sorted({tree, *(entry.oid for entry in entries)} - {objects.EMPTY_TREE})
    for start in range(0, len(wanted), _BATCH):
        await _copy(s, source, target, wanted[start : start + _BATCH])
    digests = [entry.lfs.sha256 for entry in entries if entry.lfs is not None]
    await large_files.share(s, source, target, digests, by=by)
    made = commits.commit_object(tree, [], f"Duplicate of {source.full_name}", "", commits.author_of(by))
    await objects.write(s, target.id, [made] if tree != objects.EMPTY_TREE else [Tree(), made])
    oid = made.id.decode()
    if head is None:
        raise refs.stale()
    await refs.move(s, target, refs.MAIN, old=head, new=oid)
    target.gate = source.gate
    s.add(target)
    body = {"from": source.id, "source_commit": commit, "commit": oid}
    await ledger.record(
        s, "repos:repo:duplicate", actor=by.person_id, token=by.token_id, repo=target.id, subject=oid, body=body
    )
    return oid


async def share_files(
    s: AsyncSession, source: Repo, target: Repo, files: Mapping[str, tuple[str, str]], *, by: Principal
) -> None:
    """Let `target` refer to large files of `source`.

    files  by SHA-256, a path and a commit at which it lies

    INVARIANT: called only after a decision that the caller may copy each of them from that commit.
    """
    await large_files.share(s, source, target, files, by=by)
    for sha256, (path, commit) in files.items():
        body = {"to": target.id, "path": path, "digest": sha256}
        await ledger.record(
            s, "repos:file:copy", actor=by.person_id, token=by.token_id, repo=source.id, subject=commit, body=body
        )


async def _copy(s: AsyncSession, source: Repo, target: Repo, oids: list[str]) -> None:
    query = sa.select(col(GitObject.kind), col(GitObject.content)).where(
        col(GitObject.repo_id) == source.id, col(GitObject.object_id).in_(oids)
    )
    types: dict[str, type[ShaFile]] = {"blob": Blob, "tree": Tree}
    rows = (await s.execute(query)).all()
    await objects.write(s, target.id, [types[kind].from_string(content) for kind, content in rows])
