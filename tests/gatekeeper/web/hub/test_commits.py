import base64
import io
import json
from typing import Any

import pytest

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import AddFile, AddLfs, DeleteFolder, DeletePath
from gatekeeper.web.hub import commits
from gatekeeper.web.hub.commits import read_commit

HEADER = {"key": "header", "value": {"summary": "Title", "description": "More", "parentCommit": "abc1234"}}


def body(*lines: Any) -> io.BytesIO:
    return io.BytesIO(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))


def file_line(path: str, content: bytes) -> dict[str, Any]:
    return {
        "key": "file",
        "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"},
    }


def test_each_line_becomes_one_operation_in_order() -> None:
    wanted = read_commit(
        body(
            HEADER,
            file_line("a.txt", b"one"),
            {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": "0" * 64, "size": 9}},
            {"key": "lfsFile", "value": {"path": "copy.bin", "algo": "sha256", "oid": "0" * 64}},
            b"",
            {"key": "deletedFile", "value": {"path": "old.txt"}},
            {"key": "deletedFolder", "value": {"path": "old/"}},
        )
    )
    assert (wanted.summary, wanted.description, wanted.parent) == ("Title", "More", "abc1234")
    assert wanted.operations == (
        AddFile("a.txt", b"one"),
        AddLfs("w.bin", "0" * 64, 9),
        AddLfs("copy.bin", "0" * 64, None),
        DeletePath("old.txt"),
        DeleteFolder("old"),
    )


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[1]",
        b'{"key": "file"}',
        {"key": "file", "value": {"path": 5, "content": "", "encoding": "base64"}},
        {"key": "file", "value": {"path": "a", "content": "***", "encoding": "base64"}},
        {"key": "file", "value": {"path": "a", "content": "", "encoding": "utf-8"}},
        {"key": "lfsFile", "value": {"path": "a", "algo": "sha1", "oid": "0"}},
        {"key": "lfsFile", "value": {"path": "a", "algo": "sha256", "oid": "0", "size": -1}},
        {"key": "lfsFile", "value": {"path": "a", "algo": "sha256", "oid": "0", "size": True}},
        {"key": "chmod", "value": {"path": "a"}},
    ],
    ids=str,
)
def test_a_line_that_cannot_be_read_is_named(line: Any) -> None:
    with pytest.raises(Invalid, match=r"[Ll]ine 2"):
        read_commit(body(HEADER, line))


def test_a_commit_needs_its_header() -> None:
    with pytest.raises(Invalid, match="header"):
        read_commit(body(file_line("a.txt", b"x")))


def test_what_is_inline_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_INLINE_LIMIT", 10)
    with pytest.raises(TooLarge, match="together"):
        read_commit(body(HEADER, file_line("a.txt", b"x" * 6), file_line("b.txt", b"x" * 6)))


def test_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_LINE_LIMIT", 100)
    with pytest.raises(TooLarge, match="Line 2"):
        read_commit(body({"key": "header", "value": {}}, file_line("a.txt", b"x" * 200)))
