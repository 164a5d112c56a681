"""Git objects in the database: true ids, true bytes, a space of its own for each repository.

Objects never change, so folders are cached in the process by (repository, tree id). The cache is no authority: nobody
reaches a tree except through a commit that was looked up in the database.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from dulwich.objects import ObjectID, ShaFile, Tree, parse_tree
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import EntryNotFound
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.rows import Key, conditions, insert_missing
from gatekeeper.repos.tables import GitObject

FILE_MODE = 0o100644
FOLDER_MODE = 0o040000
EMPTY_TREE = Tree().id.decode()

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n"
)
POINTER_MAX_BYTES = 200
_QUERY_IDS = 500
_MAX_CACHED_ITEMS = 400_000


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """What a pointer file says about the bytes it stands for. `pointer_size` is the pointer's own size in bytes."""

    sha256: str
    size: int
    pointer_size: int


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a folder. `size` is that of the content a reader gets, 0 for a folder."""

    name: str
    mode: int
    oid: str
    size: int
    lfs: LfsPointer | None

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder, not a file."""
        return self.mode == FOLDER_MODE


class Folder(tuple[Item, ...]):
    """The rows of one tree, in Git's order."""

    @cached_property
    def named(self) -> dict[str, Item]:
        """The rows by name."""
        return {item.name: item for item in self}

    @cached_property
    def files_alike(self) -> dict[str, Item]:
        """The files by name in lower case."""
        return {item.name.lower(): item for item in self if not item.is_folder}


_folders: Lru[tuple[str, str], Folder] = Lru(_MAX_CACHED_ITEMS)


def pointer_text(sha256: str, size: int) -> bytes:
    """The pointer file git-lfs writes. Source: git-lfs docs/spec.md."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def parse_pointer(content: bytes) -> LfsPointer | None:
    """The pointer that `content` is, or None: only the exact form of `pointer_text` counts."""
    if len(content) > POINTER_MAX_BYTES or not (match := _POINTER.fullmatch(content)):
        return None
    return LfsPointer(match[1].decode(), int(match[2]), len(content))


async def write(s: AsyncSession, repo_id: str, objects: Iterable[ShaFile]) -> None:
    """Store `objects` in the repository; those it has are left alone."""
    rows = [
        {
            "repo_id": repo_id,
            "object_id": made.id.decode(),
            "kind": made.type_name.decode(),
            "content": made.as_raw_string(),
        }
        for made in objects
    ]
    await insert_missing(s, GitObject, rows)


async def read(s: AsyncSession, repo_id: str, oid: str, kind: str) -> bytes | None:
    """Content of the repository's object `oid`, or None when it has no such object of that kind."""
    query = sa.select(col(GitObject.content)).where(
        col(GitObject.repo_id) == repo_id, col(GitObject.object_id) == oid, col(GitObject.kind) == kind
    )
    return await s.scalar(query)


async def read_blob(s: AsyncSession, repo_id: str, oid: str) -> bytes:
    """Content of a blob; raises EntryNotFound."""
    content = await read(s, repo_id, oid, "blob")
    if content is None:
        raise EntryNotFound("There is no such file.", next_step="List the repository's files and try again.")
    return content


async def named_by_pointers(s: AsyncSession, repo_id: str) -> set[str]:
    """Digests of the large files that any commit of the repository names, reachable by a reference or not."""
    query = sa.select(col(GitObject.content)).where(
        col(GitObject.repo_id) == repo_id,
        col(GitObject.kind) == "blob",
        sa.func.length(col(GitObject.content)) <= POINTER_MAX_BYTES,
    )
    pointers = (parse_pointer(content) for content in await s.scalars(query))
    return {pointer.sha256 for pointer in pointers if pointer is not None}


async def folder(s: AsyncSession, repo_id: str, oid: str) -> Folder:
    """The rows of one tree, in Git's order."""
    return (await folders(s, repo_id, [oid]))[oid]


async def folders(s: AsyncSession, repo_id: str, oids: Sequence[str]) -> dict[str, Folder]:
    """The rows of several trees, read together. Raises LookupError when the database lacks one: it is damaged."""
    found = await folders_of(s, [(repo_id, oid) for oid in oids])
    return {oid: folder for (_, oid), folder in found.items()}


