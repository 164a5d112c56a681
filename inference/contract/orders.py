"""Orders, and the limits that both sides know."""

import base64
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from inference.contract.base import MOST_PREVIEWS, Answer, CheckName, Count, Order, OrderId, Sha256
from inference.contract.codes import Scheduler, SldLevel


class PromptRule(Order):
    """One screening rule. Terms are matched on normalized text at word boundaries; a `*` at a term's end stands for
    any ending of its last word.

    terms        any of these (phrases of words) makes the rule fire
    together     further groups: one term of each must be present too (all of them for the rule to fire)
    unless       phrases that are harmless although they contain a term ("bath bomb")
    never_with   the rule does not fire where one of these stands in the same text as its terms
    restriction  id of the license restriction that the rule enforces, shown to the person
    is_hard      no order can waive it
    is_licensed  it holds only where the license in force has the restriction
    is_inverted  it is about what is to be avoided: `terms` are looked for in the negative prompt, `together` in the
                 prompt; all other rules are about the prompt alone
    """

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    category: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=400)]
    terms: Annotated[tuple[str, ...], Field(min_length=1)]
    together: tuple[tuple[str, ...], ...] = ()
    unless: tuple[str, ...] = ()
    never_with: tuple[str, ...] = ()
    restriction: str | None = None
    is_hard: bool = False
    is_licensed: bool = False
    is_inverted: bool = False

    @model_validator(mode="after")
    def _licensed_by_something(self) -> Self:
        if self.is_licensed and (self.is_hard or self.restriction is None):
            raise ValueError(f"rule {self.id}: a licensed rule names its restriction and is not hard")
        return self


class SafetyDemand(Order):
    """What the stage and the license demand beyond the worker's own rules. It can only make them stricter.

    There is no field to switch the image check off: an image without a verdict is never released.

    sld_level       level to apply
    margin          added to every checker score, so 0.02 flags images that were 0.02 below a threshold
    checker_sha256  refuse the order unless exactly this checker is attached
    extra_rules     screened in addition to the worker's own
    waived_rules    ids that do not apply, to measure what lies behind them: of such an order no image leaves the
                    worker, only verdicts do. Hard rules stay
    sld_must_act    refuse the order where Safe Latent Diffusion could not act
    image_checks    names of the checks that must all clear an image, beside the model's own ("concepts")
    prompt_checks   names of the classifiers that must have screened the prompt; refuse the order where one is missing
    restrictions    ids of the license's use restrictions in force; they switch licensed rules on
    """

    sld_level: SldLevel = SldLevel.MEDIUM
    margin: Annotated[float, Field(ge=0, le=1)] = 0.0
    checker_sha256: Sha256 | None = None
    extra_rules: Annotated[tuple[PromptRule, ...], Field(max_length=500)] = ()
    waived_rules: Annotated[tuple[str, ...], Field(max_length=500)] = ()
    sld_must_act: bool = False
    image_checks: Annotated[tuple[CheckName, ...], Field(max_length=20)] = ()
    prompt_checks: Annotated[tuple[CheckName, ...], Field(max_length=20)] = ()
    restrictions: Annotated[tuple[str, ...], Field(max_length=100)] = ()


