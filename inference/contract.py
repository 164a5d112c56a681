"""Everything that crosses between the web process and the inference process.

    web process                                             inference process
    sign(LoadOrder)     -- POST /models, Envelope -->       ModelState lines (NDJSON) until ready or failed
    sign(ImageOrder)    -- POST /orders, Envelope -->       Event lines (NDJSON), the last one terminal
    sign(CancelOrder)   -- DELETE /orders/{id}, Envelope -> 204
    sign(ReadOrder)     -- POST /readings, Envelope -->     Readings
                        -- GET /health, GET /models -->     Health, list of ModelState

This module imports pydantic and the standard library only, so the web process can use it without torch.

Compatibility rule: fields are appended with a default, never renamed, reordered or given a new meaning. What a worker
is *ordered* (`Order` models) forbids unknown fields: a worker that does not know a demand must not pretend to meet it.
What a worker *answers* (`Answer` models) ignores unknown fields, so an older web process can read a newer worker. A
change that breaks this rule raises `CONTRACT_VERSION`, which both sides compare in `Health`.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

CONTRACT_VERSION = 1
MOST_PREVIEWS = 8

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
RepositoryName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$", max_length=193)
]
OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CheckName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Count = Annotated[int, Field(strict=True)]  # strict: `true` and "20" are not numbers of steps


class Order(BaseModel):
    """Base of what the worker is told: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """Base of what the worker says: frozen, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# --- enumerations -----------------------------------------------------------------------------------------------------


class Scheduler(StrEnum):
    """Samplers by the names users know; each maps to one diffusers class and configuration."""

    DDIM = "ddim"
    PNDM = "pndm"
    EULER = "euler"
    EULER_A = "euler_a"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_KARRAS = "dpmpp_2m_karras"
    UNIPC = "unipc"
    LCM = "lcm"


# A consistency model is distilled for the times of a run of this length and knows no others.
LONGEST_RUNS = {Scheduler.LCM: 50}


class SldLevel(StrEnum):
    """Strength of Safe Latent Diffusion, weakest first (Schramowski et al. 2023, arXiv 2211.05105)."""

    OFF = "off"
    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"
    MAX = "max"


class ErrorCode(StrEnum):
    """Why an order was not carried out, when the reason is not its content."""

    MALFORMED = "malformed"  # not readable as the contract
    BAD_SIGNATURE = "bad_signature"
    SIGNATURE_EXPIRED = "signature_expired"
    REPLAYED = "replayed"  # the same envelope was already accepted
    LIMITS_EXCEEDED = "limits_exceeded"  # steps, size, length ...: `Problem.problems` names each
    UNKNOWN_MODEL = "unknown_model"  # never loaded here: send a LoadOrder first
    MODEL_NOT_READY = "model_not_ready"
    MODEL_REFUSED = "model_refused"  # the loader's rules: pickle, custom code, wrong digest ...
    CHECKER_MISMATCH = "checker_mismatch"  # the order pins a checker that is not attached
    DUPLICATE_ORDER = "duplicate_order"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_READER = "unknown_reader"  # no reader of this digest is attached
    QUEUE_FULL = "queue_full"
    SAFETY_CANNOT_ACT = "safety_cannot_act"  # the stage demands steering where there is nothing to steer
    DEADLINE_PASSED = "deadline_passed"
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_FINITE = "not_finite"  # the model produced NaN or Inf for this order
    INTERNAL = "internal"


class RefusalCode(StrEnum):
    """Why an order was refused for its content."""

    PROMPT_SCREENED = "prompt_screened"
    NEGATIVE_PROMPT_SCREENED = "negative_prompt_screened"
    PROMPT_UNSCREENED = "prompt_unscreened"  # a classifier raised, timed out, or gave no usable scores: not their fault


class WithheldCode(StrEnum):
    """Why a finished image was not released."""

    IMAGE_FLAGGED = "image_flagged"
    IMAGE_UNCHECKED = "image_unchecked"  # checker absent, raised, timed out, or gave no usable verdict


class LoadPhase(StrEnum):
    """How far a model is."""

    VERIFYING = "verifying"  # reading files and comparing digests
    LOADING = "loading"  # building the parts
    READY = "ready"
    FAILED = "failed"


# --- models -----------------------------------------------------------------------------------------------------------


class ManifestFile(Order):
    """One file of a commit. Large files lie in the content-addressed store under their digest.

    inline    base64 of the content for small files that are not in the store, else None
    """

    path: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    size_bytes: Annotated[int, Field(ge=0, strict=True)]
    sha256: Sha256
    inline: str | None = None

    @model_validator(mode="after")
    def _path_is_plain(self) -> Self:
        parts = self.path.split("/")
        if any(part in {"", ".", ".."} for part in parts) or any(c in self.path for c in "\\\0\r\n:"):
            raise ValueError(f"file path {self.path!r} is not a plain relative path")
        return self

    def content(self) -> bytes | None:
        """The inline bytes, not yet compared with the digest. None: look in the store."""
        return None if self.inline is None else base64.b64decode(self.inline, validate=True)


class ModelManifest(Order):
    """A repository's commit as the loader may read it: these files with these digests, and nothing else."""

    repository: RepositoryName
    commit: Commit
    files: Annotated[tuple[ManifestFile, ...], Field(min_length=1, max_length=10_000)]

    @model_validator(mode="after")
    def _paths_are_unique(self) -> Self:
        if len({file.path.casefold() for file in self.files}) != len(self.files):
            raise ValueError("the manifest names a path twice")
        return self

    @property
    def digest(self) -> str:
        """sha256 that names this manifest: repository, commit, and each file's path, size and digest.

        Inline content is left out, for the file's own digest binds it. Compatibility: the form below never changes.
        """
        files = sorted((file.path, file.size_bytes, file.sha256) for file in self.files)
        text = json.dumps([self.repository, self.commit, files], separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


class LoadOrder(Order):
    """Make this model ready. Loading a model that is ready already answers at once."""

    manifest: ModelManifest


class ModelState(Answer):
    """Where a model is, and once ready what it is.

    digest          of the manifest; `ImageOrder.model` repeats it
    bytes_verified  of `bytes_total`, for a progress bar while `phase` is verifying
    engine          "step": mixed with other orders; "diffusers": runs as it is, one order at a time
    checker_sha256  digest of the attached checker's weights; None until ready, and for a model without a checker, whose
                    orders all fail with `checker_mismatch`
    memory_bytes    what its weights take; is_pinned: never evicted
    last_used_at    when it was last ordered; None: not since it was loaded
    message         what a load is about, or why it failed
    """

    digest: Sha256
    repository: RepositoryName
    commit: Commit
    phase: LoadPhase
    bytes_verified: int = 0
    bytes_total: int = 0
    pipeline: str | None = None
    engine: Literal["step", "diffusers"] | None = None
    default_width: int | None = None
    default_height: int | None = None
    default_scheduler: Scheduler | None = None
    checker_sha256: Sha256 | None = None
    concepts: tuple[str, ...] = ()
    dtype: str | None = None
    error: ErrorCode | None = None
    message: str | None = None
    memory_bytes: int = 0
    is_pinned: bool = False
    last_used_at: AwareDatetime | None = None


# --- orders -----------------------------------------------------------------------------------------------------------


class PromptRule(Order):
    """One screening rule. Terms are matched on normalized text at word boundaries; a `*` at a term's end stands for
    any ending of its last word.

    terms        any of these (phrases of words) makes the rule fire
    together     further groups: one term of each must be present too (all of them for the rule to fire)
    unless       phrases that are harmless although they contain a term ("bath bomb")
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
    waived_rules    ids that do not apply (evaluation by the trusted); hard rules stay
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
                (len(text) > self.prompt_chars, f"The {name} has {len(text)} characters; at most {self.prompt_chars}.")
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


# --- events -----------------------------------------------------------------------------------------------------------


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


class Preview(Answer):
    """A checked look at the image `index` after `step` steps. One that the check does not release is never sent."""

    type: Literal["preview"] = "preview"
    index: int
    step: int
    png_base64: str


class Withheld(Answer):
    """An image that was made and is not released; the order's other images go on."""

    type: Literal["withheld"] = "withheld"
    index: int
    code: WithheldCode
    reason: str
    receipt: ReceiptFacts


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

    compute_seconds  its share of the engine's time until then
    """

    type: Literal["failed"] = "failed"
    code: ErrorCode
    message: str
    compute_seconds: float = 0.0


class Done(Answer):
    """The order is complete. Terminal. `compute_seconds` is its share of the engine's time."""

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


# --- health and errors ------------------------------------------------------------------------------------------------


class RulesFacts(Answer):
    """Which prompt rules the worker screens with."""

    version: str
    sha256: Sha256
    count: int


class Reading(Answer):
    """What one image shows. `embedding` has length 1; `labels` are empty for readers without any, and for images that
    show nothing that the reader has labels for."""

    embedding: tuple[float, ...]
    labels: dict[str, str] = {}


class Readings(Answer):
    """Answer to a `ReadOrder`, in its order."""

    reader: Sha256
    readings: tuple[Reading, ...]


class ReaderFacts(Answer):
    """A reader that is attached.

    sha256      over all of its files
    grouped_by  the label by whose value `confusion` is told apart, "" for none
    attributes  values of each label that is evaluated
    confusion   attribute -> group -> (true value, read value) counts of images of known content
    """

    sha256: Sha256
    name: str
    dimensions: int
    grouped_by: str = ""
    attributes: dict[str, tuple[str, ...]] = {}
    confusion: dict[str, dict[str, tuple[tuple[int, ...], ...]]] = {}


class Health(Answer):
    """The worker as it is. It answers as soon as the process lives; `is_ready` says whether orders can be made.

    memory_bytes  what models and calls may take together; models_bytes: what models take of it
    """

    contract_version: int = CONTRACT_VERSION
    is_ready: bool
    is_fake: bool = False
    pid: int
    device: str
    dtype: str
    threads: int
    torch_version: str
    diffusers_version: str
    limits: Limits
    rules: RulesFacts
    models: tuple[ModelState, ...] = ()
    waiting_orders: int = 0
    running_orders: int = 0
    image_checks: tuple[str, ...] = ()  # checks beside the models' own that an order may demand
    prompt_checks: tuple[str, ...] = ()
    memory_bytes: int = 0
    models_bytes: int = 0
    readers: tuple[ReaderFacts, ...] = ()


class Problem(Answer):
    """Body of an HTTP error. Status: 400, 403 (signature), 404, 409, 413, 422 (limits), 429 (queue full), 500."""

    code: ErrorCode
    message: str
    problems: tuple[str, ...] = ()


# --- signatures -------------------------------------------------------------------------------------------------------


class Purpose(StrEnum):
    """What an envelope may be used for, so that one kind of order cannot be replayed as another."""

    LOAD = "load"
    ORDER = "order"
    CANCEL = "cancel"
    READ = "read"


class Envelope(Order):
    """An order as it travels: the exact JSON text, signed with the key that both processes share.

    signature  hex HMAC-SHA256 over these lines: "gatekeeper-order-v1", purpose, expires_at (ISO 8601), nonce, sha256 of
               the body
    """

    purpose: Purpose
    body: str
    expires_at: AwareDatetime
    nonce: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,64}$")]
    signature: Sha256


