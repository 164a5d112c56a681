"""What a client asks of upload-pack. Source: git's gitprotocol-pack, "Packfile Negotiation"."""

import re
from dataclasses import dataclass, field
from typing import IO

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos.git import pktline
from gatekeeper.repos.paths import is_oid

_MOST_LINES = 100_000
_ENDLESS = 2**31 - 1
_LIMIT = re.compile(r"blob:limit=([0-9]{1,12})([kmg]?)")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A client's request.

    depth        0 where it asks for all history
    is_relative  depth counts from where the client's history ends now
    since        Unix time before which it wants no commit, or None
    excluded     names of references behind which it wants no commit
    below_bytes  files of this size or more are left out, to be fetched when they are looked at; None leaves none out
    negotiates   False where it ends after what is wanted, to learn the shallow commits alone
    is_done      it waits for the pack
    bands        the pack is to come on a side band
    """

    wants: tuple[str, ...]
    haves: tuple[str, ...] = ()
    shallow: frozenset[str] = frozenset()
    depth: int = 0
    is_relative: bool = False
    since: int | None = None
    excluded: tuple[str, ...] = ()
    below_bytes: int | None = None
    negotiates: bool = True
    is_done: bool = False
    bands: bool = False

    @property
    def is_shortened(self) -> bool:
        """Whether the request says where history is to end."""
        return bool(self.depth or self.since is not None or self.excluded)


@dataclass(slots=True)
class _Rows:
    wants: list[str] = field(default_factory=list)
    shallow: set[str] = field(default_factory=set)
    excluded: list[str] = field(default_factory=list)
    capabilities: set[str] = field(default_factory=set)
    depth: int = 0
    since: int | None = None
    below_bytes: int | None = None


def read_wanted(file: IO[bytes]) -> Wanted:
    """A client's request. Raises Invalid."""
    rows = _Rows()
    while (row := pktline.read(file)) is not None:
        _take(rows, row.decode("utf-8", "replace"))
        if len(rows.wants) + len(rows.shallow) + len(rows.excluded) > _MOST_LINES:
            raise TooLarge("The request names too many commits.")
    if rows.depth and (rows.since is not None or rows.excluded):
        raise Invalid("A depth cannot be asked for together with other ends of history.", next_step="Choose one.")
    haves: list[str] = []
    is_done = False
    negotiates = _has_more(file)
    while negotiates and len(haves) <= _MOST_LINES:
        row = pktline.read(file)
        if row is None:
            if not _has_more(file):
                break
        elif row == b"done":
            is_done = True
            break
        elif row.startswith(b"have "):
            haves.append(_oid(row[5:].decode("ascii", "replace")))
    return Wanted(
        wants=tuple(dict.fromkeys(rows.wants)),
        haves=tuple(haves),
        shallow=frozenset(rows.shallow),
        depth=rows.depth,
        is_relative="deepen-relative" in rows.capabilities,
        since=rows.since,
        excluded=tuple(rows.excluded),
        below_bytes=rows.below_bytes,
        negotiates=negotiates,
        is_done=is_done,
        bands="side-band-64k" in rows.capabilities,
    )


def _take(rows: _Rows, text: str) -> None:
    word, _, rest = text.partition(" ")
    match word:
        case "want":
            oid, _, capabilities = rest.partition(" ")
            rows.wants.append(_oid(oid))
            rows.capabilities |= set(capabilities.split())
        case "shallow":
            rows.shallow.add(_oid(rest))
        case "deepen" if _is_number(rest) and 0 < int(rest) <= _ENDLESS:
            rows.depth = int(rest)
        case "deepen-since" if _is_number(rest):
            rows.since = int(rest)
        case "deepen-not" if rest and len(rest) <= 250:
            rows.excluded.append(rest)
        case "filter" if rest == "blob:none":
            rows.below_bytes = 0
        case "filter" if limit := _LIMIT.fullmatch(rest):
            rows.below_bytes = int(limit[1]) * _UNITS[limit[2]]
        case "filter":
            raise Invalid(
                f"The filter {rest[:40]!r} is not offered here.", next_step="Use blob:none or blob:limit=<size>."
            )
        case _:
            raise Invalid(f"The request {word[:20]!r} is not offered here.", next_step="Use an up-to-date git.")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 11


def _has_more(file: IO[bytes]) -> bool:
    if not file.read(1):
        return False
    file.seek(-1, 1)
    return True


def _oid(text: str) -> str:
    if not is_oid(text):
        raise Invalid("The request names something that is no commit id.", next_step="Use git to talk to this address.")
    return text
