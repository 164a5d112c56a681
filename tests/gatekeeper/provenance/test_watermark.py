import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from gatekeeper.provenance import payload
from gatekeeper.provenance.watermark import Mark
from tests.gatekeeper.provenance.builders import emoji, texture

MARK = Mark(b"k" * 32)
NUMBER = 0x5A17C0FFEE
GROUNDS = {"emoji": emoji, "texture": texture}

Change = Callable[[Image.Image], Image.Image]


def saved(kind: str, quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, kind, quality=quality)
        return Image.open(file).convert("RGB")

    return change


def half_and_back(image: Image.Image) -> Image.Image:
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return small.resize(image.size, Image.Resampling.LANCZOS)


def blanked_edge(image: Image.Image) -> Image.Image:
    width, height = (side // 10 for side in image.size)
    whole = Image.new("RGB", image.size)
    whole.paste(image.crop((width, height, image.width - width, image.height - height)), (width, height))
    return whole


CHANGES: dict[str, Change] = {
    "nothing": lambda image: image,
    "JPEG at 70": saved("JPEG", 70),
    "WebP at 80": saved("WEBP", 80),
    "half and back": half_and_back,
    "a tenth of each edge blanked": blanked_edge,
}


def accuracy(image: Image.Image) -> float:
    """The share of the 64 bits that are read right, without any correction."""
    soft = MARK.soft_bits(np.asarray(image.convert("L")))
    return float(np.mean((soft < 0) == payload.to_bits(NUMBER, MARK.key)))


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("side", [64, 256])
def test_a_mark_survives_what_usually_happens_to_images(ground: str, side: int) -> None:
    marked = MARK.write(GROUNDS[ground](side), NUMBER)
    read = {name: (accuracy(change(marked)), MARK.read(change(marked))) for name, change in CHANGES.items()}
    if (ground, side) == ("emoji", 64):
        # Six places for each bit are too few where WebP smooths flat color. docs/provenance.md says so.
        assert read.pop("WebP at 80")[0] > 0.8
    assert {name: share for name, (share, _) in read.items() if share < 0.98} == {}
    assert {number for _, number in read.values()} == {NUMBER}


@pytest.mark.parametrize("box", [(37, 21, 256, 256), (0, 0, 200, 190), (26, 26, 230, 230)], ids=str)
@pytest.mark.parametrize("ground", GROUNDS)
def test_a_mark_is_read_in_a_part_that_was_cut_out_and_saved_again(ground: str, box: tuple[int, ...]) -> None:
    part = MARK.write(GROUNDS[ground](256), NUMBER).crop(box)  # type: ignore[arg-type]  # four numbers
    assert MARK.read(saved("JPEG", 70)(part)) == NUMBER


def test_images_without_a_mark_or_with_another_hub_s_give_none() -> None:
    pictures = [emoji(64), emoji(256), *(texture(64, seed) for seed in range(5))]
    others = [Mark(b"o" * 32).write(picture, NUMBER) for picture in pictures]
    assert {MARK.read(picture) for picture in [*pictures, *others]} == {None}
    assert accuracy(texture(256)) < 0.8


@pytest.mark.parametrize("side", [64, 70, 256])
def test_nobody_sees_a_mark(side: int) -> None:
    picture = texture(side)
    marked = MARK.write(picture, NUMBER)
    assert marked.size == picture.size
    error = np.asarray(picture, dtype=float) - np.asarray(marked, dtype=float)
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 40  # decibels
    assert np.abs(error).max() < 24


def test_pictures_below_one_tile_have_no_mark() -> None:
    assert MARK.read(emoji(56)) is None


@pytest.mark.parametrize("number", [0, 1, 2**40 - 1, NUMBER])
def test_a_number_is_read_although_some_bits_are_unsure(number: int) -> None:
    soft = 1 - 2 * payload.to_bits(number, b"key").astype(np.float32)
    soft[[3, 17, 40, 63]] *= -0.1
    assert payload.from_soft(soft, b"key") == number
    soft[[5, 6, 7]] *= -1  # surely wrong
    assert payload.from_soft(soft, b"key") is None
