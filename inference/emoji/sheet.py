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
        cell = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((CELL, CELL), Image.Resampling.BICUBIC)
        canvas.paste(cell, (x, y))
        brush.text((x + 2, y + CELL + 1), _fitted(prompt, font), fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    # 256 colors: a fifth of the size, and no difference that a person looking for cats would see.
    canvas.quantize(256).save(path, optimize=True)


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    while font.getlength(text) > CELL:
        text = text[:-2].rstrip("…") + "…"
    return text
