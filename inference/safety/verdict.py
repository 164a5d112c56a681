"""What a check must answer before an image may leave, and the guard that makes sure that it did."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import PIL.Image

from inference.contract import CheckFacts, ConceptScore
from inference.safety.timed import TimedOut, TimedThreads

OWN_CHECK = "concepts"  # the check that a model has by digest; an order need not demand it, for it is always made


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
    """Anything that can give verdicts: the concept checker, a plug-in, the fake, a sabotaged one in a test.

    sha256    of the weights; of the configuration where the weights are elsewhere
    concepts  names of what it looks for
    version   of its code or of its weights, as its author names it
    """

    sha256: str
    concepts: tuple[str, ...]
    version: str

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """One verdict for each image, in order, with a score for each concept: minus its threshold, plus `margin`.

        Raises anything when it cannot.
        """
        ...


class GuardedChecker:
    """A checker that can be trusted to answer: on time, once per image, with finite scores, or with CheckerError."""

    def __init__(self, checker: Checker, *, timeout_seconds: float, name: str = OWN_CHECK) -> None:
        self.name = name
        self.sha256 = checker.sha256
        self.concepts = checker.concepts
        self.version = checker.version
        self._checker = checker
        self._threads = TimedThreads(f"checker-{name}", timeout_seconds=timeout_seconds)

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """Exactly one sound verdict for each image. Raises CheckerError, and only that."""
        try:
            verdicts = self._threads.call(partial(self._checker.check, images, margin))
        except TimedOut as error:
            raise CheckerError(f"the check {self.name} gave no verdict: {error}") from error
        except Exception as error:
            raise CheckerError(f"the check {self.name} failed: {type(error).__name__}") from error
        self._require_sound(verdicts, len(images))
        return verdicts

    def facts(self, scores: Sequence[ConceptScore]) -> CheckFacts:
        """What the receipt says of this check."""
        return CheckFacts(name=self.name, version=self.version, sha256=self.sha256, scores=tuple(scores))

    def _require_sound(self, verdicts: object, count: int) -> None:
        if not isinstance(verdicts, list) or len(verdicts) != count:
            raise CheckerError(f"the check {self.name} did not give one verdict for each image")
        for verdict in verdicts:
            if not isinstance(verdict, Verdict) or len(verdict.scores) != len(self.concepts) or not verdict.scores:
                raise CheckerError(f"the verdict of the check {self.name} is incomplete")
            if not all(isinstance(s.score, float) and math.isfinite(s.score) for s in verdict.scores):
                raise CheckerError(f"the scores of the check {self.name} are not finite")
