"""What a pull request changes, for people to read: a unified text where a file is small text, a sentence where not."""

import asyncio
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.repos import history, uploads
from gatekeeper.repos.merging import Change
from gatekeeper.repos.objects import Item
from gatekeeper.repos.tables import Repo

MAX_FILES = 300
_MAX_TEXT_FILES = 60
_MAX_FILE_BYTES = 128 * 1024
_MAX_FILE_LINES = 3_000  # comparing takes the product of both sides
_MAX_BYTES = 2**20

MayRead = Callable[[str, bool], bool]  # path, is it in LFS


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file's change: `lines` of a unified diff, or a `note` that says why there are none."""

    path: str
    is_new: bool
    is_gone: bool
    head: tuple[str, ...]
    lines: tuple[str, ...] = ()
    note: str = ""

    @property
    def text(self) -> str:
        """As `git diff` would print it."""
        body = self.lines or ((f"# {self.note}",) if self.note else ())
        return "".join(f"{line}\n" for line in (*self.head, *body))


async def diff(s: AsyncSession, repo: Repo, changes: Sequence[Change], *, may_read: MayRead) -> list[FileDiff]:
    """The changes as their reader may see them, at most MAX_FILES. Content that they may not read is left out."""
    found: list[FileDiff] = []
    left, texts = _MAX_BYTES, 0
    for change in changes[:MAX_FILES]:
        note = _note(change, may_read)
        if not note and (left <= 0 or texts >= _MAX_TEXT_FILES):
            note = "not shown: the changes are too long to show them all"
        if note:
            found.append(_summary(change, note))
            continue
        before, after = [await _content(s, repo, item) for item in (change.before, change.after)]
        made = await asyncio.to_thread(_compared, change, before, after)
        texts += 1
        left -= sum(len(line) for line in made.lines)
        found.append(made)
    return found


def text_of(files: Sequence[FileDiff], *, count: int) -> str:
    """All of it as one text; `count` is how many files were changed in all."""
    more = [f"# {count - len(files)} more files are not shown\n"] if count > len(files) else []
    return "".join([file.text for file in files] + more)


def _note(change: Change, may_read: MayRead) -> str:
    sides = [item for item in (change.before, change.after) if item is not None]
    if not all(may_read(change.path, item.lfs is not None) for item in sides):
        return "not shown: you may not read this file"
    if any(item.lfs is not None for item in sides):
        return f"large file: {_size(change.before)} before, {_size(change.after)} after"
    if any(item.size > _MAX_FILE_BYTES for item in sides):
        return f"too long to compare: {_size(change.before)} before, {_size(change.after)} after"
    return ""


def _size(item: Item | None) -> str:
    if item is None:
        return "nothing"
    return f"{item.size:,} bytes" + (f" (SHA-256 {item.lfs.sha256[:16]})" if item.lfs else "")


async def _content(s: AsyncSession, repo: Repo, item: Item | None) -> bytes:
    return await history.read_blob(s, repo, item.oid) if item is not None else b""


def _compared(change: Change, before: bytes, after: bytes) -> FileDiff:
    if uploads.is_binary(before) or uploads.is_binary(after):
        return _summary(change, "binary files differ")
    old, new = [content.decode("utf-8", "replace").splitlines() for content in (before, after)]
    if max(len(old), len(new)) > _MAX_FILE_LINES:
        return _summary(change, f"too long to compare: {len(old):,} lines before, {len(new):,} after")
    lines = list(difflib.unified_diff(old, new, lineterm=""))[2:]  # without the names, which are told here
    return FileDiff(
        change.path, change.before is None, change.after is None, (*_heading(change), *_sides(change)), tuple(lines)
    )


def _summary(change: Change, note: str) -> FileDiff:
    return FileDiff(change.path, change.before is None, change.after is None, tuple(_heading(change)), (), note)


def _heading(change: Change) -> Iterator[str]:
    path = _shown(change.path)
    yield f"diff --git a/{path} b/{path}"
    match change.before, change.after:
        case None, Item() as made:
            yield f"new file mode {made.mode:o}"
        case Item() as gone, None:
            yield f"deleted file mode {gone.mode:o}"
        case Item() as old, Item() as new if old.mode != new.mode:
            yield f"old mode {old.mode:o}"
            yield f"new mode {new.mode:o}"


def _sides(change: Change) -> Iterator[str]:
    path = _shown(change.path)
    yield f"--- a/{path}" if change.before else "--- /dev/null"
    yield f"+++ b/{path}" if change.after else "+++ /dev/null"


def _shown(path: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in path)
