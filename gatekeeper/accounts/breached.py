"""Passwords known from breaches: a file of the operator's, looked up where it lies and never asked for over a network.

The file is in the form of Pwned Passwords, ordered by hash: a line of 40 hexadecimal digits (SHA-1 of the password),
and after a colon how often it was seen. It may be far larger than memory: a search reads some forty places of it.
"""

import hashlib
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.errors import Invalid

_DIGITS = 40
_LINE = re.compile(rb"[0-9A-Fa-f]{40}(:\d+)?\s*", re.ASCII)
_PROBES = 200  # places where a file is looked at before it is used

_file: Path | None = None


def use(path: Path | None) -> None:
    """Refuse what is in this file from now on; None: there is none.

    Raises Invalid for a file that is not there, has another form, or is ordered in another way (by how often).
    """
    global _file
    if path is not None:
        _check(path)
    _file = path


def holds(password: bytes) -> bool:
    """Whether the file has it. The file is opened anew each time, so that a newer one may take its place."""
    if _file is None:
        return False
    wanted = hashlib.sha1(password, usedforsecurity=False).hexdigest().upper().encode()
    with _opened(_file) as lines:
        low, high = 0, len(lines)
        while low < high:  # both are beginnings of lines, or the end
            start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
            found = lines[start : start + _DIGITS].upper()
            if found == wanted:
                return True
            if found < wanted:
                low = _after(lines, start)
            else:
                high = start
    return False


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
        yield lines


def _after(lines: mmap.mmap, start: int) -> int:
    """Where the next line begins."""
    return lines.find(b"\n", start) + 1 or len(lines)


def _check(path: Path) -> None:
    try:
        with _opened(path) as lines:
            size, before = len(lines), b""
            for probe in range(_PROBES):
                start = lines.rfind(b"\n", 0, size * probe // _PROBES) + 1
                line = lines[start : _after(lines, start)]
                if not _LINE.fullmatch(line) or line[:_DIGITS].upper() < before:
                    raise _unfit(path)
                before = line[:_DIGITS].upper()
    except (OSError, ValueError) as error:  # mmap takes no empty file
        raise _unfit(path) from error


def _unfit(path: Path) -> Invalid:
    return Invalid(
        f"{path} is no list of breached passwords: lines of SHA-1 and count, ordered by hash.",
        next_step="Correct GATEKEEPER_BREACHED_PASSWORDS_FILE, or leave it out.",
    )
