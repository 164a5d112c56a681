"""Which bytes a request wants: Range, If-Range, If-None-Match and If-Match of RFC 9110, sections 13 and 14."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPEC = re.compile(rb"\A(\d{1,19})-(\d{1,19})?\Z|\A-(\d{1,19})\Z")
_MOST_RANGES = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to answer: 200 or 206 with the bytes `start` to `end` (exclusive), or 304, 412, 416 with none."""

    status: int
    start: int = 0
    end: int = 0


def wanted(headers: Iterable[tuple[bytes, bytes]], *, method: str, etag: bytes, size: int) -> Wanted:
    """What to send of a representation of `size` bytes that `etag` (with its quotes) names.

    headers  raw request headers with lower-case names
    """
    range_value = if_range = if_none_match = if_match = b""
    for name, value in headers:
        match name:
            case b"range":
                range_value = value
            case b"if-range":
                if_range = value
            case b"if-none-match":
                if_none_match += b"," + value
            case b"if-match":
                if_match += b"," + value
    if if_match and not _names(if_match, etag, is_weak=False):
        return Wanted(412)
    if if_none_match and _names(if_none_match, etag, is_weak=True):
        return Wanted(304)
    # A date in If-Range matches nothing here: answers carry no Last-Modified.
    if method == "GET" and range_value and (not if_range or if_range.strip() == etag):
        return _of_range(range_value, size)
    return Wanted(200, 0, size)


def _of_range(value: bytes, size: int) -> Wanted:
    """One satisfiable range is served; several are answered with everything, which section 14.2 allows.

    A header that cannot be read is ignored, as the RFC demands; ranges that all lie outside give 416.
    """
    everything = Wanted(200, 0, size)
    unit, separator, specs = value.partition(b"=")
    if unit.strip().lower() != b"bytes" or not separator:
        return everything
    parts = [part.strip() for part in specs.split(b",") if part.strip()]
    if not parts or len(parts) > _MOST_RANGES:
        return everything
    spans = []
    for part in parts:
        found = _SPEC.match(part)
        if found is None:
            return everything
        first, last, suffix = found.groups()
        if suffix is not None:
            start, end = max(0, size - int(suffix)), size
        else:
            if last is not None and int(last) < int(first):
                return everything
            start, end = int(first), size if last is None else min(int(last) + 1, size)
        if start < end:
            spans.append((start, end))
    if not spans:
        return Wanted(416)
    return Wanted(206, *spans[0]) if len(parts) == 1 else everything


def _names(value: bytes, etag: bytes, *, is_weak: bool) -> bool:
    """Whether a list of entity tags holds `etag`, or is `*`."""
    for part in value.split(b","):
        tag = part.strip()
        if tag in (b"*", etag) or (is_weak and tag == b"W/" + etag):
            return True
    return False
