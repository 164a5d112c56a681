"""The file format that was asked for. Workers make PNG; what else is wanted is made of it before anything is signed."""

from gatekeeper.generation.tables import Generation
from gatekeeper.provenance import ImageFormat


def format_of(made: Generation) -> ImageFormat:
    """Of an order's files."""
    return ImageFormat(made.settings.get("output_format", ImageFormat.PNG))


def quality_of(made: Generation) -> int:
    """Of JPEG and WebP files, 1 to 100."""
    return max(int(made.settings.get("output_compression", 100)), 1)
