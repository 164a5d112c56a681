"""Large files of what was fetched: which the repository lacks, and bringing each of them, verified, resumably."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, TooLarge
from gatekeeper.repos import lfs, objects
from gatekeeper.repos.git import Push
from gatekeeper.repos.git.forms import check_tree
from gatekeeper.repos.git.graph import parse
from gatekeeper.repos.mirrors.line import Line
from gatekeeper.repos.objects import FOLDER_MODE
from gatekeeper.repos.storage import BATCH_BYTES, Store
from gatekeeper.repos.tables import Repo

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Large:
    """A file by SHA-256 and size in bytes, and where in the upstream's history it lies."""

    sha256: str
    size: int
    commit: str
    path: str


def named_by(push: Push) -> list[Large]:
    """The large files that new commits refer to, each once. Blocking."""
    pack = push.unpacked
    found: dict[str, Large] = {}
    seen: set[str] = set()
    for oid, packed in pack.objects.items():
        if packed.kind != "commit":
            continue
        waiting = [("", parse(pack.read(oid)).tree)]
        while waiting:
            prefix, tree = waiting.pop()
            if tree in seen or tree not in pack.objects or pack.objects[tree].kind != "tree":
                continue
            seen.add(tree)
            for name, (mode, child) in check_tree(pack.read(tree)).items():
                if mode == FOLDER_MODE:
                    waiting.append((f"{prefix}{name}/", child))
                elif child in pack.objects and pack.objects[child].size <= objects.POINTER_MAX_BYTES:
                    pointer = objects.parse_pointer(pack.read(child))
                    if pointer is not None:
                        found.setdefault(pointer.sha256, Large(pointer.sha256, pointer.size, oid, prefix + name))
    return list(found.values())


async def bring(
    db: Database,
    store: Store,
    repo: Repo,
    line: Line,
    files: Sequence[Large],
    *,
    folder: Path,
    limit_bytes: int,
    by: Principal,
    say: Say,
) -> int:
    """Bring those of `files` that the repository lacks; returns how many bytes they have.

    Each is noted as soon as it is verified, so that an attempt that breaks off loses at most a part of one file, and
    even that part stays in `folder`.
    """
    for file in files:
        if file.size > limit_bytes:
            raise TooLarge(
                f"'{file.path[:200]}' has {file.size:,} bytes; a file may have at most {limit_bytes:,}.",
                next_step="Raise GATEKEEPER_UPLOAD_MAX_BYTES, or choose revisions without it.",
            )
    async with db.read() as s:
        here = await lfs.possessed(s, repo, [file.sha256 for file in files])
    missing = [file for file in files if file.sha256 not in here]
    if here:
        say(f"{len(here)} of {len(files)} large files are here already.")
    for number, file in enumerate(missing, start=1):
        await _bring_one(db, store, repo, line, file, folder=folder, by=by, say=_counted(say, file, number, missing))
    return sum(file.size for file in missing)


async def _bring_one(
    db: Database, store: Store, repo: Repo, line: Line, file: Large, *, folder: Path, by: Principal, say: Say
) -> None:
    part = folder / f"{file.sha256}.part"
    shown = -1

    def progress(held: int) -> None:
        nonlocal shown
        percent = 100 * held // max(file.size, 1)
        if percent // 10 != shown:
            shown = percent // 10
            say(f"{percent} %")

    await line.file(file.commit, file.path, size=file.size, into=part, progress=progress)
    try:
        async with store.stage(limit=file.size) as staged:
            with await asyncio.to_thread(part.open, "rb") as source:
                while piece := await asyncio.to_thread(source.read, BATCH_BYTES):
                    await staged.write(piece)
            await staged.keep(sha256=file.sha256, size=file.size)
    except Invalid:
        await asyncio.to_thread(part.unlink)
        raise Invalid(
            f"'{file.path[:200]}' did not come as the upstream's history describes it, so it was dropped.",
            next_step="Run this again; if it stays so, the upstream's file is damaged.",
        ) from None
    async with db.write() as s:
        await lfs.possess(s, repo, file.sha256, file.size, person_id=by.person_id)
    await asyncio.to_thread(part.unlink)


@asynccontextmanager
async def working_folder(root: Path, repo: Repo) -> AsyncIterator[Path]:
    """A folder for the parts of a repository's files, held by one process at a time. Raises Conflict."""
    folder = root / repo.id
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"{repo.full_name} is being brought by another process.", next_step="Wait until it is done."
            ) from None
        yield folder


def _counted(say: Say, file: Large, number: int, missing: Sequence[Large]) -> Say:
    return lambda text: say(f"[{number}/{len(missing)}] {file.path[:120]} ({file.size:,} bytes): {text}")
