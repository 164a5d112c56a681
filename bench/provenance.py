"""What marking and signing an image costs, beside encoding it as PNG, in the same run and one thread.

    python bench/provenance.py [--rounds 9]

For each size the fastest of the rounds, in turns: the mark, the signature, all that happens to an image (reading the
worker's PNG, mark, writing, signature), `/verify` on the result, on a cut copy and on a foreign image; and Pillow's PNG
encoder as it is by default. The picture is noise at several scales: harder to encode than most.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from gatekeeper.provenance import ImageFormat, Notary
from gatekeeper.provenance import pictures as files

FACTS = {"record": "0" * 10, "receipt_id": "x" * 28, "model": {"commit": "a" * 40, "sha256": "b" * 64}}
GOAL_MS = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="bench-provenance-") as folder:
        notary = Notary.load(Path(folder), owner="bench.test")
        for side in (64, 512, 1024):
            _measure(notary, side, rounds)


def _measure(notary: Notary, side: int, rounds: int) -> None:
    picture = _picture(side)
    png = _encoded(picture)
    marked = notary._mark.write(picture, 7)
    written = {kind: files.write(marked, kind) for kind in ImageFormat}
    signed = notary.certify(png, 7, FACTS).content
    cut = _encoded(Image.open(io.BytesIO(signed)).crop((13, 7, side, side)))
    steps: dict[str, Callable[[], object]] = {
        "encode": lambda: _encoded(picture),
        "mark": lambda: notary._mark.write(picture, 7),
        **{f"sign {kind}": lambda kind=kind: notary._writer.write(written[kind], kind, FACTS) for kind in ImageFormat},
        "write": lambda: files.write(marked, ImageFormat.PNG),
        "all": lambda: notary.certify(png, 7, FACTS),
        "verify": lambda: notary.examine(signed),
        "verify cut": lambda: notary.examine(cut),
        "verify foreign": lambda: notary.examine(png),
    }
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            best[name] = min(best[name], (time.perf_counter() - started) * 1000)
    both, encode = best["mark"] + best["sign png"], best["encode"]
    signs = ", ".join(f"{kind} {best[f'sign {kind}']:.1f}" for kind in ImageFormat)
    verdict = f", goal {GOAL_MS} ms: {'met' if both < GOAL_MS else 'MISSED'}" if side == 512 else ""
    print(f"{side} px: encoding a PNG {encode:.1f} ms; mark {best['mark']:.1f}, sign {signs}")
    print(f"     mark and sign {both:.1f} ms = {both / encode:.2f} of encoding{verdict}")
    print(f"     all that happens {best['all']:.1f} ms = {best['all'] / encode:.2f}, of it writing {best['write']:.1f}")
    print(
        f"     file {len(signed) / len(png):.2f} times; signature {len(signed) - len(written[ImageFormat.PNG]):,} bytes"
    )
    print(f"     verify {best['verify']:.1f} ms, cut {best['verify cut']:.1f}, foreign {best['verify foreign']:.1f}")


def _picture(side: int) -> Image.Image:
    rng = np.random.default_rng(0)
    whole = np.zeros((side, side, 3))
    for scale in (4, 8, 16, 32, 64):
        size = max(2, side // scale)
        for channel in range(3):
            noise = Image.fromarray(rng.normal(0, scale**0.5, (size, size)).astype(np.float32))
            whole[..., channel] += np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC))
    whole = (whole - whole.min()) / np.ptp(whole)
    return Image.fromarray((whole * 255).astype(np.uint8))


def _encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
