"""What scans found, as far as a repository's files lead to it: whoever may list the files may read their results."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos import listing
from gatekeeper.repos.listing import TreeEntry
from gatekeeper.repos.scanning import content
from gatekeeper.repos.scanning.verdict import SCANNER, Finding, Kind, Status, Verdict
from gatekeeper.repos.tables import ContentScan, FileScan, Repo

_QUERY_IDS = 500


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
    files = [entry for entry in entries if entry.type == "file"]
    known = await verdicts(s, repo.id, {entry.oid for entry in files})
    return {entry.path: FileResult(entry.path, known.get(entry.oid)) for entry in files}


async def results_now(s: AsyncSession, repo: Repo, entries: Sequence[TreeEntry]) -> dict[str, FileResult]:
    """Like `results_of`, but what Git holds itself is looked at here and now: only large files wait for the job."""
    known = await results_of(s, repo, entries)
    for entry in entries:
        if entry.type == "file" and entry.lfs is None and known[entry.path].verdict is None:
            blob = await listing.read_blob(s, repo, entry.oid)
            known[entry.path] = FileResult(entry.path, await asyncio.to_thread(content.examine_bytes, blob))
    return known


async def verdicts(s: AsyncSession, repo_id: str, object_ids: Iterable[str]) -> dict[str, Verdict]:
    """Verdicts of the present scanner, by Git blob."""
    oids = sorted(set(object_ids))
    found: dict[str, Verdict] = {}
    for start in range(0, len(oids), _QUERY_IDS):
        query = (
            sa.select(col(FileScan.object_id), col(ContentScan.format), col(ContentScan.result))
            .join(ContentScan, col(ContentScan.sha256) == col(FileScan.sha256))
            .where(
                col(FileScan.repo_id) == repo_id,
                col(FileScan.object_id).in_(oids[start : start + _QUERY_IDS]),
                col(ContentScan.scanner) == SCANNER,
            )
        )
        found |= {oid: Verdict.from_json(format, result) for oid, format, result in await s.execute(query)}
    return found


def issues(results: Mapping[str, FileResult]) -> list[FileResult]:
    """The files with something to tell, worst first."""
    order = list(Status)
    found = [result for result in results.values() if result.status.is_issue]
    return sorted(found, key=lambda result: (-order.index(result.status), result.path))


def is_done(results: Mapping[str, FileResult]) -> bool:
    """Whether every file has a verdict."""
    return all(result.verdict is not None for result in results.values())
