"""Joining two lines of history: what a commit changed since another, and a three-way merge by path.

A file that both sides changed differently is a conflict; nothing is merged inside a file.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import EntryNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import commits, objects, refs, revisions
from gatekeeper.repos.drafts import Draft
from gatekeeper.repos.objects import EMPTY_TREE, Item
from gatekeeper.repos.operations import AddLfs
from gatekeeper.repos.tables import Repo

_NOTHING = objects.Folder()


@dataclass(frozen=True, slots=True)
class Change:
    """One file before and after; None where it was not there, or is there no more."""

    path: str
    before: Item | None
    after: Item | None


@dataclass(frozen=True, slots=True)
class Merge:
    """What joining `theirs` into `ours` would do.

    base       the newest commit that both come from
    changes    what `theirs` changed since then and `ours` has not, by path
    conflicts  paths that both changed, each in its own way
    """

    ours: str
    theirs: str
    base: str
    changes: tuple[Change, ...]
    conflicts: tuple[str, ...]


async def changes_between(s: AsyncSession, repo: Repo, old: str | None, new: str) -> list[Change]:
    """The files that differ between two commits, by path; all files of `new` where `old` is None."""
    before = (await revisions.require_commit(s, repo, old)).tree if old else EMPTY_TREE
    after = (await revisions.require_commit(s, repo, new)).tree
    found: list[Change] = []
    level: list[tuple[str, str | None, str | None]] = [("", before, after)]
    while level:  # a level of folders at a time; folders that are the same are never opened
        wanted = [oid for _, *pair in level for oid in pair if oid is not None]
        read = await objects.folders(s, repo.id, wanted)
        below: list[tuple[str, str | None, str | None]] = []
        for prefix, first, second in level:
            olds = {item.name: item for item in (read[first] if first else _NOTHING)}
            news = {item.name: item for item in (read[second] if second else _NOTHING)}
            for name in olds.keys() | news.keys():
                one, two = olds.get(name), news.get(name)
                if _row(one) == _row(two):
                    continue
                path = f"{prefix}{name}"
                folders = [item.oid if item is not None and item.is_folder else None for item in (one, two)]
                if any(folders):
                    below.append((f"{path}/", folders[0], folders[1]))
                files = [None if item is None or item.is_folder else item for item in (one, two)]
                if any(files):
                    found.append(Change(path, files[0], files[1]))
        level = below
    return sorted(found, key=lambda change: change.path)


async def plan(s: AsyncSession, repo: Repo, *, ours: str, theirs: str, began_at: str) -> Merge:
    """What merging `theirs` into `ours` would do. Nothing is changed.

    began_at  what `theirs` was made from: the base where one of the two was squashed since then
    """
    base = await merge_base(s, repo, ours, theirs) or began_at
    here = {change.path: change for change in await changes_between(s, repo, base, ours)}
    there = {change.path: change for change in await changes_between(s, repo, base, theirs)}
    wanted: list[Change] = []
    conflicts: set[str] = set()
    folders = {parent for path, change in here.items() if change.after for parent in _parents(path)}
    for path, change in there.items():
        other = here.get(path)
        if other is not None and _row(other.after) == _row(change.after):
            continue
        if other is not None or (change.after and _is_in_the_way(path, here, folders)):
            conflicts.add(path)
        else:
            wanted.append(change)
    return Merge(ours, theirs, base, tuple(wanted), tuple(sorted(conflicts)))


async def merge_base(s: AsyncSession, repo: Repo, one: str, other: str) -> str | None:
    """The first commit that is met, going back from `other` a step at a time, among those behind `one`."""
    behind = await _ancestors(s, repo, one)
    seen, level = {other}, [other]
    while level:
        for oid in level:
            if oid in behind:
                return oid
        found = [await revisions.find_commit(s, repo, oid) for oid in level]
        level = [oid for commit in found if commit for oid in commit.parents if oid not in seen]
        level = list(dict.fromkeys(level))
        seen.update(level)
    return None


async def apply(
    s: AsyncSession, repo: Repo, ref: str, merge: Merge, *, summary: str, description: str, by: Principal
) -> str:
    """Put the changes of `merge` on `ref` as one commit and return its id.

    Raises Stale when `ref` has moved, Invalid for a large file that the repository may not refer to any more.
    """
    brought = [(change.path, change.after.lfs) for change in merge.changes if change.after and change.after.lfs]
    await commits.possessed(s, repo, [AddLfs(path, lfs.sha256, lfs.size) for path, lfs in brought])
    ours = await revisions.require_commit(s, repo, merge.ours)
    draft = Draft(s, repo.id, ours.tree)
    gone = [change.path for change in merge.changes if change.after is None]
    for path in gone:
        await draft.remove(path)
    emptied = {parent for path in gone for parent in _parents(path)}
    for change in merge.changes:
        if change.after is None:
            continue
        if change.path in emptied:  # a folder made way for a file of its name
            with suppress(EntryNotFound):
                await draft.remove(change.path, folder=True)
        await draft.put(change.path, change.after.oid, change.after.mode)
    root, trees = draft.write()
    made = commits.commit_object(root, [merge.ours], summary, description, commits.author_of(by))
    await objects.write(s, repo.id, [*trees, made])
    oid = made.id.decode()
    await refs.move(s, repo, ref, old=merge.ours, new=oid)
    repo.updated_at = now()
    s.add(repo)
    body = {"ref": ref, "commit": oid, "parent": merge.ours, "merged": merge.theirs, "operations": len(merge.changes)}
    await ledger.record(
        s, "repos:branch:commit", actor=by.person_id, token=by.token_id, repo=repo.id, subject=oid, body=body
    )
    return oid


async def large_files_of(s: AsyncSession, repo: Repo, commit: str) -> set[str]:
    """SHA-256 of every LFS file that `commit` holds."""
    return {
        change.after.lfs.sha256
        for change in await changes_between(s, repo, None, commit)
        if change.after is not None and change.after.lfs is not None
    }


def _row(item: Item | None) -> tuple[int, str] | None:
    return None if item is None else (item.mode, item.oid)


def _is_in_the_way(path: str, here: Mapping[str, Change], folders: Iterable[str]) -> bool:
    """Whether our side has made a file where `path` needs a folder, or a folder where it would lie."""
    return path in folders or any(parent in here and here[parent].after for parent in _parents(path))


def _parents(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


async def _ancestors(s: AsyncSession, repo: Repo, start: str) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        commit = await revisions.find_commit(s, repo, waiting.pop())
        for parent in commit.parents if commit else ():
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen
