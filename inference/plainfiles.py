"""Reading untrusted files of a model: JSON without surprises, and safetensors headers checked before any loading.

The safetensors library itself refuses huge, deep, overlapping and overflowing headers but accepts duplicate keys, where
two readers can see two different models; this check is our own and refuses all of them.
Format: https://github.com/huggingface/safetensors#format
"""

import json
from math import prod
from pathlib import Path
from typing import Any

MAX_HEADER_BYTES = 25_000_000
MAX_JSON_BYTES = 30_000_000  # tokenizer.json of large vocabularies is about 20 MB

_DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class UnsafeFile(Exception):
    """A file that must not be loaded; the message says why, naming the file."""


def read_json(path: Path, *, name: str) -> Any:
    """The value of a UTF-8 JSON file. Duplicate keys, deep nesting and large files raise UnsafeFile."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UnsafeFile(f"{name} is larger than {MAX_JSON_BYTES} bytes")
    return parse_json(path.read_bytes(), name=name)


def parse_json(data: bytes, *, name: str) -> Any:
    """As `read_json`, from bytes. `Infinity` passes, for diffusers itself writes it into scheduler configurations."""
    try:
        return json.loads(data, object_pairs_hook=_unique_pairs)
    except (ValueError, RecursionError) as error:
        raise UnsafeFile(f"{name} is not plain JSON: {error}") from error


def tensor_count(path: Path, *, name: str) -> int:
    """Number of values in a safetensors file whose header is sound. Raises UnsafeFile for any other.

    Sound: known dtypes, sizes that match shapes, tensors that fill the file without gap or overlap, no key twice.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise UnsafeFile(f"{name} is not a safetensors file: its header length is {length} in {size} bytes")
        header = parse_json(file.read(length), name=f"header of {name}")
    if not isinstance(header, dict):
        raise UnsafeFile(f"header of {name} is not an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UnsafeFile(f"header of {name} has metadata that is not text")
    spans = sorted(_span(tensor, key, name) for key, tensor in header.items())
    position = 0
    for begin, end, _ in spans:
        if begin != position:
            raise UnsafeFile(f"{name} has tensors that overlap or leave a gap at byte {begin}")
        position = end
    if position != size - 8 - length:
        raise UnsafeFile(f"{name} is {size} bytes long, its header describes {8 + length + position}")
    return sum(count for _, _, count in spans)


def _span(tensor: Any, key: str, name: str) -> tuple[int, int, int]:
    """Begin, end and number of values of one tensor."""
    match tensor:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end], **rest} if not rest:
            numbers = [*shape, begin, end]
            if dtype in _DTYPE_BYTES and all(type(n) is int and 0 <= n < 2**48 for n in numbers) and len(shape) <= 8:
                count = prod(shape)
                if end - begin == count * _DTYPE_BYTES[dtype]:
                    return begin, end, count
    raise UnsafeFile(f"{name} describes tensor {key[:80]!r} in a way that does not add up")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice")
    return value
