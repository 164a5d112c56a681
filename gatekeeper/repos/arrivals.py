"""What follows from commits that arrive, by whichever door: every change of a reference comes through here."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import jobs
from gatekeeper.repos import cards
from gatekeeper.repos.catalogue_tags import LONGEST_TAG
from gatekeeper.repos.paths import is_lookup
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import CardTag, Repo

SCAN_JOB = "repos:scan"
_MOST_COMMITS = 200


async def note(s: AsyncSession, repo: Repo, commits: Iterable[str]) -> None:
    """Index the cards of new commits, and have their files scanned once the caller's transaction is durable."""
    oids = list(dict.fromkeys(commits))
    for oid in oids:
        await index(s, repo, oid)
    for start in range(0, len(oids), _MOST_COMMITS):
        await jobs.enqueue(s, SCAN_JOB, {"repo": repo.id, "commits": oids[start : start + _MOST_COMMITS]})


async def index(s: AsyncSession, repo: Repo, commit: str) -> None:
    """Let searches by the tags of this commit's card find the repository."""
    tags = [tag for tag in (await cards.card_of(s, repo, commit)).search_tags if is_lookup(tag, limit=LONGEST_TAG)]
    await insert_missing(s, CardTag, [{"repo_id": repo.id, "tag": tag} for tag in tags])
