"""What lies in a commit: folders, files, and the bytes behind a file."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.errors import EntryNotFound
from gatekeeper.repos import objects, revisions
from gatekeeper.repos.objects import Item, LfsPointer
from gatekeeper.repos.paths import is_path
from gatekeeper.repos.revisions import Commit
from gatekeeper.repos.rows import Key
from gatekeeper.repos.tables import Repo

_MAX_HISTORY = 1_000


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file or folder of a commit. `size` in bytes is that of the content a reader gets, 0 for a folder."""

    path: str
    type: Literal["file", "directory"]
    oid: str
    size: int
    lfs: LfsPointer | None


async def tree(s: AsyncSession, repo: Repo, commit: str, path: str = "", *, recursive: bool = False) -> list[TreeEntry]:
    """The entries of a folder, by path; with `recursive` everything below it, each folder before what it holds.

    Raises EntryNotFound when `path` is no folder of the commit.
    """
    root = await _folder_id(s, repo, commit, path.strip("/"))
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    if not recursive:
        return [_entry(prefix, item) for item in await objects.folder(s, repo.id, root)]
    found: list[TreeEntry] = []
    level = [(prefix, root)]
    while level:  # one level of folders at a time, so that the database is asked once a level
        read = await objects.folders(s, repo.id, [oid for _, oid in level])
        below: list[tuple[str, str]] = []
        for prefix_here, oid in level:
            for item in read[oid]:
                found.append(_entry(prefix_here, item))
                if item.is_folder:
                    below.append((f"{prefix_here}{item.name}/", item.oid))
        level = below
    return sorted(found, key=lambda entry: entry.path.split("/"))


async def warm(s: AsyncSession, places: Collection[Key], *, is_whole: bool = False) -> None:
    """Read the root folders of many commits, each of a repository, together: what is asked of one of them next is then
    found without the database. With `is_whole` every folder below, too, one level at a time.
    """
    level = {(place[0], found.tree) for place, found in (await revisions.find_commits(s, places)).items()}
    seen: set[Key] = set()
    while level:
        read = await objects.folders_of(s, level)
        seen |= level
        below = ((key[0], item.oid) for key, rows in read.items() for item in rows if item.is_folder)
        level = {key for key in below if key not in seen} if is_whole else set()


async def entry(s: AsyncSession, repo: Repo, commit: str, path: str) -> TreeEntry:
    """The file or folder at `path`; raises EntryNotFound."""
    found = await find_entry(s, repo, commit, path)
    if found is None:
        raise _missing(path)
    return found


async def find_entry(s: AsyncSession, repo: Repo, commit: str, path: str) -> TreeEntry | None:
    """The file or folder at `path`, or None."""
    if not is_path(path):
        return None
    here = (await revisions.require_commit(s, repo, commit)).tree
    *parents, name = path.split("/")
    for segment in parents:
        item = (await objects.folder(s, repo.id, here)).named.get(segment)
        if item is None or not item.is_folder:
            return None
        here = item.oid
    item = (await objects.folder(s, repo.id, here)).named.get(name)
    return None if item is None else _entry(f"{'/'.join(parents)}/" if parents else "", item)


async def find_each(s: AsyncSession, places: Collection[tuple[Repo, str, str]]) -> list[TreeEntry | None]:
    """The same for many places, each a repository, a commit and a path: one look at the database for each level."""
    commits = await revisions.find_commits(s, {(repo.id, commit) for repo, commit, _ in places})
    level = [(repo.id, commits[repo.id, commit].tree, path.split("/")) for repo, commit, path in places]
    while level:
        read = await objects.folders_of(s, {(repo_id, oid) for repo_id, oid, _ in level})
        below = [(place[0], read[place[0], place[1]].named.get(place[2][0]), place[2][1:]) for place in level]
        level = [(repo_id, item.oid, rest) for repo_id, item, rest in below if item and item.is_folder and rest]
    return [await find_entry(s, *place) for place in places]  # of folders that have just been read


async def files_alike(s: AsyncSession, repo: Repo, commit: str, names: Iterable[str]) -> dict[str, TreeEntry]:
    """Files at the top of the commit by their name in lower case, as far as that is among `names`."""
    rows = (await objects.folder(s, repo.id, await _folder_id(s, repo, commit, ""))).files_alike
    return {name: _entry("", rows[name]) for name in names if name in rows}


async def entries(s: AsyncSession, repo: Repo, commit: str, paths: Iterable[str]) -> list[TreeEntry]:
    """The entries at those of `paths` that exist, in the order asked."""
    found = [await find_entry(s, repo, commit, path.strip("/")) for path in dict.fromkeys(paths)]
    return [known for known in found if known is not None]


async def read_blob(s: AsyncSession, repo: Repo, oid: str) -> bytes:
    """The Git blob `oid`: a file's content, or its pointer when the file is in LFS. Raises EntryNotFound."""
    return await objects.read_blob(s, repo.id, oid)


async def read_blobs(s: AsyncSession, keys: Iterable[Key]) -> dict[Key, bytes]:
    """Git blobs of several repositories, by repository and id; those that are not there are left out."""
    return await objects.read_many(s, keys, "blob")


async def last_commits(s: AsyncSession, repo: Repo, commit: str, paths: Iterable[str]) -> dict[str, Commit]:
    """The last commit on the first-parent line that changed each of `paths`, which exist (1,000 commits back).

    One walk for all: folders are compared from the root, and those that a commit left as they were are not opened.
    """
    here = await revisions.require_commit(s, repo, commit)
    wanted, found = set(paths), dict[str, Commit]()
    for _ in range(_MAX_HISTORY):
        parent = await revisions.find_commit(s, repo, here.parents[0]) if here.parents else None
        changed = await _changed(s, repo, here.tree, parent.tree if parent else None, wanted)
        found |= dict.fromkeys(changed, here)
        wanted -= changed
        if parent is None or not wanted:
            break
        here = parent
    return found | dict.fromkeys(wanted, here)


async def _changed(s: AsyncSession, repo: Repo, tree: str, before: str | None, paths: Iterable[str]) -> set[str]:
    """Those of `paths` that are not the same in two trees."""
    changed: set[str] = set()
    waiting = [("", tree, before, list(paths))]
    while waiting:
        prefix, new, old, some = waiting.pop()
        if new == old:
            continue
        rows = (await objects.folder(s, repo.id, new)).named
        rows_before = (await objects.folder(s, repo.id, old)).named if old else {}
        below: dict[str, list[str]] = {}
        for path in some:
            name, _, rest = path.removeprefix(prefix).partition("/")
            if name in rows and name in rows_before and rows[name].oid == rows_before[name].oid:
                continue
            if rest:
                below.setdefault(name, []).append(path)
            else:
                changed.add(path)
        for name, inside in below.items():
            was = rows_before.get(name)
            waiting.append((f"{prefix}{name}/", rows[name].oid, was.oid if was and was.is_folder else None, inside))
    return changed


async def _folder_id(s: AsyncSession, repo: Repo, commit: str, path: str) -> str:
    if not path:
        return (await revisions.require_commit(s, repo, commit)).tree
    found = await find_entry(s, repo, commit, path)
    if found is None or found.type != "directory":
        raise _missing(path)
    return found.oid


def _entry(prefix: str, item: Item) -> TreeEntry:
    kind: Literal["file", "directory"] = "directory" if item.is_folder else "file"
    return TreeEntry(f"{prefix}{item.name}", kind, item.oid, item.size, item.lfs)


def _missing(path: str) -> EntryNotFound:
    return EntryNotFound(
        "Entry not found", next_step="List the repository's files and try again.", details={"path": path}
    )
