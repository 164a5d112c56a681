"""Emoji as pictures: reads the Unicode and CLDR tables, draws each emoji once and keeps the result.

Everything comes from three Debian packages, named in `SOURCES`; nothing is fetched.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.emoji import vocabulary

SIZE = 64
INNER = 60
GLYPH_SIZE = 109  # the only size of the font's bitmaps
JOINED_WIDTH = 140  # wider than this, a joined sequence fell apart into two glyphs

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
EMOJI_TEST = Path("/usr/share/unicode/emoji/emoji-test.txt")
ANNOTATIONS = (
    Path("/usr/share/unicode/cldr/common/annotations/en.xml"),
    Path("/usr/share/unicode/cldr/common/annotationsDerived/en.xml"),
)
SOURCES: dict[Path, str] = {
    FONT: "fonts-noto-color-emoji",
    EMOJI_TEST: "unicode-data",
    ANNOTATIONS[0]: "unicode-cldr-core",
}

_LINE = re.compile(r"^([0-9A-F ]+?)\s*; fully-qualified\s*# \S+ E[\d.]+ (.+)$")
_TONE_MARKS = {0x1F3FB: 0, 0x1F3FC: 1, 0x1F3FD: 2, 0x1F3FE: 3, 0x1F3FF: 4}


@dataclass(frozen=True)
class Picture:
    """One emoji: what it is called, where it belongs and what the tables say about it."""

    name: str
    sequence: str
    category: str
    keywords: tuple[str, ...]
    is_named: bool  # whether the vocabulary names it, or it only adds variety
    is_drawn: bool  # whether the image model learns it, or only the autoencoder and CLIP
    concept: int | None = None
    profession: str | None = None
    gender: str | None = None
    tone: str | None = None


@dataclass(frozen=True)
class Gallery:
    """All pictures with their pixels.

    rgba  (picture, 64, 64, 4) uint8, colors premultiplied by alpha
    """

    pictures: tuple[Picture, ...]
    rgba: NDArray[np.uint8]

    def named(self) -> list[int]:
        """Positions of the pictures that the vocabulary names."""
        return [i for i, picture in enumerate(self.pictures) if picture.is_named]

    def drawn(self) -> list[int]:
        """Positions of the pictures that the image model learns."""
        return [i for i, picture in enumerate(self.pictures) if picture.is_drawn]


@dataclass(frozen=True)
class _Entry:
    sequence: str
    name: str
    group: str


def missing_packages() -> list[str]:
    """Debian packages to install before anything can be rendered; empty when all is there."""
    return [package for path, package in SOURCES.items() if not path.exists()]


def sources() -> dict[str, str]:
    """Versions and digests of what the pictures and names come from, as far as the files themselves tell."""
    font = ImageFont.truetype(str(FONT), GLYPH_SIZE)
    emoji_version = next(
        line.removeprefix("# Version: ").strip()
        for line in EMOJI_TEST.read_text(encoding="utf-8").splitlines()
        if line.startswith("# Version: ")
    )
    return {
        "font": " ".join(part for part in font.getname() if part),
        "font_sha256": hashlib.sha256(FONT.read_bytes()).hexdigest(),
        "emoji_version": emoji_version,
    }


def render(out: Path) -> Gallery:
    """Draws every picture of the vocabulary and saves them under `out`."""
    if missing := missing_packages():
        raise FileNotFoundError(f"emoji sources are missing, install the Debian packages: {' '.join(missing)}")
    pictures = tuple(_pictures())
    font = ImageFont.truetype(str(FONT), GLYPH_SIZE)
    rgba = np.stack([draw(picture.sequence, font) for picture in pictures])
    gallery = Gallery(pictures, rgba)
    save(gallery, out)
    return gallery


def save(gallery: Gallery, out: Path) -> None:
    """Writes `pictures.npz` and `pictures.json` under `out`."""
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "pictures.npz", rgba=gallery.rgba)
    rows = json.dumps([asdict(picture) for picture in gallery.pictures], ensure_ascii=False)
    (out / "pictures.json").write_text(rows, encoding="utf-8")


def load(out: Path) -> Gallery:
    """Reads what `save` wrote under `out`."""
    rows = json.loads((out / "pictures.json").read_text(encoding="utf-8"))
    pictures = tuple(Picture(**{**row, "keywords": tuple(row["keywords"])}) for row in rows)
    return Gallery(pictures, np.load(out / "pictures.npz")["rgba"])


def draw(sequence: str, font: ImageFont.FreeTypeFont) -> NDArray[np.uint8]:
    """One emoji, cropped, centered and scaled.

    returns  (64, 64, 4) uint8, colors premultiplied by alpha. The scaling happens after the multiplication: scaled
             before it, the invisible color of transparent pixels bleeds into the rim.
    """
    canvas = Image.new("RGBA", (400, 200), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((40, 20), sequence, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None or box[2] - box[0] > JOINED_WIDTH:
        raise ValueError(f"the font does not draw {sequence!r} as one glyph")
    pixels = np.asarray(canvas.crop(box), dtype=np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    height, width = pixels.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 4), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    channels = [
        np.asarray(Image.fromarray(square[..., c]).resize((INNER, INNER), Image.Resampling.LANCZOS)) for c in range(4)
    ]
    margin = (SIZE - INNER) // 2
    result = np.zeros((SIZE, SIZE, 4), np.float32)
    result[margin:-margin, margin:-margin] = np.stack(channels, axis=-1)
    # Lanczos overshoots at hard rims.
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


def _pictures() -> Iterator[Picture]:
    entries = list(_entries())
    keywords = _keywords()
    by_name = {entry.name: entry for entry in entries}
    for category, names in vocabulary.THINGS.items():
        for name in names.split(", "):
            yield _thing(by_name[name], category, keywords, is_named=True)
    for profession in vocabulary.PROFESSIONS + vocabulary.EXTRA_PROFESSIONS:
        yield from _profession(profession, entries)
    taken = {name for names in vocabulary.THINGS.values() for name in names.split(", ")}
    spare = [e for e in entries if e.group in vocabulary.EXTRA_GROUPS and e.name not in taken and "clock" not in e.name]
    # Spread evenly over the groups, so that no subject is over-represented.
    for i in np.linspace(0, len(spare) - 1, vocabulary.EXTRA_COUNT).round().astype(int):
        yield _thing(spare[i], "", keywords, is_named=False)


def _thing(entry: _Entry, category: str, keywords: dict[str, tuple[str, ...]], *, is_named: bool) -> Picture:
    name = vocabulary.RENAMED.get(entry.name, entry.name).lower()
    concept = vocabulary.CONCEPTS.index(name) if name in vocabulary.CONCEPTS else None
    words = tuple(w.lower() for w in keywords.get(entry.sequence.replace("\ufe0f", ""), ()) if w.lower() != name)
    is_drawn = is_named and entry.name not in vocabulary.READ_ONLY
    return Picture(name, entry.sequence, category, words, is_named, is_drawn, concept)


def _profession(profession: str, entries: list[_Entry]) -> Iterator[Picture]:
    original = "health worker" if profession == "doctor" else profession
    for gender in vocabulary.GENDERS:
        wanted = original if gender == "person" else f"{gender} {original}"
        for entry in entries:
            name, _, _ = entry.name.partition(": ")
            if name != wanted:
                continue
            marks = [_TONE_MARKS[ord(c)] for c in entry.sequence if ord(c) in _TONE_MARKS]
            tone = vocabulary.TONES[marks[0]] if marks else vocabulary.YELLOW
            full_name = f"{gender} {profession} with {tone} skin tone"
            is_ours = profession in vocabulary.PROFESSIONS
            yield Picture(full_name, entry.sequence, "person", (), is_ours, is_ours, None, profession, gender, tone)


def _entries() -> Iterator[_Entry]:
    group = ""
    for line in EMOJI_TEST.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ").strip()
        elif match := _LINE.match(line):
            sequence = "".join(chr(int(code, 16)) for code in match[1].split())
            yield _Entry(sequence, match[2], group)


def _keywords() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for path in ANNOTATIONS:
        # The files are the distribution's own, as trusted as its programs.
        for node in ElementTree.parse(path).iter("annotation"):  # noqa: S314
            if node.get("type") != "tts" and node.text:
                found[node.get("cp", "")] = tuple(word.strip() for word in node.text.split("|"))
    return found
