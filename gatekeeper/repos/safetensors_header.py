"""Checking a safetensors file by its header, without loading a tensor.

Format: 8 bytes little-endian length, that many bytes of JSON, then the data. The JSON maps names to
`{"dtype","shape","data_offsets":[begin,end]}`, beside an optional `__metadata__` of texts. Stricter than the reference
reader in one point: a name that appears twice is refused, since readers differ in which one they take.
Source: safetensors README, "Format"; safetensors/src/tensor.rs, `Metadata::validate`.
"""

import io
import json
import math
import struct
from typing import Any, BinaryIO

from gatekeeper.errors import Invalid

MAX_HEADER_BYTES = 25_000_000
_MAX_DIMENSIONS = 64
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def check_bytes(path: str, content: bytes) -> None:
    """Raise Invalid (422), naming `path` and the problem, unless `content` is a sound safetensors file."""
    length = _header_length(path, content[:8], len(content))
    _check(path, content[8 : 8 + length], len(content) - 8 - length)


def check_file(path: str, file: BinaryIO) -> None:
    """Like `check_bytes` for the content of `file`, of which only the header is read."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    length = _header_length(path, file.read(8), size)
    _check(path, file.read(length), size - 8 - length)


def parameters(path: str, source: BinaryIO, size: int) -> dict[str, int]:
    """How many parameters of each type a sound file of `size` bytes has. Raises Invalid, like `check_bytes`."""
    length = _header_length(path, source.read(8), size)
    rows = _check(path, source.read(length), size - 8 - length)
    counts: dict[str, int] = {}
    for row in rows.values():
        counts[row["dtype"]] = counts.get(row["dtype"], 0) + math.prod(row["shape"])
    return counts


def _header_length(path: str, start: bytes, size: int) -> int:
    if len(start) < 8:
        raise _broken(path, "it is shorter than the 8 bytes every safetensors file begins with")
    length: int = struct.unpack("<Q", start)[0]
    if length > MAX_HEADER_BYTES:
        raise _broken(path, f"its header claims {length} bytes, more than the {MAX_HEADER_BYTES} allowed")
    if 8 + length > size:
        raise _broken(path, f"its header claims {length} bytes, but the file has only {size}")
    return length


def _check(path: str, raw: bytes, data_bytes: int) -> dict[str, Any]:
    """The tensors, by name."""
    if not raw.startswith(b"{"):
        raise _broken(path, "its header does not begin with '{'")
    try:
        header = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _DuplicateKeyError) else "its header is not valid JSON"
        raise _broken(path, reason) from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(path, "its __metadata__ is not a map of texts")
    spans = sorted((*_span(path, name, row), name) for name, row in header.items())
    end = 0
    for begin, stop, name in spans:
        if begin != end:
            problem = "overlaps another" if begin < end else "leaves a gap before it"
            raise _broken(path, f"the tensor {name[:80]!r} {problem}")
        end = stop
    if end != data_bytes:
        raise _broken(path, f"its tensors cover {end} bytes, but {data_bytes} follow the header")
    tensors: dict[str, Any] = header
    return tensors


def _span(path: str, name: str, row: Any) -> tuple[int, int]:
    """Begin and end of a tensor's data, once they agree with its type and shape."""
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        raise _broken(path, f"the tensor {name[:80]!r} has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _broken(path, f"the tensor {name[:80]!r} has the unknown type {str(dtype)[:20]!r}")
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS or not _are_sizes(offsets) or len(offsets) != 2:
        raise _broken(path, f"the tensor {name[:80]!r} has a shape or offsets that are no sizes")
    begin, end = offsets
    bits = math.prod(shape) * _BITS[dtype]
    if begin > end or bits != (end - begin) * 8:
        raise _broken(path, f"the tensor {name[:80]!r} spans {end - begin} bytes, its shape needs {bits / 8:g}")
    return begin, end


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**48 for size in value)


class _DuplicateKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _DuplicateKeyError("its header holds the same name twice")
    return made


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _broken(path: str, why: str) -> Invalid:
    return Invalid(
        f"'{path[:200]}' is not a sound safetensors file: {why}.",
        status=422,
        code="BrokenSafetensors",
        next_step="Save the file again with the safetensors library and check that the upload was complete.",
    )
