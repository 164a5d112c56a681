"""What every training stage shares: chance by step, states on disk, and a line in the log now and then.

All chance is a function of (seed, stage, step, rank), never of what ran before: so a resumed run continues exactly,
and no generator state needs saving.
"""

import time
import zlib
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers

SAVE_EVERY_SECONDS = 150


def chance(seed: int, stage: str, step: int, rank: int = 0) -> tuple[np.random.Generator, torch.Generator]:
    """The two generators of one step of one process."""
    numbers = np.random.default_rng([seed, zlib.crc32(stage.encode()), step, rank])
    return numbers, torch.Generator().manual_seed(int(numbers.integers(2**62)))


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a state so that a kill at any moment leaves either the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Reads a state; tensors and plain values only."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Progress:
    """Prints the stage's figures every `every` steps and says when a checkpoint is due."""

    def __init__(self, stage: str, steps: int, *, every: int = 50) -> None:
        self._stage, self._steps, self._every = stage, steps, every
        self._started = self._saved = time.monotonic()
        self._first: int | None = None
        self._sums: dict[str, float] = {}
        self._count = 0

    def note(self, step: int, **figures: float) -> None:
        """Takes one step's figures; prints their means when the time has come."""
        self._first = step if self._first is None else self._first
        self._count += 1
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if (step + 1) % self._every == 0 or step + 1 == self._steps:
            pace = (time.monotonic() - self._started) / (step + 1 - self._first)
            means = " ".join(f"{name}={total / self._count:.4f}" for name, total in self._sums.items())
            clock = time.strftime("%H:%M:%S")
            print(f"{clock} {self._stage} {step + 1}/{self._steps} {means} {pace:.3f} s/step", flush=True)
            self._sums, self._count = {}, 0

    def save_is_due(self) -> bool:
        """Whether the last checkpoint is old enough to write a new one; resets the clock if so."""
        if time.monotonic() - self._saved < SAVE_EVERY_SECONDS:
            return False
        self._saved = time.monotonic()
        return True


def quiet() -> None:
    """Silences the libraries' progress bars and load reports; their errors still show."""
    for library in (transformers.utils.logging, diffusers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def autocast() -> torch.autocast:
    """bfloat16 where it may be: on the CPU measured here every part trained about twice as fast as in float32."""
    return torch.autocast("cpu", torch.bfloat16)


def cosine(step: int, steps: int, *, flat_share: float = 0.0, warmup: int = 50) -> float:
    """Learning-rate factor: a short warm-up, flat until `flat_share` of the steps, then a half cosine to zero."""
    if step < min(warmup, steps // 10):
        return (step + 1) / min(warmup, steps // 10)
    done = max(0.0, (step / steps - flat_share) / (1 - flat_share))
    return 0.5 * (1 + float(np.cos(np.pi * min(done, 1.0))))
