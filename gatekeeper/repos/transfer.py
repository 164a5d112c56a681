"""In and out of a local directory, for the operator: import, export."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.repos import cards, commits, lfs, listing
from gatekeeper.repos.attributes import LfsRules, default_file
from gatekeeper.repos.operations import AddFile, AddLfs, Operation
from gatekeeper.repos.paths import check_path, is_path
from gatekeeper.repos.storage import BATCH_BYTES, Store, object_key
from gatekeeper.repos.tables import Repo, RepoKind
from gatekeeper.repos.uploads import is_binary

_CARD = "README.md"
_INLINE_BYTES = 10**6
_SAMPLE_BYTES = 512
_SKIPPED_FOLDERS = frozenset({".git", ".cache", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A directory whose large files lie in the store already. Committing it is one short transaction."""

    operations: tuple[Operation, ...]
    stored: tuple[tuple[str, int], ...]


async def prepare(store: Store, directory: Path, *, kind: RepoKind = RepoKind.MODEL) -> Prepared:
    """Read `directory`; files above 1 MB, binary files and those that belong in LFS go to the store.

    Raises NotFound, and Invalid for a name that cannot be committed or a link, which could lead anywhere.
    """
    found = await asyncio.to_thread(_walk, directory)
    rules = LfsRules(default_file(kind))
    operations: list[Operation] = []
    stored: dict[str, int] = {}
    for path, file, size in found:
        if await asyncio.to_thread(_is_large, rules, path, file, size):
            sha256, copied = await _copy_in(store, file)
            stored[sha256] = copied
            operations.append(AddLfs(path, sha256, copied))
        else:
            operations.append(AddFile(path, await asyncio.to_thread(file.read_bytes)))
    return Prepared(tuple(operations), tuple(stored.items()))


def with_license(prepared: Prepared, license_id: str) -> Prepared:
    """`prepared` with `license: <license_id>` in its card, unless the card names a license already."""
    content = next((o.content for o in prepared.operations if isinstance(o, AddFile) and o.path == _CARD), b"")
    text = content.decode("utf-8", "replace")
    if cards.parse(text).license:
        return prepared
    front, separator, body = text.removeprefix("---\n").partition("\n---\n")
    if not (text.startswith("---\n") and separator):
        front, body = "", text
    card = "---\n" + f"license: {license_id}\n{front}".rstrip("\n") + f"\n---\n{body}"
    others = tuple(o for o in prepared.operations if not (isinstance(o, AddFile) and o.path == _CARD))
    return replace(prepared, operations=(*others, AddFile(_CARD, card.encode())))


async def commit_prepared(
    s: AsyncSession, store: Store, repo: Repo, prepared: Prepared, *, by: Principal, summary: str, branch: str = "main"
) -> str:
    """Commit what `prepare` read, beside what the branch holds already, and return the commit's id."""
    for sha256, size in prepared.stored:
        await lfs.possess(s, repo, sha256, size, person_id=by.person_id)
    return await commits.commit(s, repo, branch, prepared.operations, summary=summary, by=by, store=store)


async def export_directory(s: AsyncSession, store: Store, repo: Repo, commit: str, target: Path) -> int:
    """Write the files of `commit` below `target`, a directory that is new or empty; returns how many."""
    if await asyncio.to_thread(_is_taken, target):
        raise Invalid(f"{target} is not an empty directory.", next_step="Name a new directory.")
    entries = [entry for entry in await listing.tree(s, repo, commit, recursive=True) if entry.type == "file"]
    for entry in entries:
        if not is_path(entry.path):
            raise Invalid(f"The repository holds a path that cannot be written safely: {entry.path!r}.")
        file = target / entry.path
        await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        if entry.lfs is None:
            content = await listing.read_blob(s, repo, entry.oid)
            await asyncio.to_thread(file.write_bytes, content)
        else:
            await asyncio.to_thread(_copy_out, store, entry.lfs.sha256, file)
    return len(entries)


async def _copy_in(store: Store, file: Path) -> tuple[str, int]:
    """Copy a file into the store, hashed as it is read once; its digest and size."""
    async with store.stage() as staged:
        with await asyncio.to_thread(file.open, "rb") as source:
            while piece := await asyncio.to_thread(source.read, BATCH_BYTES):
                await staged.write(piece)
        return await staged.keep(), staged.size


def _copy_out(store: Store, sha256: str, target: Path) -> None:
    try:
        with store.open(object_key(sha256)) as file, target.open("xb") as made:
            while piece := file.read(BATCH_BYTES):
                made.write(piece)
    except FileNotFoundError:
        raise NotFound(f"The store lacks {sha256}.", next_step="Run `gatekeeper repos verify`.") from None


def _walk(directory: Path) -> list[tuple[str, Path, int]]:
    if not directory.is_dir():
        raise NotFound(f"{directory} is not a directory.", next_step="Name the directory that holds the files.")
    return sorted(_files(directory))


def _files(directory: Path) -> Iterator[tuple[str, Path, int]]:
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        _refuse_links(Path(folder), [*folders, *names])
        for name in names:
            file = Path(folder, name)
            path = check_path(file.relative_to(directory).as_posix())
            if not file.is_file():
                raise Invalid(f"{file} is no regular file.", next_step="Leave it out of the directory.")
            yield path, file, file.stat().st_size


def _refuse_links(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if (folder / name).is_symlink():
            raise Invalid(
                f"{folder / name} is a link, which could lead outside the directory.",
                next_step="Copy the directory with `cp -rL` and import the copy.",
            )


def _is_large(rules: LfsRules, path: str, file: Path, size: int) -> bool:
    if size == 0:
        return False
    if size > _INLINE_BYTES or rules.matches(path):
        return True
    with file.open("rb") as source:
        return is_binary(source.read(_SAMPLE_BYTES))


def _is_taken(target: Path) -> bool:
    return target.exists() and (not target.is_dir() or any(target.iterdir()))
