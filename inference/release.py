"""The only way out: an image leaves this worker through `Release`, with a verdict, or not at all.

# INVARIANT: `contract.Image` and `contract.Preview` are constructed in this module and nowhere else.

It has a thread of its own, so the check runs beside the denoising and not between its steps.
"""

import base64
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image

from inference.contract import CheckFacts, Image, Preview, ReceiptFacts, SldFacts, Withheld, WithheldCode
from inference.safety import levels
from inference.safety.verdict import CheckerError, GuardedChecker, Verdict
from inference.ticket import Ticket

log = logging.getLogger(__name__)

_PNG_LEVEL = 1  # the web process marks the picture and writes its file anew; this one only travels to it

FloatImage = npt.NDArray[np.float32]  # (3, height, width), values in [0, 1] if all went well


@dataclass(frozen=True)
class Runtime:
    """What the receipt says of the machine."""

    torch_version: str
    diffusers_version: str
    device: str
    is_fake: bool = False


@dataclass(frozen=True)
class Making:
    """One image that was made and not yet checked.

    pixels     computes (3, height, width) float values in [0, 1]; called in the release thread
    bucket     rows per denoiser call; None outside the step engine
    scheduler  name for the receipt
    sld_acted  False where nothing can steer, whatever the order says
    """

    ticket: Ticket
    index: int
    pixels: Callable[[], FloatImage]
    bucket: int | None
    scheduler: str
    dtype: str
    sld_acted: bool = True
    sld_effect: float | None = None


class Release:
    """Checks images one after another and settles their tickets.

    on_start      runs once in the release thread, to limit torch's threads there
    image_checks  by name, beside the model's own; the desk takes no order that demands one that is not here
    """

    def __init__(self, runtime: Runtime, *, on_start: Callable[[], None] = lambda: None) -> None:
        self.image_checks: Mapping[str, GuardedChecker] = {}
        self._runtime = runtime
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="release", initializer=on_start)

    def submit(self, making: Making) -> None:
        """Check an image soon, in the release thread."""
        self._pool.submit(self._release, making)

    def preview(self, making: Making, step: int) -> None:
        """Check a look at an image that is not finished. A clean one is sent, of a flagged one only what was found."""
        self._pool.submit(self._preview, making, step)

    def close(self) -> None:
        """Finish what was submitted and stop."""
        self._pool.shutdown(wait=True)

    def _release(self, making: Making) -> None:
        ticket = making.ticket
        if ticket.is_over:
            return
        try:
            ticket.settle(self._outcome(making))
        except Exception as error:  # whatever happens here, the image is not released
            log.error("image withheld: %s", type(error).__name__)
            ticket.settle(self._withheld(making, WithheldCode.IMAGE_UNCHECKED, "The image could not be checked.", ()))

    def _preview(self, making: Making, step: int) -> None:
        ticket = making.ticket
        if ticket.is_over:
            return
        try:
            match self._outcome(making):
                case Image(png_base64=png):
                    ticket.tell(Preview(index=making.index, step=step, png_base64=png))
                case Withheld(code=WithheldCode.IMAGE_FLAGGED) as withheld:
                    ticket.tell(Preview(index=making.index, step=step, png_base64="", withheld=withheld))
        except Exception as error:  # whatever happens here, the preview is not released
            log.error("preview withheld: %s", type(error).__name__)

    def _outcome(self, making: Making) -> Image | Withheld:
        unchecked = WithheldCode.IMAGE_UNCHECKED
        pixels = making.pixels()
        if not np.isfinite(pixels).all():
            return self._withheld(making, unchecked, "The image holds values that are not numbers.", ())
        if making.ticket.request.model.checker is None:
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
            kernels=model.kernels,
            is_fake=self._runtime.is_fake,
        )


def to_picture(pixels: FloatImage) -> PIL.Image.Image:
    """(3, height, width) in [0, 1] to RGB, rounded as diffusers does."""
    array = (np.clip(pixels, 0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return PIL.Image.fromarray(array)
