"""What scans found, as far as a repository's files lead to it: whoever may list the files may read their results."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos import listing
from gatekeeper.repos.listing import TreeEntry
from gatekeeper.repos.rows import Key, conditions
from gatekeeper.repos.scanning import content
from gatekeeper.repos.scanning.verdict import SCANNER, Finding, Kind, Status, Verdict
from gatekeeper.repos.tables import ContentScan, FileScan, Repo

_BATCH, _BATCH_BYTES = 200, 8 * 2**20


@dataclass(frozen=True, slots=True)
class FileResult:
    """What is known of one file. `verdict` is None before the scan."""

    path: str
    verdict: Verdict | None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the content, and with the name it has here."""
        if self.verdict is None:
            return ()
        found = tuple(self.verdict.findings)
        if self.path.lower().endswith(".safetensors") and self.verdict.format != "safetensors":
            wrong = f"It is called safetensors and is none: by its bytes it is {self.verdict.format}."
            found += (Finding(Kind.SAFETENSORS, Status.UNSAFE, wrong),)
        return found

    @property
    def status(self) -> Status:
        """The worst of its findings."""
        if self.verdict is None:
            return Status.UNSCANNED
        order = list(Status)
        return max((finding.status for finding in self.findings), key=order.index, default=Status.SAFE)

    @property
    def is_pickle(self) -> bool:
        """Whether loading it would unpickle, whatever it is called."""
        return self.verdict is not None and (self.verdict.format == "pickle" or bool(self.verdict.imports))


async def results_of(s: AsyncSession, repo: Repo, entries: Iterable[TreeEntry]) -> dict[str, FileResult]:
    """What is known of each of these files, by path; folders are left out."""
    return (await results_of_each(s, {repo.id: entries}))[repo.id]


async def results_of_each(
    s: AsyncSession, entries: Mapping[str, Iterable[TreeEntry]]
) -> dict[str, dict[str, FileResult]]:
    """The same for files of several repositories, by the repository's id."""
    files = {repo_id: [entry for entry in some if entry.type == "file"] for repo_id, some in entries.items()}
    known = await verdicts(s, {(repo_id, entry.oid) for repo_id, some in files.items() for entry in some})
    return {
        repo_id: {entry.path: FileResult(entry.path, known.get((repo_id, entry.oid))) for entry in some}
        for repo_id, some in files.items()
    }


async def results_now(s: AsyncSession, repo: Repo, entries: Sequence[TreeEntry]) -> dict[str, FileResult]:
    """Like `results_of`, but what Git holds itself is looked at here and now: only large files wait for the job."""
    known = await results_of(s, repo, entries)
    waiting = [entry for entry in entries if entry.path in known and known[entry.path].verdict is None]
    for some in _batches([entry for entry in waiting if entry.lfs is None]):
        blobs = await listing.read_blobs(s, {(repo.id, entry.oid) for entry in some})
        for entry in some:
            blob = blobs[repo.id, entry.oid]
            known[entry.path] = FileResult(entry.path, await asyncio.to_thread(content.examine_bytes, blob))
    return known


async def verdicts(s: AsyncSession, keys: Iterable[Key], *, since: datetime | None = None) -> dict[Key, Verdict]:
    """Verdicts of the present scanner, by repository and Git blob; only those from `since` on."""
    found: dict[Key, Verdict] = {}
    for condition in conditions(col(FileScan.repo_id), col(FileScan.object_id), keys):
        query = (
            sa.select(col(FileScan.repo_id), col(FileScan.object_id), col(ContentScan.format), col(ContentScan.result))
            .join(ContentScan, col(ContentScan.sha256) == col(FileScan.sha256))
            .where(condition, col(ContentScan.scanner) == SCANNER)
        )
        if since is not None:
            query = query.where(col(ContentScan.scanned_at) >= since)
        for repo_id, oid, format, result in await s.execute(query):
            found[repo_id, oid] = Verdict.from_json(format, result)
    return found


def issues(results: Mapping[str, FileResult]) -> list[FileResult]:
    """The files with something to tell, worst first."""
    order = list(Status)
    found = [result for result in results.values() if result.status.is_issue]
    return sorted(found, key=lambda result: (-order.index(result.status), result.path))


def _batches(entries: Iterable[TreeEntry]) -> Iterator[list[TreeEntry]]:
    """The files in groups that are read together: few of them are large."""
    batch: list[TreeEntry] = []
    for entry in entries:
        batch.append(entry)
        if sum(each.size for each in batch) >= _BATCH_BYTES or len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def is_done(results: Mapping[str, FileResult]) -> bool:
    """Whether every file has a verdict."""
    return all(result.verdict is not None for result in results.values())
