"""The file format that was asked for. Workers make PNG; what else is wanted is made of it before anything is signed."""

import asyncio
import base64
import io

import PIL.Image

from gatekeeper.generation.tables import Generation
from inference.contract import Image

PNG = "png"


def format_of(made: Generation) -> str:
    """Of an order's files: png, webp or jpeg."""
    return str(made.settings.get("output_format", PNG))


async def encoded(image: Image, made: Generation) -> Image:
    """The checked image in the order's format."""
    wanted = format_of(made)
    if wanted == PNG:
        return image
    quality = int(made.settings.get("output_compression", 100))
    data = await asyncio.to_thread(_encode, image.png(), wanted, quality)
    return image.model_copy(update={"png_base64": base64.b64encode(data).decode()})


def _encode(png: bytes, format: str, quality: int) -> bytes:
    file = io.BytesIO()
    with PIL.Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(file, format.upper(), quality=max(quality, 1))
    return file.getvalue()
