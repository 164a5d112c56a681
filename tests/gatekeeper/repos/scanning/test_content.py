"""What a scan says of contents, hostile ones above all. Nothing here is ever unpickled."""

import bz2
import collections
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.kit.secrets import new_secret
from gatekeeper.repos.scanning import Kind, Status, Verdict, content
from gatekeeper.repos.scanning.source import Budget, held


class Runs:
    """An object whose pickle runs a command when it is loaded."""

    def __reduce__(self) -> object:
        return os.system, ("true",)


EVIL = pickle.dumps(Runs())


def look(data: bytes) -> Verdict:
    return content.examine_bytes(data)


def kinds(data: bytes) -> set[Kind]:
    return {finding.kind for finding in look(data).findings}


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def array(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([value], dtype=object))
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(6))
def test_a_dangerous_pickle_is_unsafe_in_every_protocol(protocol: int) -> None:
    verdict = look(pickle.dumps(Runs(), protocol))

    assert (verdict.format, verdict.status) == ("pickle", Status.UNSAFE)
    assert [(each.module, each.name, each.safety) for each in verdict.imports] == [("posix", "system", "dangerous")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(zipped({"archive/data.pkl": EVIL}), id="in a torch checkpoint"),
        pytest.param(zipped({"weights.safetensors": EVIL}), id="under another name in a zip"),
        pytest.param(zipped({"a.zip": zipped({"b": EVIL})}), id="in a zip in a zip"),
        pytest.param(zipped({"a": EVIL}, zipfile.ZIP_DEFLATED), id="deflated"),
        pytest.param(b"#!/bin/sh\n" + zipped({"a": EVIL}), id="in a zip behind a script"),
        pytest.param(tarred("data", EVIL), id="in a tar"),
        pytest.param(gzip.compress(tarred("data", EVIL)), id="in a tar.gz"),
        pytest.param(gzip.compress(b"") + gzip.compress(EVIL), id="in a second gzip member"),
        pytest.param(bz2.compress(EVIL), id="bzip2"),
        pytest.param(lzma.compress(EVIL), id="xz"),
        pytest.param(zlib.compress(EVIL), id="zlib, as joblib writes"),
        pytest.param(array(Runs()), id="in an array of objects"),
        pytest.param(pickle.dumps({"a": 1}) + EVIL, id="behind a harmless pickle"),
        pytest.param(pickle.dumps({"a": 1}) + pickle.dumps(Runs(), 0), id="behind one, in the oldest protocol"),
        pytest.param(EVIL[:-3] + b"\xff\xff", id="cut off after it has run"),
        pytest.param(
            b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94" + b"0h\x00h\x01\x93\x8c\x02id\x85R.", id="by the memo"
        ),
        pytest.param(b"\x80\x02c__builtin__\ngetattr\nq\x00.", id="by getattr"),
        pytest.param(b"\x80\x04\x8c\x02os\x8c\x06system\x93.", id="by names on the stack"),
        pytest.param(b"(S'true'\nios\nsystem\n.", id="by INST"),
    ],
)
def test_a_pickle_is_found_whatever_it_is_called(data: bytes) -> None:
    verdict = look(data)

    assert verdict.status is Status.UNSAFE
    assert any(each.safety == "dangerous" for each in verdict.imports)


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, "x", b"y", None]}, collections.OrderedDict(a=1), np.arange(5), {1, 2}], ids=str
)
def test_pickles_of_plain_values_are_safe(value: object) -> None:
    assert look(pickle.dumps(value)).status is Status.SAFE


def test_an_import_that_nobody_knows_is_suspicious_not_unsafe() -> None:
    verdict = look(b"\x80\x02cmy_library.layers\nBlock\nq\x00.")

    assert verdict.status is Status.SUSPICIOUS
    assert "my_library.layers.Block" in verdict.findings[0].detail


@pytest.mark.parametrize("text", [b"", b"cat\ndog\nemu\n", b"hello", b"import os\nos.system('x')\n", b"c\n\n.", b"."])
def test_texts_are_no_pickles(text: bytes) -> None:
    assert look(text).findings == []


