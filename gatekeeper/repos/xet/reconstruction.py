"""How a part of a file is put together again: which chunks of which xorbs, and where those lie among stored bytes.

Source: the public Xet specification, reconstruction. Chunk ranges end before `end`; what a client reads as a byte range
includes its last byte.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Invalid
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.tables import StoredXorb as XorbRow
from gatekeeper.repos.xet import hashes
from gatekeeper.repos.xet.files import Found, Run
from gatekeeper.repos.xet.xorb import Table

_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")
_CACHED_BYTES = 32 * 2**20

# A row of the table of xorbs never changes while it is there; its time of arrival tells two of one name apart.
_tables: Lru[tuple[str, str], Table] = Lru(_CACHED_BYTES)


@dataclass(frozen=True, slots=True)
class Span:
    """Chunks of a stored xorb and the bytes they take there, both from the first up to, not including, the last."""

    first: int
    end: int
    first_byte: int
    end_byte: int


@dataclass(frozen=True, slots=True)
class StoredXorb:
    """A xorb's spans that a plan needs, in order and apart from each other. `size` is all its stored bytes."""

    xorb_hash: str
    size: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client must fetch and join for the bytes from `start` up to, not including, `end`.

    skip   raw bytes of the first run that come before `start`
    runs   what to join, trimmed to the chunks that are needed
    xorbs  what to fetch: each run lies within one span
    """

    start: int
    end: int
    skip: int
    runs: tuple[Run, ...]
    xorbs: tuple[StoredXorb, ...]


def wanted(value: str | None, size: int) -> tuple[int, int]:
    """The bytes that a Range header asks of a file, without its last: everything if there is none.

    Raises Invalid: 416 beyond the end, 400 for several ranges and other forms.
    """
    if value is None:
        return 0, size
    found = _RANGE.fullmatch(value.strip())
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        raise Invalid("The range cannot be read.", next_step="Send `Range: bytes=first-last`.")
    start = int(found[1])
    if start >= size:
        raise Invalid(
            f"The file ends at {size} bytes.", status=416, code="RangeNotSatisfiable", next_step="Ask for less."
        )
    return start, min(int(found[2]) + 1, size) if found[2] else size


async def plan(s: AsyncSession, file: Found, start: int, end: int) -> Plan | None:
    """How to get the bytes from `start` up to `end` of a registered file. None if a xorb of it is not there."""
    runs: list[Run] = []
    sizes: dict[str, int] = {}
    spans: dict[str, list[Span]] = {}
    skip = at = 0
    for run in file.runs:
        below, at = at, at + run.raw_bytes
        if at <= start:
            continue
        if below >= end:
            break
        name = hashes.printed(run.xorb_hash)
        found = await _table(s, name)
        if found is None or len(found[0]) < run.end:
            return None
        table, sizes[name] = found
        kept, before = _trimmed(run, table, start - below, end - below)
        if not runs:
            skip = start - below - before
        runs.append(kept)
        spans.setdefault(name, []).append(Span(kept.first, kept.end, table.offset(kept.first), table.offset(kept.end)))
    xorbs = tuple(StoredXorb(name, sizes[name], merged(some)) for name, some in spans.items())
    return Plan(start, end, skip, tuple(runs), xorbs)


async def place_of(s: AsyncSession, xorb_hash: str) -> str | None:
    """The folder of the store that the xorb lies in, None if it is not there."""
    place: str | None = await s.scalar(sa.select(col(XorbRow.place)).where(col(XorbRow.xorb_hash) == xorb_hash))
    return place


def merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The same chunks in as few spans as possible, ascending."""
    made: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.first, each.end)):
        if made and span.first <= made[-1].end:
            last = made[-1]
            made[-1] = Span(last.first, max(last.end, span.end), last.first_byte, max(last.end_byte, span.end_byte))
        else:
            made.append(span)
    return tuple(made)


def _trimmed(run: Run, table: Table, start: int, end: int) -> tuple[Run, int]:
    """`run` without the chunks that lie outside `start` to `end` of it, and the raw bytes dropped before."""
    first, before, raw_bytes, stop = run.first, 0, 0, run.first
    at = 0
    for _, length, _ in table.rows(run.first, run.end):
        at += length
        if at <= start:
            first, before = first + 1, at
            stop = first
            continue
        stop, raw_bytes = stop + 1, raw_bytes + length
        if at >= end:
            break
    return Run(run.xorb_hash, first, stop, raw_bytes), before


async def _table(s: AsyncSession, xorb_hash: str) -> tuple[Table, int] | None:
    here = col(XorbRow.xorb_hash) == xorb_hash
    row = (await s.execute(sa.select(col(XorbRow.received_at), col(XorbRow.size_bytes)).where(here))).first()
    if row is None:
        return None
    key = (xorb_hash, row.received_at.isoformat())
    table = _tables.get(key)
    if table is None:
        table = Table(await s.scalar(sa.select(col(XorbRow.chunks)).where(here)) or b"")
        _tables.put(key, table, len(table.packed))
    return table, row.size_bytes
