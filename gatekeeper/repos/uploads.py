"""Before an upload: which files go to the store, which into Git itself, which are not wanted or are there already."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import listing
from gatekeeper.repos.attributes import FILE_NAME, IgnoreRules, LfsRules
from gatekeeper.repos.paths import check_path
from gatekeeper.repos.tables import Repo

MAX_FILES = 1_000
MAX_REGULAR_BYTES = 10 * 2**20
_MAX_RULES_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Announced:
    """A file somebody wants to upload: its size in bytes and its first bytes (512 from the public clients)."""

    path: str
    size: int
    sample: bytes


@dataclass(frozen=True, slots=True)
class Planned:
    """How to send it. `oid` is the id of what lies at the path now: a Git blob id, or the SHA-256 of an LFS file."""

    path: str
    mode: Literal["regular", "lfs"]
    is_ignored: bool
    oid: str | None


async def plan(
    s: AsyncSession, repo: Repo, commit: str, files: Sequence[Announced], *, git_ignore: str | None = None
) -> list[Planned]:
    """How each of `files` is to be sent to the branch whose head is `commit`.

    git_ignore  content of the caller's `.gitignore`; without it the repository's own counts

    Raises Invalid for a path that can never be committed.
    """
    if len(files) > MAX_FILES:
        raise TooLarge(f"At most {MAX_FILES} files may be announced at once.", next_step="Ask in several calls.")
    for file in files:
        check_path(file.path)
        if file.size < 0:
            raise Invalid(f"The size of '{file.path}' is negative.", status=422, next_step="Send it in bytes.")
    attributes = await _content(s, repo, commit, FILE_NAME)
    ignored = git_ignore.encode("utf-8", "replace") if git_ignore is not None else None
    if ignored is None:
        ignored = await _content(s, repo, commit, ".gitignore")
    if len(ignored) > _MAX_RULES_BYTES:
        raise TooLarge("The .gitignore is too long.", next_step="Shorten it.")
    decided = await asyncio.to_thread(_decide, attributes, ignored, files)
    planned: list[Planned] = []
    for file, (mode, is_ignored) in zip(files, decided, strict=True):
        entry = await listing.find_entry(s, repo, commit, file.path)
        present = None if entry is None or entry.type != "file" else entry.lfs.sha256 if entry.lfs else entry.oid
        planned.append(Planned(file.path, mode, is_ignored, present))
    return planned


def is_binary(sample: bytes) -> bool:
    """Whether the first bytes of a file are not text: a NUL, or no UTF-8 (a letter cut at the end is fine)."""
    if b"\0" in sample:
        return True
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return not (error.reason == "unexpected end of data" and error.end == len(sample))
    return False


def _decide(
    attributes: bytes, ignored: bytes, files: Sequence[Announced]
) -> list[tuple[Literal["regular", "lfs"], bool]]:
    lfs, ignore = LfsRules(attributes), IgnoreRules(ignored)
    return [("lfs" if _belongs_in_lfs(lfs, file) else "regular", ignore.matches(file.path)) for file in files]


def _belongs_in_lfs(rules: LfsRules, file: Announced) -> bool:
    if file.size == 0:
        return False
    return file.size > MAX_REGULAR_BYTES or rules.matches(file.path) or is_binary(file.sample)


async def _content(s: AsyncSession, repo: Repo, commit: str, path: str) -> bytes:
    entry = await listing.find_entry(s, repo, commit, path)
    if entry is None or entry.type != "file" or entry.lfs is not None or entry.size > _MAX_RULES_BYTES:
        return b""
    return await listing.read_blob(s, repo, entry.oid)