class EnvelopeError(Exception):
    """An envelope that must not be obeyed; `code` says why."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def sign(
    order: LoadOrder | ImageOrder | CancelOrder | ReadOrder, key: bytes, *, now: datetime, ttl_seconds: int = 60
) -> Envelope:
    """Wrap an order so that the worker obeys it once, until `now` + `ttl_seconds`."""
    purpose = _PURPOSES[type(order)]
    body = order.model_dump_json()
    expires_at = now + timedelta(seconds=ttl_seconds)
    nonce = secrets.token_urlsafe(24)
    signature = _mac(key, purpose, expires_at, nonce, body)
    return Envelope(purpose=purpose, body=body, expires_at=expires_at, nonce=nonce, signature=signature)


def verify(envelope: Envelope, key: bytes, *, purpose: Purpose, now: datetime) -> str:
    """The body of a genuine, current envelope. Raises EnvelopeError. Replay is the worker's to remember."""
    expected = _mac(key, envelope.purpose, envelope.expires_at, envelope.nonce, envelope.body)
    if not hmac.compare_digest(expected, envelope.signature) or envelope.purpose is not purpose:
        raise EnvelopeError(ErrorCode.BAD_SIGNATURE, "The order is not signed with this worker's key.")
    if now >= envelope.expires_at:
        raise EnvelopeError(ErrorCode.SIGNATURE_EXPIRED, "The order's signature has expired; send it again.")
    return envelope.body


_PURPOSES: dict[type[Order], Purpose] = {
    LoadOrder: Purpose.LOAD,
    ImageOrder: Purpose.ORDER,
    CancelOrder: Purpose.CANCEL,
    ReadOrder: Purpose.READ,
}


def _mac(key: bytes, purpose: Purpose, expires_at: datetime, nonce: str, body: str) -> str:
    if len(key) < 32:
        raise ValueError("the order key must have at least 32 bytes")
    body_sha256 = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    text = f"gatekeeper-order-v1\n{purpose}\n{expires_at.isoformat()}\n{nonce}\n{body_sha256}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
