"""What the header of a GGUF file says of its model: architecture, length of context, number of parameters.

Format: magic, version u32, tensors u64, values u64, then the values (key, type, value) and the tensors (name,
dimensions, type, offset), all little-endian. Source: ggml docs/gguf.md.
"""

import math
import struct
from typing import Any

from gatekeeper.repos.scanning.source import Budget, Reader

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_MOST_VALUES = 10_000
_MOST_TENSORS = 100_000
_LONGEST_KEPT = 4_096
_MOST_DIMENSIONS = 8


def facts(stream: Reader, budget: Budget) -> dict[str, Any]:
    """`total`, `architecture`, `context_length` and more as far as the header says; {} for a broken one."""
    try:
        return _read(stream, budget)
    except (struct.error, ValueError, OverflowError):
        return {}


def _read(stream: Reader, budget: Budget) -> dict[str, Any]:
    _, version, tensors, count = struct.unpack("<4sIQQ", stream.read(24))
    if version not in (2, 3) or count > _MOST_VALUES or tensors > _MOST_TENSORS:
        return {}
    values: dict[str, Any] = {}
    for _ in range(count):
        budget.spend()
        key = _text(stream)
        values[key or ""] = _value(stream, _number(stream, "<I"), budget)
    total = 0
    for _ in range(tensors):
        budget.spend()
        _text(stream)
        dimensions = _number(stream, "<I")
        if dimensions > _MOST_DIMENSIONS:
            return {}
        total += math.prod(_number(stream, "<Q") for _ in range(dimensions))
        stream.skip(12)
    if not 0 < total < 2**53:
        return {}
    architecture = values.get("general.architecture")
    told = {
        "total": total,
        "architecture": architecture,
        "context_length": values.get(f"{architecture}.context_length"),
        "chat_template": values.get("tokenizer.chat_template"),
        "bos_token_id": values.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": values.get("tokenizer.ggml.eos_token_id"),
    }
    return {name: value for name, value in told.items() if isinstance(value, (str, int))}


def _value(stream: Reader, kind: int, budget: Budget) -> Any:
    if kind in _SCALARS:
        return _number(stream, _SCALARS[kind])
    if kind == _TEXT:
        return _text(stream)
    if kind != _ARRAY:
        raise ValueError(kind)
    of, count = _number(stream, "<I"), _number(stream, "<Q")
    if of in _SCALARS:
        stream.skip(count * struct.calcsize(_SCALARS[of]))
        return None
    if of != _TEXT:
        raise ValueError(of)  # lists of lists are written by nobody
    for number in range(count):
        if number % 1_000 == 0:
            budget.spend()
        stream.skip(_number(stream, "<Q"))
    return None


def _number(stream: Reader, form: str) -> Any:
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]


def _text(stream: Reader) -> str | None:
    length = _number(stream, "<Q")
    if length <= _LONGEST_KEPT:
        return stream.read(length).decode("utf-8", "replace")
    stream.skip(length)
    return None
