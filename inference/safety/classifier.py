"""Prompt classifiers: the layer after the rules, for what no list of words can name. Plug-ins, and each must answer."""

import logging
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from inference.contract import CheckFacts, ConceptScore, ImageOrder, RefusalCode, Refused
from inference.safety.timed import TimedOut, TimedThreads

log = logging.getLogger(__name__)

_UNSCREENED = "The prompt could not be screened, so nothing was made. Please try again later."


class ClassifierError(Exception):
    """The classifier gave no usable scores, so the order is refused."""


class Classifier(Protocol):
    """Anything that can score texts.

    sha256      of the weights; of the configuration where the weights are elsewhere
    categories  names of what it looks for
    version     of its code or of its weights, as its author names it
    at_once     calls that it bears at the same time; one that does not say bears one
    """

    sha256: str
    categories: tuple[str, ...]
    version: str

    def classify(self, text: str) -> dict[str, float]:
        """A score for each category: minus its threshold, so that above 0 it is found. Raises anything when it cannot.

        text  untrusted, never to be logged
        """
        ...


class GuardedClassifier:
    """A classifier that can be trusted to answer: on time, with a finite score for each category, or with an error."""

    def __init__(self, classifier: Classifier, *, timeout_seconds: float, name: str) -> None:
        self.name = name
        self._classifier = classifier
        at_once = getattr(classifier, "at_once", 1)
        self._threads = TimedThreads(f"classifier-{name}", timeout_seconds=timeout_seconds, at_once=at_once)

    def classify(self, text: str, *, is_over: Callable[[], bool] = lambda: False) -> CheckFacts:
        """The scores of one text. Raises ClassifierError, and only that.

        is_over  whether nobody waits for them any more
        """
        try:
            scores: object = self._threads.call(partial(self._classifier.classify, text), is_over=is_over)
        except TimedOut as error:
            raise ClassifierError(f"the classifier {self.name} gave no scores: {error}") from error
        except Exception as error:
            raise ClassifierError(f"the classifier {self.name} failed: {type(error).__name__}") from error
        categories = self._classifier.categories
        if not isinstance(scores, dict) or set(scores) != set(categories) or not categories:
            raise ClassifierError(f"the scores of the classifier {self.name} are incomplete")
        if not all(isinstance(score, float) and math.isfinite(score) for score in scores.values()):
            raise ClassifierError(f"the scores of the classifier {self.name} are not finite")
        return CheckFacts(
            name=self.name,
            version=self._classifier.version,
            sha256=self._classifier.sha256,
            scores=tuple(ConceptScore(concept=name, score=scores[name]) for name in categories),
        )


def classify_order(
    order: ImageOrder, classifiers: Iterable[GuardedClassifier], *, is_over: Callable[[], bool] = lambda: False
) -> Refused | tuple[CheckFacts, ...]:
    """What every classifier says of the prompt, or the order's refusal.

    Negative prompts are the rules' alone: a classifier cannot tell what is asked for from what is to be avoided.
    """
    said: list[CheckFacts] = []
    for classifier in classifiers:
        try:
            facts = classifier.classify(order.prompt, is_over=is_over)
        except ClassifierError as error:
            log.error("order refused: %s", error)
            rule = f"classifier.{classifier.name}"
            return Refused(code=RefusalCode.PROMPT_UNSCREENED, reason=_UNSCREENED, rule_ids=(rule,))
        if found := [score.concept for score in facts.scores if score.score > 0]:
            return Refused(
                code=RefusalCode.PROMPT_SCREENED,
                reason=f"A classifier found this in the prompt: {', '.join(found)}.",
                rule_ids=tuple(f"classifier.{classifier.name}.{category}" for category in found),
            )
        said.append(facts)
    return tuple(said)
