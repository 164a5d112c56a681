"""Finding what travels with the code: inside the installed wheel, else beside the package in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_dir(name: str) -> Path:
    """The directory `name` (`policies`, `alembic`). Raises FileNotFoundError when the installation is broken."""
    for place in (_PACKAGE / "_bundled" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"{name}/ is missing from this installation of Gatekeeper; install it again")