class ImageOrder(Order):
    """Make `images` pictures of `prompt`. Image i uses seed + i, so each can be made again alone.

    model        digest of a loaded manifest
    prompt       untrusted text, never logged
    width        pixels; None: the model's own
    scheduler    None: the model's own
    bucket       rows per denoiser call; None: chosen by load. Repeat the receipt's bucket to get the same bits
    deadline_at  an order not finished by then fails with `deadline_passed`
    previews     looks at each image on the way, evenly spread over its steps; each is checked, and fewer may come
    person_key   opaque and stable for a person; capacity is shared between different keys by weight
    weight       of the person at this stage: twice the weight gets twice the share where there is not enough for all
    is_background  begun only while nobody else's order waits (evaluations)
    """

    id: OrderId
    model: Sha256
    prompt: str
    negative_prompt: str = ""
    width: Count | None = None
    height: Count | None = None
    steps: Count = 20
    guidance_scale: Annotated[float, Field(strict=True)] = 7.5
    scheduler: Scheduler | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63 - 2**16, strict=True)] = 0
    images: Count = 1
    safety: SafetyDemand = SafetyDemand()
    bucket: Count | None = None
    deadline_at: AwareDatetime
    person_key: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    previews: Annotated[int, Field(ge=0, le=MOST_PREVIEWS, strict=True)] = 0
    weight: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    is_background: bool = False

    def wants_preview(self, step: int) -> bool:
        """Whether a preview is due after `step` steps."""
        return 0 < step < self.steps and step in {
            self.steps * look // (self.previews + 1) for look in range(1, self.previews + 1)
        }


class CancelOrder(Order):
    """Stop an order; its stream ends with `failed: cancelled` within one step."""

    id: OrderId


class ReadOrder(Order):
    """Say what images show, for an evaluation. Nothing of it is kept.

    reader  digest of an attached reader
    images  base64 of PNG files
    """

    reader: Sha256
    images: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]

    def pngs(self) -> list[bytes]:
        """The files. Raises ValueError for what is not base64."""
        return [base64.b64decode(image, validate=True) for image in self.images]


class Limits(Answer):
    """What a worker accepts, as data: the web process asks `problems` before it sends, the worker before it begins."""

    prompt_chars: int = 2_000
    steps: int = 100
    min_side: int = 8
    max_side: int = 1_024
    side_multiple: int = 8
    images: int = 4
    guidance_scale: float = 30.0
    waiting_orders: int = 1_000
    waiting_per_person: int = 50
    buckets: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 16, 24)

    def problems(self, order: ImageOrder) -> tuple[str, ...]:
        """Each limit that the order breaks, as a sentence for the person who ordered."""
        sides = [("width", order.width), ("height", order.height)]
        checks: Iterable[tuple[bool, str]] = [
            (not order.prompt.strip(), "The prompt is empty."),
            *(
                (bool(why := self.too_long(text)), f"The {name} {why}")
                for name, text in [("prompt", order.prompt), ("negative prompt", order.negative_prompt)]
            ),
            (not 1 <= order.steps <= self.steps, f"steps is {order.steps}; it must be from 1 to {self.steps}."),
            (not 1 <= order.images <= self.images, f"images is {order.images}; it must be from 1 to {self.images}."),
            (
                not 0 <= order.guidance_scale <= self.guidance_scale,
                f"guidance_scale is {order.guidance_scale:g}; it must be from 0 to {self.guidance_scale:g}.",
            ),
            *(
                (
                    side is not None and not self.min_side <= side <= self.max_side,
                    f"{name} is {side}; it must be from {self.min_side} to {self.max_side} pixels.",
                )
                for name, side in sides
            ),
            *(
                (
                    side is not None and side % self.side_multiple != 0,
                    f"{name} is {side}; it must be a multiple of {self.side_multiple}.",
                )
                for name, side in sides
            ),
            (
                order.bucket is not None and order.bucket not in self.buckets,
                f"bucket is {order.bucket}; it must be one of {', '.join(map(str, self.buckets))}.",
            ),
        ]
        return tuple(sentence for is_broken, sentence in checks if is_broken)

    def too_long(self, text: str) -> str:
        """How a prompt is too long, as the end of a sentence; empty where it is not.

        A sign that stands for several letters counts as these, for so the text is screened.
        """
        most = f"at most {self.prompt_chars:,} are read."
        if len(text) > self.prompt_chars:
            return f"has {len(text):,} characters; {most}"
        if (written := len(unicodedata.normalize("NFKC", text))) > self.prompt_chars:
            return f"has {written:,} characters when signs like ㎉ are written out; {most}"
        return ""
