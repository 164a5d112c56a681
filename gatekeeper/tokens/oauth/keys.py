"""Keys that sign ID tokens: a new one every 90 days, published a period before and a period after its use.

There is nothing to run: the period is counted from the clock, and the file of a period's key is made when it is first
looked for. Relying parties therefore know a key long before they meet it, and every process agrees which one is in use.
After a break-in an operator deletes the files and restarts; ID tokens given out before are then void.
"""

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc.jwk import KeySet, RSAKey

from gatekeeper.kit.signing import secret_file

ALGORITHM = "RS256"  # OpenID Connect Core, 15.1: the one that every relying party understands
PERIOD_SECONDS = 90 * 86_400
_BITS = 2048


def signing_key(directory: Path) -> RSAKey:
    """The key in use now."""
    return _key(directory, _period())


def published(directory: Path) -> dict[str, Any]:
    """The public halves of the last, the present and the next key, as a JWK set. Older files are deleted."""
    period = _period()
    keys = KeySet([_key(directory, each) for each in (period, period + 1, period - 1) if _is_kept(directory, each)])
    _forget(directory, before=period - 1)
    return dict(keys.as_dict(private=False))


def _period() -> int:
    return int(time.time()) // PERIOD_SECONDS


def _is_kept(directory: Path, period: int) -> bool:
    """A past key is published while its file is there; it is never made after its time."""
    return period >= _period() or _file(directory, period).exists()


def _file(directory: Path, period: int) -> Path:
    return directory / f"oidc-{period}.pem"


@lru_cache(maxsize=8)
def _key(directory: Path, period: int) -> RSAKey:
    pem = secret_file(_file(directory, period), lambda: RSAKey.generate_key(_BITS, private=True).as_pem(private=True))
    key = RSAKey.import_key(pem, {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()  # the thumbprint of RFC 7638: the same in every process
    return key


def _forget(directory: Path, *, before: int) -> None:
    for path in directory.glob("oidc-*.pem"):
        number = path.stem.removeprefix("oidc-")
        if number.isdigit() and int(number) < before:
            path.unlink(missing_ok=True)
