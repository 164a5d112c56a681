"""The only way out: an image leaves this worker through `Release`, with a verdict, or not at all.

# INVARIANT: `contract.Image` and `contract.Preview` are constructed in this module and nowhere else.

It has a thread of its own, so the check runs beside the denoising and not between its steps.
"""

import base64
import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import PIL.Image

from inference.contract import CheckFacts, Image, Preview, ReceiptFacts, SldFacts, Withheld, WithheldCode
from inference.line import FloatImage, Line, Making
from inference.safety import levels
from inference.safety.verdict import CheckerError, GuardedChecker, Verdict
from inference.ticket import Ticket

log = logging.getLogger(__name__)

_PNG_LEVEL = 1  # the web process marks the picture and writes its file anew; this one only travels to it


@dataclass(frozen=True)
class Runtime:
    """What the receipt says of the machine."""

    torch_version: str
    diffusers_version: str
    device: str
    threads: int = 1
    is_fake: bool = False


class Release:
    """Checks images one after another, in the order of their line, and settles their tickets.

    on_start      runs once in the release thread, to limit torch's threads there
    clock         real time in seconds
    image_checks  by name, beside the model's own; the desk takes no order that demands one that is not here
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        on_start: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.image_checks: Mapping[str, GuardedChecker] = {}
        self._runtime = runtime
        self._clock = clock
        self._line = Line(clock=clock)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="release", initializer=on_start)

    def submit(self, making: Making) -> None:
        """Check an image in the release thread, when its turn comes.

        Of looks the clean ones are sent, of flagged ones only what was found, and of others nothing.
        """
        if self._line.put(making):
            self._pool.submit(self.release_next)

    def close(self) -> None:
        """Finish what was submitted and stop."""
        self._pool.shutdown(wait=True)

    def release_next(self) -> None:
        """Check the image whose turn it is and say what became of it."""
        making = self._line.take()
        ticket = making.ticket
        try:
            if ticket.is_over or ticket.expire():
                return
            outcome = self._outcome(making)
        except Exception as error:  # whatever happens here, the image is not released
            log.error("image withheld: %s", type(error).__name__)
            outcome = self._withheld(making, WithheldCode.IMAGE_UNCHECKED, "The image could not be checked.", ())
        finally:
            self._line.served(making)
        if making.look is None:
            ticket.settle(outcome)
            return
        match outcome:
            case Image(png_base64=png):
                ticket.tell(Preview(index=making.index, step=making.look, png_base64=png))
            case Withheld(code=WithheldCode.IMAGE_FLAGGED):
                ticket.tell(Preview(index=making.index, step=making.look, png_base64="", withheld=outcome))

    def _outcome(self, making: Making) -> Image | Withheld:
        with self._charged(making.decoding):
            pixels = making.pixels()
        with self._charged((making.ticket,)):
            return self._checked(making, pixels)

    @contextmanager
    def _charged(self, tickets: Sequence[Ticket]) -> Iterator[None]:
        """What is done within is charged to these, in equal parts: to their orders, and to their places in the line."""
        began = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - began
            for ticket in tickets:
                ticket.charge(seconds / len(tickets))
            self._line.charge(tickets, seconds)

    def _checked(self, making: Making, pixels: FloatImage) -> Image | Withheld:
        unchecked, request = WithheldCode.IMAGE_UNCHECKED, making.ticket.request
        if pixels.shape != (3, request.height, request.width):  # a channel more is alpha, which no check looks at
            return self._withheld(making, unchecked, "The image has not the size or the colors that were ordered.", ())
        if not np.isfinite(pixels).all():
            return self._withheld(making, unchecked, "The image holds values that are not numbers.", ())
        if request.model.checker is None:
            return self._withheld(making, unchecked, "No safety checker is attached to this model.", ())
        picture = to_picture(pixels)
        said: list[CheckFacts] = []
        try:
            for check in self._checks(making):
                [verdict] = check.check([picture], making.ticket.order.safety.margin)
                said.append(check.facts(verdict.scores))
        except CheckerError as error:
            log.error("image withheld: %s", error)
            return self._withheld(making, unchecked, "The safety check gave no verdict on this image.", said)
        if found := [score.concept for each in said for score in Verdict(each.scores).flagged]:
            flagged = WithheldCode.IMAGE_FLAGGED
            return self._withheld(making, flagged, f"The safety check found: {', '.join(found)}.", said)
        if making.ticket.order.safety.waived_rules:
            # INVARIANT: what was made behind the rules stays here, whoever ordered it.
            return self._withheld(making, WithheldCode.IMAGE_MEASURED, "It was made only to be checked.", said)
        return self._image(making, picture, said)

    def _checks(self, making: Making) -> list[GuardedChecker]:
        """Every check that must clear the image. Raises CheckerError when one of them is not here."""
        own, demanded = making.ticket.request.model.checker, making.ticket.order.safety.image_checks
        if own is None or any(name not in self.image_checks for name in demanded):
            raise CheckerError("a demanded check is not attached")
        return [own, *(self.image_checks[name] for name in dict.fromkeys(demanded))]

    def _image(self, making: Making, picture: PIL.Image.Image, said: Sequence[CheckFacts]) -> Image:
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=_PNG_LEVEL)
        return Image(
            index=making.index,
            png_base64=base64.b64encode(file.getvalue()).decode(),
            receipt=self._receipt(making, said),
        )

    def _withheld(self, making: Making, code: WithheldCode, reason: str, said: Sequence[CheckFacts]) -> Withheld:
        return Withheld(index=making.index, code=code, reason=reason, receipt=self._receipt(making, said))

    def _receipt(self, making: Making, said: Sequence[CheckFacts]) -> ReceiptFacts:
        request = making.ticket.request
        order, model, safety = request.order, request.model, request.order.safety
        sld = levels.facts(safety.sld_level, order.guidance_scale, order.steps)
        if making.sld_acted:
            sld = sld.model_copy(update={"effect": making.sld_effect})
        else:
            sld = SldFacts(level=sld.level, reason=sld.reason or levels.FOREIGN_LOOP)
        return ReceiptFacts(
            repository=model.manifest.repository,
            commit=model.manifest.commit,
            model=model.state.digest,
            weights=model.weights,
            scheduler=making.scheduler,
            steps=order.steps,
            guidance_scale=order.guidance_scale,
            seed=request.seed(making.index),
            width=request.width,
            height=request.height,
            bucket=making.bucket,
            sld=sld,
            checker_sha256=model.checker.sha256 if model.checker else None,
            margin=safety.margin,
            scores=said[0].scores if said else (),
            checks=tuple(said),
            prompt_checks=request.prompt_checks,
            rules_version=request.rules.version,
            rules_sha256=request.rules.sha256,
            extra_rules=tuple(rule.id for rule in safety.extra_rules),
            waived_rules=safety.waived_rules,
            torch_version=self._runtime.torch_version,
            diffusers_version=self._runtime.diffusers_version,
            device=self._runtime.device,
            dtype=making.dtype,
            kernels=model.way_of(making.bucket, request.width, request.height).kernels,
            threads=self._runtime.threads,
            is_fake=self._runtime.is_fake,
        )


def to_picture(pixels: FloatImage) -> PIL.Image.Image:
    """(3, height, width) in about [0, 1] to RGB, clamped and rounded as diffusers does."""
    array = (np.clip(pixels, 0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return PIL.Image.fromarray(array)
