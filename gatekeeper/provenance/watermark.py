"""A mark that nobody sees: 64 bits in the luminance of an image, by quantization index modulation (QIM).

Each 8x8 block gives six low frequencies of its cosine transform. A coefficient is moved to the nearest point of one of
two lattices of step `STEP`, which stand for 0 and 1; where the lattices lie comes from the hub's key. Eight by eight
blocks make a tile that carries all 64 bits six times, each time in another block; tiles repeat over the image. So
parts of an image may be lost, and a cut image is read by trying every place where its tiles may begin.

Compatibility: what is written here is read for good. Another step, other frequencies or another spread make
another mark.

Source: Chen and Wornell 2001, IEEE IT-47(4), for the modulation; JPEG (ITU-T T.81, A.3.3) for the transform.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from gatekeeper.provenance import payload

SMALLEST_SIDE = 64  # below one tile the bits do not all have a place
STEP = 24.0

_BLOCK, _TILE = 8, 8
_FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1))
# Where in the tile, seen from its own block, the bit of each frequency stands.
_SPREAD = ((0, 0), (3, 5), (5, 2), (6, 7), (1, 4), (4, 1))
_LARGEST_READ = 1024
_LARGEST_SEARCHED = 512
_BEST_PLACES = 16
_WEAKEST_OF_MANY = 6

Floats = npt.NDArray[np.float32]
Complexes = npt.NDArray[np.complex64]


def _headroom() -> list[int]:
    # Pure black and white leave no room for the mark: both ends of each color channel are drawn in by five levels.
    levels = np.interp(np.arange(256), [0, 16, 239, 255], [5, 16, 239, 250])
    return [round(level) for level in levels] * 3


def _basis() -> Floats:
    n = np.arange(_BLOCK)
    cosine = np.sqrt(2 / _BLOCK) * np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * _BLOCK))
    cosine[0] /= np.sqrt(2)
    waves = [np.outer(cosine[u], cosine[v]).ravel() for u, v in _FREQUENCIES]
    return np.stack(waves, axis=1).astype(np.float32)


_HEADROOM = _headroom()
_BASIS = _basis()  # (64 pixels of a block, frequency)
_CELLS = np.arange(_TILE * _TILE).reshape(_TILE, _TILE)
# For each bit, the cell of the tile in which a frequency carries it; and a tile's cells, begun at each of its places.
_VOTERS = [np.roll(_CELLS, place, axis=(0, 1)).ravel() for place in _SPREAD]
_ROLLED = np.stack([np.roll(_CELLS, (down, right), (0, 1)).ravel() for down in range(_TILE) for right in range(_TILE)])


@dataclass(frozen=True, slots=True)
class Mark:
    """Writes and reads marks of one hub. `key` has 32 bytes."""

    key: bytes

    def write(self, image: Image.Image, number: int) -> Image.Image:
        """A copy of an RGB image, at least 64 by 64 pixels, that carries a record's number."""
        drawn_in = image.point(_HEADROOM)
        blocks = _blocks(np.asarray(drawn_in.convert("L"), dtype=np.float32))
        rows, columns = blocks.shape[:2]
        wanted = self._wanted(payload.to_bits(number, self.key), rows, columns)
        distance = blocks @ _BASIS / np.float32(STEP) - wanted
        change: Floats = ((np.rint(distance) - distance) * np.float32(STEP)) @ _BASIS.T
        pixels = np.asarray(drawn_in).astype(np.int16)
        pixels[: rows * _BLOCK, : columns * _BLOCK] += np.rint(_unblocked(change)).astype(np.int16)[..., None]
        return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))

    def read(self, image: Image.Image) -> int | None:
        """The number that an image carries, also one that was cut; None when no mark can be read."""
        if min(image.size) < SMALLEST_SIDE:
            return None
        luminance = np.asarray(image.convert("L"))
        found = payload.from_soft(self.soft_bits(luminance), self.key)
        return found if found is not None else self._search(luminance)

    def is_in(self, image: Image.Image, number: int) -> bool:
        """Whether an image that was not cut carries this number."""
        return payload.from_soft(self.soft_bits(np.asarray(image.convert("L"))), self.key) == number

    def soft_bits(self, luminance: npt.NDArray[np.uint8]) -> payload.Softness:
        """The bits of an image that was not cut."""
        bits: payload.Softness = self._soft(_folded(_middle(luminance, _LARGEST_READ))[None])[0]
        return bits

    def _search(self, luminance: npt.NDArray[np.uint8]) -> int | None:
        """Try every place where tiles may begin: surest first, and only the surest few."""
        part = _middle(luminance, _LARGEST_SEARCHED)
        starts = [(top, left) for top in range(_BLOCK) for left in range(_BLOCK)]
        soft = np.concatenate([self._soft(_folded(part[top:, left:])[_ROLLED]) for top, left in starts])
        surest = np.argsort(-np.abs(soft).sum(axis=1))[:_BEST_PLACES]
        found = (payload.from_soft(soft[place], self.key, weakest=_WEAKEST_OF_MANY) for place in surest)
        return next((number for number in found if number is not None), None)

    def _soft(self, folded: Complexes) -> Floats:
        """The bits, as (tile, 64), that folded tiles (tile, cell, frequency) carry."""
        agreement = (folded * np.exp(-2j * np.pi * self._offsets()).astype(np.complex64)).real
        votes = [agreement[:, cells, index] for index, cells in enumerate(_VOTERS)]
        return np.asarray(np.sum(votes, axis=0), dtype=np.float32)

    def _wanted(self, bits: payload.Bits, rows: int, columns: int) -> Floats:
        """Where each coefficient shall lie within a step: (row, column, frequency) in [0, 1.5)."""
        tile = bits.reshape(_TILE, _TILE)
        spread = np.stack([np.roll(tile, (-down, -right), axis=(0, 1)) for down, right in _SPREAD], axis=-1)
        wanted = spread.astype(np.float32) / 2 + self._offsets().reshape(spread.shape)
        whole: Floats = np.tile(wanted, (-(-rows // _TILE), -(-columns // _TILE), 1)).astype(np.float32)
        return whole[:rows, :columns]

    def _offsets(self) -> Floats:
        """Of the lattices, from the key: (cell, frequency) of a tile, in [0, 1)."""
        raw = hashlib.shake_256(b"gatekeeper mark v1" + self.key).digest(_CELLS.size * len(_FREQUENCIES))
        return np.frombuffer(raw, np.uint8).reshape(_CELLS.size, -1).astype(np.float32) / np.float32(256)


def _blocks(luminance: Floats) -> Floats:
    """(row, column, 64): what fills no block at the right and the bottom is left out."""
    rows, columns = (side // _BLOCK for side in luminance.shape)
    whole = luminance[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return whole.swapaxes(1, 2).reshape(rows, columns, _BLOCK * _BLOCK)


def _unblocked(blocks: Floats) -> Floats:
    rows, columns = blocks.shape[:2]
    return blocks.reshape(rows, columns, _BLOCK, _BLOCK).swapaxes(1, 2).reshape(rows * _BLOCK, columns * _BLOCK)


def _folded(luminance: Floats) -> Complexes:
    """The sum over all tiles of where coefficients lie within a step, as angles: (cell, frequency)."""
    angles = np.exp((2j * np.pi / STEP) * (_blocks(luminance) @ _BASIS)).astype(np.complex64)
    rows, columns = angles.shape[:2]
    padded = np.pad(angles, ((0, -rows % _TILE), (0, -columns % _TILE), (0, 0)))
    tiles = padded.reshape(-1, _TILE, padded.shape[1] // _TILE, _TILE, len(_FREQUENCIES))
    return np.asarray(tiles.sum(axis=(0, 2)).reshape(_CELLS.size, -1), dtype=np.complex64)


def _middle(luminance: npt.NDArray[np.uint8], largest: int) -> Floats:
    """At most `largest` by `largest` pixels of the middle, from where a tile begins."""
    tile = _BLOCK * _TILE
    top, left = (max(side - largest, 0) // 2 // tile * tile for side in luminance.shape)
    return luminance[top : top + largest, left : left + largest].astype(np.float32)
