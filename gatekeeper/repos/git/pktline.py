"""Lines of Git's protocol: four hex digits of length, then the line; `0000` ends a part."""

from typing import IO

from gatekeeper.errors import Invalid

FLUSH = b"0000"
_MAX_LINE = 65_520
_BAND_BYTES = 65_000


def line(data: bytes) -> bytes:
    """`data` as one line."""
    return b"%04x%s" % (len(data) + 4, data)


def band(number: int, data: bytes) -> bytes:
    """`data` on a side band (1 content, 2 messages), in as many lines as it needs."""
    return b"".join(
        line(bytes((number,)) + data[start : start + _BAND_BYTES]) for start in range(0, len(data), _BAND_BYTES)
    )


def read(file: IO[bytes]) -> bytes | None:
    """The next line without its end of line; None at a flush or at the end. Raises Invalid."""
    head = file.read(4)
    if not head or head == FLUSH:
        return None
    try:
        length = int(head, 16)
    except ValueError:
        raise _broken() from None
    if not 4 <= length <= _MAX_LINE:
        raise _broken()
    data = file.read(length - 4)
    if len(data) != length - 4:
        raise _broken()
    return data.removesuffix(b"\n")


def _broken() -> Invalid:
    return Invalid("The request is not in Git's protocol.", next_step="Use git to talk to this address.")
