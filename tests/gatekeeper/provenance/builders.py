"""A notary of a hub that is made once for all tests, and pictures for it."""

import atexit
import io
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image, ImageDraw

from gatekeeper.kit.clock import now
from gatekeeper.provenance import Credential, ImageFormat, Notary
from gatekeeper.provenance.certificates import make_leaf
from gatekeeper.provenance.manifests import ManifestWriter

_FOLDER = Path(tempfile.mkdtemp(prefix="gatekeeper-notary-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)

NOTARY = Notary.load(_FOLDER / "provenance", owner="hub.test")
FACTS: dict[str, Any] = {"record": "0000000007", "receipt_id": "a-0", "safety": {"margin": 0.0}}


def emoji(side: int) -> Image.Image:
    """Flat colors on white, as the bundled model makes them: the hardest ground for a mark."""
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    eighth = side // 8
    draw.ellipse([eighth, eighth, 7 * eighth, 7 * eighth], fill=(255, 204, 0))
    draw.ellipse([3 * eighth, 3 * eighth, 4 * eighth, 4 * eighth], fill="black")
    draw.rectangle([4 * eighth, 4 * eighth, 6 * eighth, 5 * eighth], fill=(255, 0, 0))
    return image


def texture(side: int, seed: int = 0) -> Image.Image:
    """Something like a photograph: noise at several scales."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((side, side, 3))
    for scale in (4, 8, 16, 32):
        small = rng.normal(0, scale**0.5, (max(2, side // scale),) * 2).astype(np.float32)
        whole += np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))[..., None]
    whole = (whole - whole.min()) / np.ptp(whole)
    return Image.fromarray((whole * 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    """Its file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def ended(authorities: list[Credential], *, serial: int, facts: Mapping[str, Any]) -> list[bytes]:
    """A picture, signed by a certificate of each authority with this number, after all of them have ended."""
    with mock.patch("cryptography.x509.random_serial_number", return_value=serial):
        signers = [make_leaf(authority, "hub.test", valid=timedelta(seconds=1)) for authority in authorities]
    files = [ManifestWriter(signer).write(png(texture(64)), ImageFormat.PNG, facts) for signer in signers]
    while now() < signers[-1].leaf.not_valid_after_utc + timedelta(seconds=1):  # the reader looks at its own clock
        time.sleep(0.1)
    return files