@given(st.binary(max_size=3_000))
@settings(max_examples=200, deadline=None)
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    assert look(data).status in Status
    assert look(b"\x80\x04" + data).status in Status


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(zipped({"a": bytes(64 * 2**20)}, zipfile.ZIP_DEFLATED), id="zip"),
        pytest.param(gzip.compress(bytes(64 * 2**20)), id="gzip"),
        pytest.param(bz2.compress(bytes(64 * 2**20)), id="bzip2"),
        pytest.param(lzma.compress(bytes(64 * 2**20)), id="xz"),
        pytest.param(tarred("a", gzip.compress(bytes(64 * 2**20))), id="in a tar"),
    ],
)
def test_a_bomb_is_told_and_never_unpacked(data: bytes) -> None:
    verdict = look(data)

    assert verdict.status is Status.UNSAFE
    assert "bomb" in verdict.findings[0].detail


def test_entries_that_share_their_bytes_are_a_bomb() -> None:
    data = bytearray(zipped({"a": b"x" * 5_000, "b": b"y" * 5_000}))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)  # both entries now lie at the front

    assert "share the same bytes" in look(bytes(data)).findings[0].detail


def test_archives_that_nest_too_deep_lead_outside_or_are_closed_are_told() -> None:
    nested = EVIL
    for _ in range(5):
        nested = zipped({"a.zip": nested})

    assert look(nested).status is Status.SUSPICIOUS
    assert look(zipped({"../../etc/passwd": b"x"})).status is Status.UNSAFE
    assert look(tarred("/etc/passwd", b"x")).status is Status.UNSAFE
    assert kinds(b"7z\xbc\xaf\x27\x1c" + bytes(40)) == {Kind.ARCHIVE}
    assert kinds(zipped({"a": b"x" * 99})[:-30]) <= {Kind.ARCHIVE}


SECRETS = {
    "access token of a Gatekeeper hub": new_secret("gk_"),
    "Hugging Face token": "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi",
    "GitHub token": "ghp_" + "q7W3e9R1t5Y8u2I4o6P0a1S3d5F7g9H2j4K6",
    "AWS access key id": "AKIA" + "QWERTYUIOPASDFGH",
    "private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAA",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_told_and_never_repeated(name: str) -> None:
    verdict = look(f"first line\nkey = {SECRETS[name]}\n".encode())

    assert verdict.status is Status.UNSAFE
    assert f"Line 2 holds a secret ({name})" in verdict.findings[0].detail
    assert SECRETS[name][8:] not in json.dumps(verdict.as_json())


def test_a_secret_is_found_where_two_pieces_meet() -> None:
    padding = b"x" * (2**20 - 20) + b"\n"

    assert "Line 2 holds" in look(padding + SECRETS["GitHub token"].encode()).findings[0].detail


@pytest.mark.parametrize(
    "text", ["gk_" + "a" * 44, "hf_" + "x" * 34, "AKIAIOSFODNN7EXAMPLE", "-----BEGIN PUBLIC KEY-----\nA"]
)
def test_examples_and_wrong_checksums_are_no_secrets(text: str) -> None:
    assert look(text.encode()).findings == []


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def test_safetensors_are_checked_and_counted() -> None:
    header = (
        b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
        b'"b":{"dtype":"I8","shape":[4],"data_offsets":[24,28]}}'
    )
    twice = b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}'

    assert look(safetensors(header, bytes(28))).facts == {"parameters": {"F32": 6, "I8": 4}}
    assert look(safetensors(header, bytes(29))).status is Status.UNSAFE
    assert "twice" in look(safetensors(twice, b"x")).findings[0].detail


def test_what_is_not_looked_through_to_its_end_is_suspicious() -> None:
    many = pickle.dumps(list(range(200_000)))

    verdict = content.examine(held(many, budget := Budget(seconds=60, total_bytes=100_000)), len(many), budget)

    assert (verdict.status, verdict.findings[0].kind) == (Status.SUSPICIOUS, Kind.INCOMPLETE)


def test_lengths_that_lie_take_no_memory() -> None:
    huge = struct.pack("<Q", 2**62)

    assert look(b"\x80\x04\x8d" + huge + b"x.").status in Status
    assert look(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{").status is Status.SUSPICIOUS


def test_a_gguf_header_is_read() -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    values = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    values += text("llama.context_length") + struct.pack("<II", 4, 4096)
    values += text("words") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    tensor = text("w") + struct.pack("<IQQ", 2, 3, 5) + struct.pack("<IQ", 0, 0)
    file = b"GGUF" + struct.pack("<IQQ", 3, 1, 3) + values + tensor

    assert look(file).facts == {"gguf": {"total": 15, "architecture": "llama", "context_length": 4096}}
    assert look(file[:60]).facts == {}
