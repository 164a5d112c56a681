"""What happens to an order, one JSON object a line."""

import base64
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from inference.contract.base import Answer, Commit, RepositoryName, Sha256
from inference.contract.codes import ErrorCode, RefusalCode, SldLevel, WithheldCode


class ConceptScore(Answer):
    """Similarity of an image to a concept minus the concept's threshold; above 0 it is flagged."""

    concept: str
    score: float


class CheckFacts(Answer):
    """What one check said: of an image, or of a prompt. Scores are minus the threshold; above 0 it found something."""

    name: str
    version: str
    sha256: Sha256
    scores: tuple[ConceptScore, ...]


class SldFacts(Answer):
    """What Safe Latent Diffusion did. `acted` is False when it was off, guidance was off, or warm-up took all steps.

    reason  why it did not act, in words; empty when it did
    effect  mean over the steps in which it acted of |gamma| / |e_p - e_u|: how strongly the direction was bent
    """

    level: SldLevel
    warmup_steps: int = 0
    acted: bool = False
    reason: str = ""
    effect: float | None = None


class ReceiptFacts(Answer):
    """All that the worker knows about how one image was made; the same facts give the same bits on the same device.

    weights         sha256 by path of each weight file that was read
    seed            of this image
    bucket          rows per denoiser call; None for pipelines that ran through diffusers as they are
    checker_sha256  None only in a `Withheld` event
    rules_sha256    digest of the worker's prompt rules
    extra_rules     ids of the order's own rules, screened in addition; waived_rules: ids that were waived
    checks          every image check that was made, the model's own first; `scores` repeats that one's
    prompt_checks   what the prompt classifiers said of the prompt; until rules version 2 of the negative prompt, too
    """

    repository: RepositoryName
    commit: Commit
    model: Sha256
    weights: dict[str, Sha256]
    scheduler: str
    steps: int
    guidance_scale: float
    seed: int
    width: int
    height: int
    bucket: int | None
    sld: SldFacts
    checker_sha256: Sha256 | None
    margin: float
    scores: tuple[ConceptScore, ...]
    rules_version: str
    rules_sha256: Sha256
    extra_rules: tuple[str, ...] = ()
    waived_rules: tuple[str, ...] = ()
    torch_version: str
    diffusers_version: str
    device: str
    dtype: str
    is_fake: bool = False
    kernels: str = ""  # switches of the device path, which may change the bits
    threads: int | None = None  # of torch, which do change them on a CPU; None: the worker did not say
    checks: tuple[CheckFacts, ...] = ()
    prompt_checks: tuple[CheckFacts, ...] = ()


class Queued(Answer):
    """Waiting; `place` 1 is next. Sent again when the place changes."""

    type: Literal["queued"] = "queued"
    place: int


class Started(Answer):
    """The first step begins."""

    type: Literal["started"] = "started"
    steps: int


class Progress(Answer):
    """`step` of `steps` are done (for several images: the slowest one's)."""

    type: Literal["progress"] = "progress"
    step: int
    steps: int


class Image(Answer):
    """A checked image. `png_base64` decodes to the file's bytes."""

    type: Literal["image"] = "image"
    index: int
    png_base64: str
    receipt: ReceiptFacts

    def png(self) -> bytes:
        """The image file."""
        return base64.b64decode(self.png_base64)


class Withheld(Answer):
    """An image that was made and is not released; the order's other images go on."""

    type: Literal["withheld"] = "withheld"
    index: int
    code: WithheldCode
    reason: str
    receipt: ReceiptFacts


class Preview(Answer):
    """A checked look at the image `index` after `step` steps. One that could not be checked is never sent.

    withheld  what the check found, for the record: then there is no picture
    """

    type: Literal["preview"] = "preview"
    index: int
    step: int
    png_base64: str
    withheld: Withheld | None = None


class Refused(Answer):
    """The order's text was refused; nothing was made. Terminal."""

    type: Literal["refused"] = "refused"
    code: RefusalCode
    reason: str
    rule_ids: tuple[str, ...]
    restrictions: tuple[str, ...] = ()
    is_hard: bool = False  # one of the rules cannot be waived


class Failed(Answer):
    """The order ended without being completed. Terminal. Images sent before it stay valid.

    compute_seconds  its share of the machine's time until then, decoding and checking included
    """

    type: Literal["failed"] = "failed"
    code: ErrorCode
    message: str
    compute_seconds: float = 0.0


class Done(Answer):
    """The order is complete. Terminal. `compute_seconds` is its share of the machine's time, as in `Failed`."""

    type: Literal["done"] = "done"
    delivered: int
    withheld: int
    compute_seconds: float


Event = Annotated[
    Queued | Started | Progress | Preview | Image | Withheld | Refused | Failed | Done, Field(discriminator="type")
]
TERMINAL = (Refused, Failed, Done)

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def parse_event(line: str | bytes) -> Event:
    """One line of an order's stream. Raises pydantic.ValidationError for anything else."""
    return _EVENT.validate_json(line)
