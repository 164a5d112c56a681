"""The contact sheet: many images with their prompts below, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

COLUMNS, CELL, LINE = 8, 128, 16


def write(images: Tensor, prompts: Sequence[str], path: Path) -> None:
    """Writes a PNG of all images, twice their size, eight in a row.

    images  (image, 3, 64, 64) uint8
    """
    rows = -(-len(prompts) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (CELL + 4), rows * (CELL + LINE + 4)), "white")
    brush, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=11)
    for n, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        x, y = n % COLUMNS * (CELL + 4), n // COLUMNS * (CELL + LINE + 4)
        canvas.paste(_picture(image, CELL), (x, y))
        brush.text((x + 2, y + CELL + 1), _fitted(prompt, font), fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    # 256 colors: a fifth of the size, and no difference that a person looking for cats would see.
    canvas.quantize(256).save(path, optimize=True)


def write_one(image: Tensor, path: Path) -> None:
    """Writes a WebP of one image, four times its size, as a card shows it.

    image  (3, 64, 64) uint8
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _picture(image, 4 * image.shape[-1]).save(path, quality=85, method=6)


def _picture(image: Tensor, size: int) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BICUBIC)


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    while font.getlength(text) > CELL:
        text = text[:-2].rstrip("…") + "…"
    return text
