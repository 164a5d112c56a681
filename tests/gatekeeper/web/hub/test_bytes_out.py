from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.web.hub.bytes_out import CHUNK, Prepared, send

HEADERS = ((b"etag", b'"abc"'),)


def prepared(content: bytes, path: Path | None = None) -> Prepared:
    if path is not None:
        path.write_bytes(content)
    return Prepared(
        HEADERS,
        len(content),
        b'"abc"',
        str(path) if path else None,
        None if path else content,
        {"kind": "repos:file:download", "body": {"path": "a.txt"}},
        None,
    )


async def ask(
    answer: Prepared, *headers: tuple[bytes, bytes], method: str = "GET"
) -> tuple[int, dict[bytes, bytes], bytes, list[Mapping[str, Any]], list[int]]:
    kept: list[Mapping[str, Any]] = []
    sent: list[MutableMapping[str, Any]] = []

    async def keep(fields: Mapping[str, Any]) -> None:
        assert not sent, "evidence comes before the first byte"
        kept.append(fields)

    async def collect(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": list(headers)}
    await send(answer, scope, collect, keep=keep)
    bodies = [message["body"] for message in sent[1:]]
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(bodies), kept, [len(body) for body in bodies]


@pytest.mark.anyio
async def test_a_large_file_leaves_in_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * (CHUNK // 256) * 2 + b"end"
    status, headers, body, kept, sizes = await ask(prepared(content, tmp_path / "object"))
    assert (status, body) == (200, content)
    assert headers[b"content-length"] == str(len(content)).encode()
    assert sizes == [CHUNK, CHUNK, 3]
    assert kept == [{"kind": "repos:file:download", "body": {"path": "a.txt"}}]


@pytest.mark.anyio
@pytest.mark.parametrize("on_disk", [True, False])
async def test_a_part_is_recorded_as_a_part(tmp_path: Path, on_disk: bool) -> None:
    answer = prepared(b"0123456789", tmp_path / "object" if on_disk else None)
    status, headers, body, kept, _ = await ask(answer, (b"range", b"bytes=2-4"))
    assert (status, body, headers[b"content-range"]) == (206, b"234", b"bytes 2-4/10")
    assert kept[0]["body"] == {"path": "a.txt", "first_byte": 2, "last_byte": 4}


@pytest.mark.anyio
async def test_head_opens_nothing_and_records_nothing(tmp_path: Path) -> None:
    answer = prepared(b"0123456789", tmp_path / "object")
    (tmp_path / "object").unlink()
    status, headers, body, kept, _ = await ask(answer, method="HEAD")
    assert (status, headers[b"content-length"], body, kept) == (200, b"10", b"", [])


@pytest.mark.anyio
async def test_an_impossible_range_says_the_size() -> None:
    status, headers, body, kept, _ = await ask(prepared(b"0123456789"), (b"range", b"bytes=10-"))
    assert (status, headers[b"content-range"], body, kept) == (416, b"bytes */10", b"", [])


@pytest.mark.anyio
async def test_a_missing_object_fails_before_the_answer_begins(tmp_path: Path) -> None:
    answer = prepared(b"0123456789", tmp_path / "object")
    (tmp_path / "object").unlink()
    with pytest.raises(FileNotFoundError):
        await ask(answer)


@pytest.mark.anyio
async def test_a_short_object_breaks_the_stream_rather_than_end_it(tmp_path: Path) -> None:
    answer = prepared(b"0123456789", tmp_path / "object")
    (tmp_path / "object").write_bytes(b"01234")
    with pytest.raises(OSError, match="ends at 5 bytes"):
        await ask(answer)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [(), ((b"range", b"bytes=2-4"),), ((b"if-none-match", b'"other"'),)],
    ids=["whole", "a part", "another version"],
)
async def test_a_proxy_is_told_the_file_after_the_evidence(
    tmp_path: Path, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    answer = replace(prepared(b"0123456789", tmp_path / "object"), inside=b"/_files/object")
    status, told, body, kept, _ = await ask(answer, *headers)
    assert (status, told[b"x-accel-redirect"], told[b"etag"], body) == (200, b"/_files/object", b'"abc"', b"")
    assert len(kept) == 1
    assert ("first_byte" in kept[0]["body"]) == (b"range" in dict(headers))


@pytest.mark.anyio
@pytest.mark.parametrize("value", [b"bytes=0-1,3-4", b"bytes=4-2", b"lines=1-2"])
async def test_what_a_proxy_would_read_otherwise_is_sent_here(tmp_path: Path, value: bytes) -> None:
    answer = replace(prepared(b"0123456789", tmp_path / "object"), inside=b"/_files/object")
    status, told, body, _, _ = await ask(answer, (b"range", value))
    assert (status, body) == (200, b"0123456789")
    assert b"x-accel-redirect" not in told


@pytest.mark.anyio
async def test_a_proxy_is_never_told_of_a_file_of_another_length(tmp_path: Path) -> None:
    answer = replace(prepared(b"0123456789", tmp_path / "object"), inside=b"/_files/object")
    (tmp_path / "object").write_bytes(b"01234")
    with pytest.raises(OSError, match="does not have its 10 bytes"):
        await ask(answer)
