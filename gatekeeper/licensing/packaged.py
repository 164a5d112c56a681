"""Verbatim license texts of the package `licensedcode-data`, where the extra [licenses] is installed.

A file there is front matter between two lines of `---`, then the text. Its data is CC-BY-4.0, attribution nexB.
"""

from importlib import resources

from gatekeeper import errors


def packaged_text(name: str) -> bytes:
    """The exact text of a file of the package. Raises NotFound where the package or the file is missing."""
    try:
        path = resources.files("licensedcode") / "data" / "licenses" / f"{name}.LICENSE"
        _, _, body = path.read_bytes().split(b"---\n", 2)
    except ModuleNotFoundError as missing:
        raise errors.NotFound(
            "The package with license texts is not installed.",
            next_step="Install gatekeeper[licenses], or give the text's file.",
        ) from missing
    except (OSError, ValueError) as missing:
        raise errors.NotFound(
            f"The package has no license text {name[:80]}.", next_step="Give the text's file."
        ) from missing
    return body
