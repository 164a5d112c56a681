"""Scans for whoever runs the hub: files with something to tell, wherever they lie, and looking again."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import jobs, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.repos import arrivals, listing, refs
from gatekeeper.repos.scanning import work
from gatekeeper.repos.scanning.results import FileResult
from gatekeeper.repos.scanning.verdict import SCANNER, Status, Verdict
from gatekeeper.repos.tables import ContentScan, FileScan, Repo

_MOST_REPOS = 20  # whose files are looked for by name


@dataclass(frozen=True, slots=True)
class Flagged:
    """A file that a scan has something to tell about. `path` is "" where main does not have it (any more)."""

    repo: Repo
    commit: str
    result: FileResult

    @property
    def path(self) -> str:
        """Where it lies on main."""
        return self.result.path


async def count_flagged(s: AsyncSession, *, most: int) -> int:
    """How many files have a verdict that people should know, counted up to a bound."""
    found = _with_issues(sa.select(col(FileScan.object_id)).select_from(Repo)).limit(most).subquery()
    return int(await s.scalar(sa.select(sa.func.count()).select_from(found)) or 0)


async def flagged(s: AsyncSession, *, limit: int, offset: int = 0) -> list[Flagged]:
    """Files with a verdict that people should know, worst first, from the place `offset` on."""
    order = sa.case((col(ContentScan.status) == Status.UNSAFE.value, 0), else_=1)
    query = _with_issues(sa.select(Repo, col(FileScan.object_id), col(ContentScan.format), col(ContentScan.result)))
    query = (
        query.order_by(order, col(ContentScan.scanned_at).desc(), col(FileScan.object_id)).limit(limit).offset(offset)
    )
    rows = (await s.execute(query)).all()
    repos = list({repo.id: repo for repo, *_ in rows}.values())[:_MOST_REPOS]
    heads = await refs.heads(s, [repo.id for repo in repos])
    paths: dict[tuple[str, str], str] = {}
    for repo in repos:
        if head := heads.get(repo.id):
            for entry in await listing.tree(s, repo, head, recursive=True):
                if entry.type == "file":
                    paths.setdefault((repo.id, entry.oid), entry.path)
    return [
        Flagged(
            repo,
            heads.get(repo.id, ""),
            FileResult(paths.get((repo.id, oid), ""), Verdict.from_json(format, result)),
        )
        for repo, oid, format, result in rows
    ]


async def scan_again(s: AsyncSession, repo: Repo, *, by: Principal) -> None:
    """Have everything that the repository's references lead to looked at anew, by the job that looks at new files."""
    commits = await work.heads(s, repo)
    await ledger.record(s, "repos:file:rescan", actor=by.person_id, token=by.token_id, repo=repo.id)
    await jobs.enqueue(s, arrivals.SCAN_JOB, {"repo": repo.id, "commits": commits, "since": now()})


def _with_issues(query: sa.Select[Any]) -> sa.Select[Any]:
    """A query on Repo, narrowed to files with a verdict that people should know."""
    return (
        query.join(FileScan, col(FileScan.repo_id) == col(Repo.id))
        .join(ContentScan, col(ContentScan.sha256) == col(FileScan.sha256))
        .where(
            col(ContentScan.scanner) == SCANNER,
            col(ContentScan.status).in_([status.value for status in Status if status.is_issue]),
            col(Repo.deleted_at).is_(None),
        )
    )
