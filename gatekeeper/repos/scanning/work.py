"""The job behind a commit: look at what nobody has looked at yet. Content is read from the store as it is needed."""

import asyncio
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import jobs, ledger
from gatekeeper.db import Database
from gatekeeper.errors import EntryNotFound, Unavailable
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.repos import arrivals, listing, refs, revisions
from gatekeeper.repos.listing import TreeEntry
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.scanning import content, results
from gatekeeper.repos.scanning.source import Budget, ranged
from gatekeeper.repos.scanning.verdict import SCANNER, Verdict
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import ContentScan, FileScan, Repo

_TURN_SECONDS = 150.0  # a job's lease is twice that
_BATCH = 100
_BATCH_SECONDS = 2.0


@dataclass(slots=True)
class Scanned:
    """What a turn did. `is_done` is False where time ended before the files did; what is unreadable has no verdict."""

    files: int = 0
    issues: int = 0
    unreadable: int = 0
    is_done: bool = True


@dataclass(frozen=True, slots=True)
class _Seen:
    entry: TreeEntry
    sha256: str
    verdict: Verdict
    is_new: bool


async def handle(db: Database, store: Store, payload: dict[str, Any]) -> None:
    """The handler of `repos:scan`. What does not fit in a turn is promised anew."""
    since = datetime.fromisoformat(payload["since"]) if "since" in payload else None
    done = await scan(db, store, payload["repo"], payload["commits"], seconds=_TURN_SECONDS, since=since)
    if not done.is_done:
        async with db.write() as s:
            await jobs.enqueue(s, arrivals.SCAN_JOB, payload)
    if done.unreadable:
        raise OSError(f"{done.unreadable} files could not be read")  # the job is tried again, later


async def scan(
    db: Database,
    store: Store,
    repo_id: str,
    commits: Sequence[str],
    *,
    seconds: float,
    since: datetime | None = None,
) -> Scanned:
    """Scan the files of `commits` that have no verdict of the present scanner, or one from before `since`.

    Opens transactions of its own, none of them while it looks at content.
    """
    done, ends = Scanned(), time.monotonic() + seconds
    async with db.read() as s:
        repo = await s.get(Repo, repo_id)
        if repo is None or repo.deleted_at is not None:
            return done
        waiting = await _waiting(s, repo, commits, since=since)
    batch: list[_Seen] = []
    began = time.monotonic()
    for entry in waiting:
        if time.monotonic() > ends:
            done.is_done = False
            break
        if (seen := await _look(db, store, repo, entry, since=since)) is None:
            done.unreadable += 1
            continue
        batch.append(seen)
        if len(batch) >= _BATCH or time.monotonic() - began > _BATCH_SECONDS:
            await _keep(db, repo, batch, done)
            batch, began = [], time.monotonic()
    await _keep(db, repo, batch, done)
    return done


async def heads(s: AsyncSession, repo: Repo) -> list[str]:
    """The commits that the repository's references point at."""
    return list(dict.fromkeys([await revisions.peel(s, repo, ref.object_id) for ref in await refs.listing(s, repo)]))


async def _waiting(s: AsyncSession, repo: Repo, commits: Sequence[str], *, since: datetime | None) -> list[TreeEntry]:
    """The files to look at, each content once."""
    found: dict[str, TreeEntry] = {}
    for oid in commits:
        if await revisions.find_commit(s, repo, oid) is None:
            continue  # rewritten since
        for entry in await listing.tree(s, repo, oid, recursive=True):
            if entry.type == "file":
                found.setdefault(entry.oid, entry)
    known = await results.verdicts(s, ((repo.id, oid) for oid in found), since=since)
    return [entry for oid, entry in found.items() if (repo.id, oid) not in known]


async def _look(db: Database, store: Store, repo: Repo, entry: TreeEntry, *, since: datetime | None) -> _Seen | None:
    async with db.read() as s:
        try:
            blob = b"" if entry.lfs else await listing.read_blob(s, repo, entry.oid)
        except EntryNotFound:
            return None
        sha256 = entry.lfs.sha256 if entry.lfs else await asyncio.to_thread(sha256_hex, blob)
        known = await s.get(ContentScan, (sha256, SCANNER))
    if known is not None and (since is None or known.scanned_at >= since):
        return _Seen(entry, sha256, Verdict.from_json(known.format, known.result), is_new=False)
    try:
        if entry.lfs is None:
            verdict = await asyncio.to_thread(content.examine_bytes, blob)
        else:
            verdict = await asyncio.to_thread(_examine, store, sha256)
    except (OSError, Unavailable):
        return None
    return _Seen(entry, sha256, verdict, is_new=True)


def _examine(store: Store, sha256: str) -> Verdict:
    """Look at a file in the store; for a thread."""
    budget = Budget(seconds=content.FILE_SECONDS, total_bytes=content.FILE_BYTES)
    with store.open(object_key(sha256)) as file:
        size = file.seek(0, io.SEEK_END)

        def fetch(start: int, end: int) -> bytes:
            file.seek(start)
            return file.read(end - start)

        return content.examine(ranged(fetch, size, budget), size, budget)


async def _keep(db: Database, repo: Repo, batch: Sequence[_Seen], done: Scanned) -> None:
    if not batch:
        return
    async with db.write() as s:
        for seen in batch:
            done.files += 1
            if seen.is_new:
                await _replace(s, seen)
            result = results.FileResult(seen.entry.path, seen.verdict)
            row = {"repo_id": repo.id, "object_id": seen.entry.oid, "sha256": seen.sha256}
            is_first = await insert_missing(s, FileScan, [row]) == 1
            if result.status.is_issue:
                done.issues += 1
                if is_first or seen.is_new:
                    await _record(s, repo, seen, result)


async def _replace(s: AsyncSession, seen: _Seen) -> None:
    same = (col(ContentScan.sha256) == seen.sha256, col(ContentScan.scanner) == SCANNER)
    await s.execute(sa.delete(ContentScan).where(*same))
    made = ContentScan(
        sha256=seen.sha256,
        scanner=SCANNER,
        format=seen.verdict.format,
        status=seen.verdict.status,
        result=seen.verdict.as_json(),
    )
    await insert_missing(s, ContentScan, [made.model_dump()])


async def _record(s: AsyncSession, repo: Repo, seen: _Seen, result: results.FileResult) -> None:
    body = {
        "status": result.status.value,
        "kinds": sorted({finding.kind.value for finding in result.findings}),
        "object": seen.entry.oid,
        "scanner": SCANNER,
    }
    await ledger.record(s, "repos:file:flag", repo=repo.id, subject=seen.sha256, body=body)
