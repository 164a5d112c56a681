import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gatekeeper.kit.thumbnails import thumbnail


def written(image: Image.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_copy_is_small_and_a_still_webp(kind: str) -> None:
    frames = [Image.new("RGB", (400, 100), color) for color in ("red", "blue")]
    more = {"save_all": True, "append_images": frames[1:]} if kind in ("GIF", "WEBP") else {}

    with Image.open(io.BytesIO(thumbnail(written(frames[0], kind, **more), edge=80))) as made:
        assert (made.format, made.size, getattr(made, "n_frames", 1)) == ("WEBP", (80, 20), 1)
        red, _, blue = made.convert("RGB").getpixel((40, 10))
        assert red > 200
        assert blue < 60


def test_pixels_alone_are_in_the_copy() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "where I live", 6  # description, and: lies on its side
    note = PngInfo()
    note.add_text("parameters", "a secret prompt")
    image = Image.new("RGBA", (40, 20), (0, 200, 0, 0))

    with Image.open(io.BytesIO(thumbnail(written(image, "PNG", exif=exif, pnginfo=note), edge=80))) as made:
        made.load()
        assert made.size == (20, 40)  # upright
        assert made.convert("RGBA").getpixel((5, 5))[3] == 0
        assert not made.getexif()
        assert not {"exif", "parameters", "icc_profile", "xmp"} & made.info.keys()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<html><script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        written(Image.new("RGB", (9, 9)), "BMP"),
        written(Image.new("RGB", (90, 90)), "JPEG")[:200],
        written(Image.new("1", (6000, 6000)), "PNG"),  # small to send, large to decode
    ],
    ids=["nothing", "svg", "html", "broken", "bmp", "cut off", "bomb"],
)
def test_nothing_else_passes(content: bytes) -> None:
    with pytest.raises(ValueError, match="image"):
        thumbnail(content, edge=80)
