"""Image files: read with limits, written with the one line of metadata that says a model made them."""

import io
from enum import StrEnum
from xml.sax.saxutils import quoteattr

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from gatekeeper.errors import Invalid, TooLarge

MAX_BYTES = 16 * 2**20
MAX_PIXELS = 2**24

# IPTC, "Digital Source Type" NewsCodes.
TRAINED_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

_PNG_LEVEL = 1  # four to six times faster than the default level 6, and at most a fifth larger
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType={quoteattr(TRAINED_MEDIA)}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


class ImageFormat(StrEnum):
    """What images can be given out as."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """As in a Content-Type header."""
        return f"image/{self.value}"


def read(content: bytes) -> tuple[Image.Image, ImageFormat]:
    """The first picture of an untrusted file, as RGB. Raises TooLarge before much is unpacked, and Invalid."""
    if len(content) > MAX_BYTES:
        raise _too_large()
    kind: ImageFormat | None = None
    try:
        with Image.open(io.BytesIO(content), formats=[each.value for each in ImageFormat]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large()
            # Telephones put further pictures, as of depth, behind a JPEG's first; Pillow has a name for that.
            name = "JPEG" if image.format == "MPO" else image.format or ""
            kind = ImageFormat(name.lower())
            return image.convert("RGB"), kind
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, IndexError, TypeError, OverflowError) as error:
        if kind is not None:
            raise Invalid(
                "This image is damaged: its picture cannot be unpacked. It was changed or cut off since it was made.",
                status=422,
                next_step="Send the file as you first got it.",
            ) from error
        raise Invalid(
            "This is not an image that can be read.", status=422, next_step="Send a PNG, JPEG or WebP file."
        ) from error


def write(image: Image.Image, kind: ImageFormat, *, quality: int | None = None) -> bytes:
    """The file of an RGB image with its digital source type.

    quality  1 to 100 for JPEG and WebP, None: 90
    """
    file = io.BytesIO()
    match kind:
        case ImageFormat.PNG:
            info = PngInfo()
            info.add_itxt("XML:com.adobe.xmp", _XMP)
            image.save(file, "PNG", pnginfo=info, compress_level=_PNG_LEVEL)
        case ImageFormat.JPEG | ImageFormat.WEBP:
            image.save(file, kind.name, xmp=_XMP.encode(), quality=90 if quality is None else quality)
    return file.getvalue()


def _too_large() -> TooLarge:
    return TooLarge(
        f"Images are read up to {MAX_BYTES // 2**20} MiB and {MAX_PIXELS:,} pixels.",
        next_step="Send a smaller copy; a mark survives being cut to a part.",
    )


def blank() -> Image.Image:
    """A small gray image, to try things on."""
    return Image.new("RGB", (64, 64), (128, 128, 128))
