"""Who had a part in a released commit, as the evidence and the pull request that it came by have it."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases.tables import Release

_MADE = frozenset({"repos:branch:commit", "repos:repo:duplicate"})
_SQUASH = "repos:branch:squash"
_REWRITTEN = frozenset({_SQUASH, "repos:branch:rewrite"})
_HISTORY = "repos:history:rewrite"  # its subject is the repository

# This room lies above this one: its tables are named, not imported.
_PULL = sa.table("discussion", *map(sa.column, ("id", "repo_id", "merge_commit", "author_id")))
_EVENT = sa.table(
    "discussion_event", *map(sa.column, ("discussion_id", "kind", "author_id")), sa.column("data", sa.JSON)
)


@dataclass(frozen=True, slots=True)
class Makers:
    """People by id.

    authors   whose files they are
    handlers  who merged or squashed them, or wrote the history anew in which they lie
    """

    authors: frozenset[str]
    handlers: frozenset[str]


async def makers(session: AsyncSession, release: Release) -> Makers:
    """Who made the released commit, looked for behind squashes and rewrites, too."""
    authors: set[str] = set()
    handlers: set[str] = set()
    known, commits = {release.commit_id}, {release.commit_id}
    while commits:
        query = sa.select(LedgerEvent).where(
            col(LedgerEvent.subject_id).in_({*commits, release.repo_id}),
            col(LedgerEvent.repo_id) == release.repo_id,
            col(LedgerEvent.kind).in_({*_MADE, *_REWRITTEN, _HISTORY}),
        )
        events = list(await session.scalars(query))
        proposed, squashed = await _proposed_by(session, release, commits)
        authors |= proposed
        handlers |= squashed
        before: set[str] = set()
        for event in events:
            if event.kind == _HISTORY:
                old = {pair["before"] for pair in event.body["renamed"] if pair["commit"] in commits}
                if not old:
                    continue
            else:
                old = {event.body["before"]} if event.kind in _REWRITTEN else set()
            before |= old
            if event.actor_id is not None:
                (handlers if proposed or old else authors).add(event.actor_id)
        commits = before - known
        known |= commits
    return Makers(frozenset(authors), frozenset(handlers))


async def _proposed_by(session: AsyncSession, release: Release, commits: set[str]) -> tuple[set[str], set[str]]:
    """Who opened a pull request that was merged as one of the commits or committed to it, and who only squashed it."""
    merged = sa.and_(_PULL.c.repo_id == release.repo_id, _PULL.c.merge_commit.in_(commits))
    opened = sa.select(_PULL.c.author_id, sa.null().label("oid")).where(merged)
    committed = sa.select(_EVENT.c.author_id, _EVENT.c.data["oid"].as_string()).where(
        _EVENT.c.kind == "commit", _EVENT.c.discussion_id.in_(sa.select(_PULL.c.id).where(merged))
    )
    found = [(row.author_id, row.oid) for row in await session.execute(opened.union(committed))]
    if not found:
        return set(), set()
    squashes = sa.select(col(LedgerEvent.subject_id), col(LedgerEvent.actor_id)).where(
        col(LedgerEvent.repo_id) == release.repo_id,
        col(LedgerEvent.kind) == _SQUASH,
        col(LedgerEvent.subject_id).in_({oid for _, oid in found}),
    )
    squashed = {row.subject_id: row.actor_id for row in await session.execute(squashes)}
    return {by for by, oid in found if oid not in squashed} - {None}, set(squashed.values()) - {None}
