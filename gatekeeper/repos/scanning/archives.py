"""Archives: what they hold, looked at entry by entry, and whether they are bombs. Nothing is ever written to disk."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath

from gatekeeper.repos.scanning.source import (
    MOST_AT_ONCE,
    UNPACK_ERRORS,
    BombError,
    Budget,
    ExhaustedError,
    Reader,
    entry,
    held,
    unpacked,
)
from gatekeeper.repos.scanning.verdict import Kind, Status, Verdict

MOST_DEPTH = 3
_MOST_ENTRIES = 100_000
_MOST_DRAINED = 128 * 2**20
_LONGEST_TAR_HEADER = 2**20
_MOST_UNPACKED = 2**40
_RATIO = 200
_RATIO_FROM = 32 * 2**20

# Looks at one content: stream, its size where it is known, text before each finding, depth of nesting.
Look = Callable[[Reader, int | None, str, int], None]


class _Member(tarfile.TarInfo):
    """A tar entry whose extended headers, which tarfile reads whole, have a limit."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not self.isreg() and self.size > _LONGEST_TAR_HEADER:
            raise ExhaustedError("a header of its archive is too long")
        made: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # tarfile's own place for subclasses
        return made


def look_into_zip(file: Reader, budget: Budget, verdict: Verdict, look: Look, *, where: str, depth: int) -> None:
    """A zip archive, a torch checkpoint among them. `file` must be seekable."""
    if _is_too_deep(verdict, where, depth):
        return
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, *UNPACK_ERRORS, NotImplementedError) as error:
        verdict.find(
            Kind.ARCHIVE, Status.SUSPICIOUS, f"{where}Its zip archive cannot be read ({type(error).__name__})."
        )
        return
    if _is_bomb(entries, verdict, where):
        return
    for number, info in enumerate(entries):
        if number > _MOST_ENTRIES:
            raise ExhaustedError("its archive has more entries than are looked at")
        budget.spend()
        _check_name(info.filename, verdict, where)
        if info.is_dir():
            continue
        inside = f"{where}{info.filename[:100]!a}: "
        if info.flag_bits & 1:
            verdict.find(Kind.ARCHIVE, Status.SUSPICIOUS, f"{inside}It is encrypted, so nobody can look into it.")
            continue
        try:
            with archive.open(info) as opened:
                look(entry(opened, budget, packed_bytes=info.compress_size), info.file_size, inside, depth + 1)
        except BombError:
            verdict.find(Kind.ARCHIVE, Status.UNSAFE, f"{inside}It unpacks to far more than it is: a bomb.")
        except (zipfile.BadZipFile, *UNPACK_ERRORS, NotImplementedError, RuntimeError) as error:
            _unreadable(verdict, f"{inside}It cannot be unpacked", error)


def look_into_tar(stream: Reader, budget: Budget, verdict: Verdict, look: Look, *, where: str, depth: int) -> None:
    """A tar archive, read forwards."""
    if _is_too_deep(verdict, where, depth):
        return
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
            for number, member in enumerate(archive):
                if number > _MOST_ENTRIES:
                    raise ExhaustedError("its archive has more entries than are looked at")
                budget.spend()
                _check_name(member.name, verdict, where)
                if member.islnk() or member.issym():
                    _check_name(member.linkname, verdict, where)
                if member.isfile() and (opened := archive.extractfile(member)) is not None:
                    inside = f"{where}{member.name[:100]!a}: "
                    look(entry(opened, budget, packed_bytes=member.size), member.size, inside, depth + 1)
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all, a stream needs none
    except (tarfile.TarError, *UNPACK_ERRORS) as error:
        verdict.find(
            Kind.ARCHIVE, Status.SUSPICIOUS, f"{where}Its tar archive cannot be read ({type(error).__name__})."
        )


def look_into_packed(
    packed: Reader, compression: str, budget: Budget, verdict: Verdict, look: Look, *, where: str, depth: int
) -> None:
    """A compressed stream, such as `.gz`: what it unpacks to."""
    if _is_too_deep(verdict, where, depth):
        return
    try:
        stream = unpacked(packed, compression, budget)
        look(stream, None, where, depth + 1)
        stream.drain(_MOST_DRAINED)
    except BombError:
        verdict.find(Kind.ARCHIVE, Status.UNSAFE, f"{where}It unpacks to far more than it is: a bomb.")
    except UNPACK_ERRORS as error:
        _unreadable(verdict, f"{where}It cannot be unpacked", error)


def seekable(stream: Reader, budget: Budget) -> Reader:
    """`stream` so that it can be read anywhere. Raises ExhaustedError where that would take too much memory."""
    return stream if stream.seekable() else held(stream.read(MOST_AT_ONCE + 1), budget)


def _unreadable(verdict: Verdict, what: str, error: Exception) -> None:
    verdict.find(Kind.ARCHIVE, Status.SUSPICIOUS, f"{what} ({type(error).__name__}).")


def _is_too_deep(verdict: Verdict, where: str, depth: int) -> bool:
    if depth < MOST_DEPTH:
        return False
    verdict.find(Kind.ARCHIVE, Status.SUSPICIOUS, f"{where}Archives nest deeper than is looked into.")
    return True


def _is_bomb(entries: list[zipfile.ZipInfo], verdict: Verdict, where: str) -> bool:
    """By what the directory says alone: entries that share their bytes, or that grow beyond measure."""
    packed, plain = sum(info.compress_size for info in entries), sum(info.file_size for info in entries)
    last = max((info.header_offset + info.compress_size for info in entries), default=0)
    if packed > last:
        verdict.find(Kind.ARCHIVE, Status.UNSAFE, f"{where}Entries of its archive share the same bytes: a bomb.")
        return True
    if plain > _MOST_UNPACKED or (plain > _RATIO_FROM and plain > _RATIO * max(packed, 1)):
        verdict.find(Kind.ARCHIVE, Status.UNSAFE, f"{where}It unpacks to far more than it is: a bomb.")
        return True
    return False


def _check_name(name: str, verdict: Verdict, where: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        verdict.find(Kind.ARCHIVE, Status.UNSAFE, f"{where}Unpacking it would write outside of its folder.")
