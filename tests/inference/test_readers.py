"""Readers: images looked at over the socket, and the bundled one by its digest."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from inference.contract import ErrorCode, Health, Problem, ReaderFacts, Readings, ReadOrder, sign
from inference.fake import FakeReader, paint
from inference.looking import ReaderError, open_images

KEY = b"test-key-" * 4


@pytest.fixture
async def http(fake_socket: Path) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(uds=str(fake_socket))
    async with httpx2.AsyncClient(transport=transport, base_url="http://worker", timeout=20) as client:
        yield client


def png(prompt: str, side: int = 64) -> str:
    import io

    import numpy as np
    import PIL.Image

    pixels = (paint(prompt, 1, side, side).transpose(1, 2, 0) * 255).astype(np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "png")
    return base64.b64encode(out.getvalue()).decode()


async def look(http: httpx2.AsyncClient, *images: str, reader: str = FakeReader.facts.sha256) -> httpx2.Response:
    order = sign(ReadOrder(reader=reader, images=images), KEY, now=datetime.now(UTC))
    return await http.post("/readings", content=order.model_dump_json())


@pytest.mark.anyio
async def test_a_reader_that_health_names_looks_at_images_in_their_order(http: httpx2.AsyncClient) -> None:
    health = Health.model_validate_json((await http.get("/health")).content)
    assert [reader.name for reader in health.readers] == ["fake reader"]
    found = Readings.model_validate_json((await look(http, png("a cat"), png("a dog"), png("a cat"))).content).readings
    assert found[0] == found[2] != found[1]


@pytest.mark.anyio
async def test_what_is_no_image_or_no_reader_or_not_signed_is_refused(http: httpx2.AsyncClient) -> None:
    async def code(response: httpx2.Response) -> ErrorCode:
        return Problem.model_validate_json(response.content).code

    assert await code(await look(http, base64.b64encode(b"GIF89a").decode())) is ErrorCode.MALFORMED
    assert await code(await look(http, png("a cat", 1200))) is ErrorCode.MALFORMED
    assert await code(await look(http, png("a cat"), reader="0" * 64)) is ErrorCode.UNKNOWN_READER
    unsigned = sign(ReadOrder(reader="0" * 64, images=("",)), b"another key " * 4, now=datetime.now(UTC))
    assert (await http.post("/readings", content=unsigned.model_dump_json())).status_code == 403


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_bundled_reader_is_the_one_that_the_bundled_grid_names_and_says_how_it_errs() -> None:
    pytest.importorskip("transformers", reason="the inference extra is not installed")
    from inference.readers import bundled_reader, load_readers

    reader = bundled_reader()
    grid = (Path(__file__).parents[2] / "policies" / "evaluations" / "bias-emoji.toml").read_text()
    assert f'reader = "{reader.facts.sha256}"' in grid
    for attribute, values in reader.facts.attributes.items():
        for counts in reader.facts.confusion[attribute].values():
            assert [len(row) for row in counts] == [len(values)] * len(values)
            right = sum(counts[i][i] for i in range(len(values)))
            assert right / sum(map(sum, counts)) > 0.85
    [blank] = reader.read(open_images([base64.b64decode(png("x"))], most_side=64))
    assert sum(x * x for x in blank.embedding) == pytest.approx(1, abs=1e-3)
    with pytest.raises(ReaderError):
        load_readers((Path(__file__).parent,))


def test_the_readers_digest_is_over_names_and_contents(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the inference extra is not installed")
    from inference.readers import digest_of_files

    (tmp_path / "labels.json").write_text(json.dumps({"captions": []}))
    before = digest_of_files([tmp_path / "labels.json"])
    (tmp_path / "labels.json").write_text(json.dumps({"captions": [1]}))
    assert digest_of_files([tmp_path / "labels.json"]) != before


@pytest.mark.parametrize(
    ("attributes", "confusion", "words"),
    [
        ({"gender": ("man",)}, {}, "two different values"),
        ({"gender": ("man", "man")}, {}, "two different values"),
        ({"gender": ("man", "woman")}, {"gender": {"doctor": ((9, 1),)}}, "gender for doctor"),
        ({"gender": ("man", "woman")}, {"gender": {"doctor": ((9, 1), (1,))}}, "gender for doctor"),
        ({"gender": ("man", "woman")}, {"gender": {"doctor": ((9, 1), (0, 0))}}, "an image in each"),
        ({"gender": ("man", "woman")}, {"gender": {"doctor": ((9, -1), (0, 1))}}, "gender for doctor"),
        ({}, {"gender": {"doctor": ((9,),)}}, "gender for doctor"),
    ],
)
def test_a_reader_whose_labels_cannot_be_counted_with_says_why(
    attributes: dict[str, tuple[str, ...]], confusion: dict[str, dict[str, tuple[tuple[int, ...], ...]]], words: str
) -> None:
    facts = ReaderFacts(sha256="a" * 64, name="odd", dimensions=2, attributes=attributes, confusion=confusion)
    assert words in facts.fault


def test_a_reader_that_cannot_be_counted_with_is_left_out_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("transformers", reason="the inference extra is not installed")
    from inference import readers

    def read(directory: Path) -> SimpleNamespace:
        attributes = {"gender": ("man", "woman") if directory.name == "sound" else ("man",)}
        sha256 = hashlib.sha256(directory.name.encode()).hexdigest()
        return SimpleNamespace(
            facts=ReaderFacts(sha256=sha256, name=directory.name, dimensions=2, attributes=attributes)
        )

    monkeypatch.setattr(readers, "read_directory", read)

    found = readers.load_readers((Path("odd"), Path("sound")))

    assert [reader.facts.name for reader in found.values()] == ["sound"]
    assert "the reader odd is left out: the attribute gender needs" in caplog.text
