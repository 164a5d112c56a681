"""Small copies of images that nobody vouches for: decoded, made smaller and written anew, so that only pixels pass."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

MEDIA_TYPE = "image/webp"
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_MOST_PIXELS = 24_000_000
_QUALITY = 82


def thumbnail(content: bytes, *, edge: int) -> bytes:
    """A still WebP of the image, neither side longer than `edge` pixels, upright, without any metadata.

    What the file is says its content, never its name. Raises ValueError where it is no image of the four kinds, or is
    larger than 24 megapixels. Takes up to a second: call it in a thread.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"an image of {image.width} x {image.height} pixels")
            image.draft("RGB", (edge, edge))  # a JPEG is decoded no larger than it is needed
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            plain = ImageOps.exif_transpose(image).convert("RGBA" if has_alpha else "RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"no image: {type(error).__name__}") from None
    plain.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    # Pixels alone go on: whatever else was in the file would be written again from `info`.
    bare = Image.new(plain.mode, plain.size)
    bare.paste(plain)
    made = io.BytesIO()
    bare.save(made, "WEBP", quality=_QUALITY)
    return made.getvalue()
