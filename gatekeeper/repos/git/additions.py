"""A push by somebody who may not write: commits on top of a pull request, and nothing that was neither sent nor there.

What a proposal holds is decided as its base is. So it may not name a file of another commit by its id, nor stand on a
commit that its author may not see: that would lend what lies there. Comes before `checks`, which looks at all else.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import objects, revisions
from gatekeeper.repos.git.checks import MAX_COMMITS
from gatekeeper.repos.git.forms import check_commit, check_tree
from gatekeeper.repos.git.unpack import Unpacked
from gatekeeper.repos.objects import FOLDER_MODE, POINTER_MAX_BYTES
from gatekeeper.repos.tables import Repo


@dataclass(slots=True)
class _Held:
    """What some commits hold: ids of folders and files, and digests of large files."""

    oids: set[str] = field(default_factory=set)
    large: set[str] = field(default_factory=set)


async def added_large_files(s: AsyncSession, repo: Repo, pack: Unpacked, *, old: str, new: str, base: str) -> set[str]:
    """SHA-256 of the large files that the commits from `old` to `new` name, and that neither `old` nor `base` holds.

    old   head of the pull request
    base  the commit that it started from

    Raises Invalid unless all commits since `old` are in the pack, and what they hold is in it, in `old` or in `base`.
    """
    held = _Held()
    for commit in (old, base):
        await _hold(s, repo, (await revisions.require_commit(s, repo, commit)).tree, held)
    return await asyncio.to_thread(_look, pack, old, new, held)


async def _hold(s: AsyncSession, repo: Repo, tree: str, held: _Held) -> None:
    level = [] if tree in held.oids or tree == objects.EMPTY_TREE else [tree]
    while level:
        held.oids.update(level)
        found = await objects.folders(s, repo.id, level)
        items = [item for folder in found.values() for item in folder if item.oid not in held.oids]
        held.oids.update(item.oid for item in items if not item.is_folder)
        held.large.update(item.lfs.sha256 for item in items if item.lfs is not None)
        level = sorted({item.oid for item in items if item.is_folder})


def _look(pack: Unpacked, old: str, new: str, held: _Held) -> set[str]:
    named: set[str] = set()
    waiting = [(tree, True) for tree in _new_trees(pack, old, new)]
    seen = {oid for oid, _ in waiting}
    while waiting:
        oid, is_folder = waiting.pop()
        if oid in held.oids or oid == objects.EMPTY_TREE:
            continue
        packed = pack.objects.get(oid)
        if packed is None or packed.kind != ("tree" if is_folder else "blob"):
            raise Invalid(
                "The push names files that were not sent with it and are not in the pull request.",
                next_step="Run git fetch, start again from the pull request as it is now, and push that.",
            )
        if is_folder:
            rows = [(child, mode == FOLDER_MODE) for mode, child in check_tree(pack.read(oid)).values()]
            fresh = [row for row in rows if row[0] not in seen]
            seen.update(child for child, _ in fresh)
            waiting += fresh
        elif packed.size <= POINTER_MAX_BYTES and (pointer := objects.parse_pointer(pack.read(oid))):
            named.add(pointer.sha256)
    return named - held.large


def _new_trees(pack: Unpacked, old: str, new: str) -> Collection[str]:
    """The folder of each commit that stands on `old`, up to `new`. All of them were sent."""
    trees: dict[str, None] = {}
    seen, waiting = {new}, [new]
    while waiting:
        oid = waiting.pop()
        packed = pack.objects.get(oid)
        if packed is None or packed.kind != "commit":
            raise _not_on_top()
        if len(seen) > MAX_COMMITS:
            raise TooLarge(f"A push brings at most {MAX_COMMITS:,} new commits.", next_step="Push fewer commits.")
        node = check_commit(oid, pack)
        trees[node.tree] = None
        waiting += [parent for parent in dict.fromkeys(node.parents) if parent not in seen and parent != old]
        seen.update(node.parents)
    if old not in seen:
        raise _not_on_top()
    return trees


def _not_on_top() -> Invalid:
    return Invalid(
        "Without write access, a push adds commits to what the pull request holds, and does nothing else.",
        next_step="Run git fetch, put your commits on top of the pull request as it is now, and push again.",
    )