async def folders_of(s: AsyncSession, keys: Collection[Key]) -> dict[Key, Folder]:
    """The same for trees of several repositories."""
    found: dict[Key, Folder] = {}
    for key in keys:
        cached = Folder() if key[1] == EMPTY_TREE else _folders.get(key)
        if cached is not None:
            found[key] = cached
    missing = {key for key in keys if key not in found}
    if not missing:
        return found
    rows = {key: _parse(content) for key, content in (await read_many(s, missing, "tree")).items()}
    if len(rows) != len(missing):
        raise LookupError(f"these trees are not in their repositories: {sorted(missing - set(rows))[:3]}")
    blobs = {(key[0], oid) for key, tree in rows.items() for _, mode, oid in tree if mode != FOLDER_MODE}
    files = await measures(s, blobs)
    for key, tree in rows.items():
        made = Folder(_item(name, mode, oid, files.get((key[0], oid))) for name, mode, oid in tree)
        _folders.put(key, made, len(made) + 1)
        found[key] = made
    return found


async def read_many(s: AsyncSession, keys: Iterable[Key], kind: str) -> dict[Key, bytes]:
    """Contents of objects of one kind, whichever repositories they lie in; those that are not there are left out."""
    found: dict[Key, bytes] = {}
    for condition in conditions(col(GitObject.repo_id), col(GitObject.object_id), keys):
        query = sa.select(col(GitObject.repo_id), col(GitObject.object_id), col(GitObject.content))
        for repo_id, oid, content in await s.execute(query.where(condition, col(GitObject.kind) == kind)):
            found[repo_id, oid] = content
    return found


async def measures(s: AsyncSession, keys: Iterable[Key]) -> dict[Key, tuple[int, LfsPointer | None]]:
    """Size of each blob and the pointer it is, without reading large contents."""
    found: dict[Key, tuple[int, LfsPointer | None]] = {}
    length = sa.func.length(col(GitObject.content))
    small = sa.case((length <= POINTER_MAX_BYTES, col(GitObject.content)), else_=None)
    for condition in conditions(col(GitObject.repo_id), col(GitObject.object_id), keys):
        query = sa.select(col(GitObject.repo_id), col(GitObject.object_id), length, small)
        for repo_id, oid, size, content in await s.execute(query.where(condition, col(GitObject.kind) == "blob")):
            found[repo_id, oid] = (size, parse_pointer(content) if content is not None else None)
    return found


async def sizes(s: AsyncSession, repo_id: str, oids: Sequence[str]) -> dict[str, int]:
    """Length in bytes of each of these objects as Git keeps them: of a pointer, not of what it stands for."""
    found: dict[str, int] = {}
    for some in _batches(oids):
        query = sa.select(col(GitObject.object_id), sa.func.length(col(GitObject.content))).where(
            col(GitObject.repo_id) == repo_id, col(GitObject.object_id).in_(some)
        )
        found.update((oid, size) for oid, size in await s.execute(query))
    return found


def _parse(content: bytes) -> list[tuple[str, int, str]]:
    return [
        (name.decode("utf-8", "surrogateescape"), mode, oid.decode()) for name, mode, oid in parse_tree(content, 20)
    ]


def _item(name: str, mode: int, oid: str, file: tuple[int, LfsPointer | None] | None) -> Item:
    if mode == FOLDER_MODE:
        return Item(name, mode, oid, 0, None)
    if file is None:
        raise LookupError(f"the blob {oid} is not in its repository")
    size, pointer = file
    return Item(name, mode, oid, pointer.size if pointer else size, pointer)


def tree_of(rows: Iterable[tuple[str, int, str]]) -> Tree:
    """A Git tree of (name, mode, id) rows."""
    tree = Tree()
    for name, mode, oid in rows:
        tree.add(name.encode("utf-8", "surrogateescape"), mode, ObjectID(oid.encode()))
    return tree


def _batches(oids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (oids[start : start + _QUERY_IDS] for start in range(0, len(oids), _QUERY_IDS))
