"""A broken safetensors file is refused with its name and what is wrong."""

import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid
from gatekeeper.repos import AddFile, AddLfs, Operation, Repo, Store, history
from gatekeeper.repos.safetensors_header import check_bytes

pytestmark = pytest.mark.anyio


def file(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(begin: int, end: int, **other: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end], **other}


GOOD = file({"a": tensor(0, 4), "b": tensor(4, 6), "__metadata__": {"format": "pt"}}, b"123456")


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        file({}),
        file(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   ', b"1234"),
        file({"a": tensor(0, 0), "b": tensor(0, 2)}, b"12"),
        file({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, b"12"),
    ],
)
def test_a_sound_file_passes(content: bytes) -> None:
    check_bytes("a.safetensors", content)


def test_what_the_library_writes_passes() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    check_bytes("a.safetensors", safetensors.save({"x": np.ones((3, 5), np.float16), "y": np.zeros(0, np.int64)}))


BROKEN = {
    "empty": b"",
    "seven bytes": b"1234567",
    "pickle": b"\x80\x04\x95" + b"x" * 100,
    "header beyond the file": file({}, length=100),
    "huge header": file({}, length=2**63),
    "header not an object": file(b"[]"),
    "not JSON": file(b"{nope"),
    "not UTF-8": file(b'{"\xff":1}'),
    "deep JSON": file(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "duplicate keys": file(b'{"a":%s,"a":%s}' % ((json.dumps(tensor(0, 1)).encode(),) * 2), b"1"),
    "overlap": file({"a": tensor(0, 4), "b": tensor(2, 6)}, b"123456"),
    "gap": file({"a": tensor(0, 2), "b": tensor(4, 6)}, b"123456"),
    "beyond the data": file({"a": tensor(0, 4)}, b"12"),
    "trailing bytes": file({"a": tensor(0, 2)}, b"1234"),
    "shape and span differ": file({"a": tensor(0, 4, shape=[3])}, b"1234"),
    "negative shape": file({"a": tensor(0, 4, shape=[-4])}, b"1234"),
    "bool shape": file({"a": tensor(0, 1, shape=[True])}, b"1"),
    "overflowing shape": file({"a": tensor(0, 0, shape=[2**62, 2**62])}),
    "float offset": file({"a": tensor(0, 4, data_offsets=[0, 4.0])}, b"1234"),
    "backward": file({"a": tensor(0, 4, data_offsets=[4, 0])}, b"1234"),
    "unknown type": file({"a": tensor(0, 4, dtype="OBJ")}, b"1234"),
    "extra key": file({"a": tensor(0, 4, code="x")}, b"1234"),
    "metadata not text": file({"__metadata__": {"a": 1}}),
    "NaN": file(b'{"a":NaN}'),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match=r"'unet/x\.safetensors' is not a sound safetensors file") as refused:
        check_bytes("unet/x.safetensors", content)
    assert refused.value.status == 422


async def test_a_commit_checks_safetensors_wherever_they_lie(
    session: AsyncSession, repo: Repo, ada: Principal, store: Store, stored: Callable[[Repo, bytes], Awaitable[str]]
) -> None:
    async def attempt(operation: Operation, store: Store | None = store) -> str:
        return await history.commit(session, repo, "main", [operation], summary="x", by=ada, store=store)

    broken = await stored(repo, BROKEN["overlap"])
    good = await stored(repo, GOOD)
    with pytest.raises(Invalid):
        await attempt(AddFile("a.safetensors", BROKEN["overlap"]))
    with pytest.raises(Invalid):
        await attempt(AddLfs("a.SAFETENSORS", broken))
    with pytest.raises(ValueError, match="without the store"):
        await attempt(AddLfs("a.safetensors", good), None)
    assert await attempt(AddLfs("a.safetensors", good))
