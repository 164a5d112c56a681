"""Looking at images for an evaluation: what a reader is, and the images it is given. Needs no torch."""

import io
from collections.abc import Sequence
from typing import Protocol

import PIL.Image

from inference.contract import ReaderFacts, Reading


class ReaderError(Exception):
    """A reader that cannot be loaded; the message says why."""


class ImageReader(Protocol):
    """Looks at images."""

    facts: ReaderFacts

    def read(self, images: Sequence[PIL.Image.Image]) -> list[Reading]:
        """What each image shows."""
        ...


def open_images(pngs: Sequence[bytes], *, most_side: int) -> list[PIL.Image.Image]:
    """Images in RGB. Raises ValueError for what is none, or is larger than any that is made here."""
    images = []
    for png in pngs:
        try:
            image = PIL.Image.open(io.BytesIO(png), formats=("PNG",))
            if max(image.size) > most_side:
                raise ValueError(f"an image has {image.width} x {image.height} pixels")
            images.append(image.convert("RGB"))
        except OSError as error:
            raise ValueError("an image cannot be read as PNG") from error
    return images
