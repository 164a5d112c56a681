"""What a checker must answer before an image may leave, and the guard that makes sure that it did."""

import math
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Protocol

import PIL.Image

from inference.contract import ConceptScore


class CheckerError(Exception):
    """The check gave no usable verdict, so nothing may be released."""


@dataclass(frozen=True)
class Verdict:
    """What the checker says of one image: a finite score for every concept."""

    scores: tuple[ConceptScore, ...]

    @property
    def flagged(self) -> tuple[ConceptScore, ...]:
        """The concepts found, most similar first."""
        return tuple(sorted((s for s in self.scores if s.score > 0), key=lambda s: -s.score))


class Checker(Protocol):
    """Anything that can give verdicts: the concept checker, the fake, a sabotaged one in a test."""

    sha256: str
    concepts: tuple[str, ...]

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """One verdict for each image, in order. Raises anything when it cannot."""
        ...


class GuardedChecker:
    """A checker that can be trusted to answer: on time, once per image, with finite scores, or with CheckerError."""

    def __init__(self, checker: Checker, *, timeout_seconds: float) -> None:
        self.sha256 = checker.sha256
        self.concepts = checker.concepts
        self._checker = checker
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checker")

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """Exactly one sound verdict for each image. Raises CheckerError, and only that."""
        future: Future[list[Verdict]] = self._pool.submit(self._checker.check, images, margin)
        try:
            verdicts = future.result(self._timeout_seconds)
        except FutureTimeoutError as error:
            # The stuck thread keeps the old pool; later images get a new one.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="checker")
            raise CheckerError(f"the checker gave no verdict within {self._timeout_seconds:g} s") from error
        except Exception as error:
            raise CheckerError(f"the checker failed: {type(error).__name__}") from error
        self._require_sound(verdicts, len(images))
        return verdicts

    def _require_sound(self, verdicts: object, count: int) -> None:
        if not isinstance(verdicts, list) or len(verdicts) != count:
            raise CheckerError("the checker did not give one verdict for each image")
        for verdict in verdicts:
            if not isinstance(verdict, Verdict) or len(verdict.scores) != len(self.concepts) or not verdict.scores:
                raise CheckerError("the checker's verdict is incomplete")
            if not all(isinstance(s.score, float) and math.isfinite(s.score) for s in verdict.scores):
                raise CheckerError("the checker's scores are not finite")
