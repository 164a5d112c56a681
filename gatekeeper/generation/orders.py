"""What a person orders, checked at the door: every value that cannot be served is named with its range."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from gatekeeper import errors
from gatekeeper.generation.safety import SafetyLevel
from gatekeeper.generation.tables import Generation
from inference.contract import MOST_PREVIEWS, Limits, Scheduler, SldLevel

MAX_SEED = 2**32 - 1
DEFAULT_STEPS = 20
DEFAULT_GUIDANCE = 7.5
FORMATS = ("png", "webp", "jpeg")
_LIMITS = Limits()
_MOST_NAMED = 10  # unknown fields that a refusal names

# The names under which diffusers has these samplers, as users of its API write them.
_SCHEDULER_CLASSES = {
    "DDIMScheduler": Scheduler.DDIM,
    "PNDMScheduler": Scheduler.PNDM,
    "EulerDiscreteScheduler": Scheduler.EULER,
    "EulerAncestralDiscreteScheduler": Scheduler.EULER_A,
    "DPMSolverMultistepScheduler": Scheduler.DPMPP_2M,
    "UniPCMultistepScheduler": Scheduler.UNIPC,
    "LCMScheduler": Scheduler.LCM,
}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A valid order. Its text is untrusted and never logged.

    width, height, scheduler  None: the model's own
    sld_level                 Safe Latent Diffusion that will be applied
    bucket                    rows per denoiser call as in a receipt, None: chosen by load
    previews                  checked looks on the way
    end_user                  whom an application orders for; only a keyed hash of it is kept
    output_format             of the files, with the quality of those that lose something
    usual_steps               where none are named, as far as the level offers them
    named                     fields that were given a value; the others are the hub's choice
    """

    prompt: str
    negative_prompt: str
    steps: int
    guidance_scale: float
    seed: int
    images: int
    sld_level: SldLevel
    width: int | None = None
    height: int | None = None
    scheduler: Scheduler | None = None
    bucket: int | None = None
    previews: int = 0
    output_format: str = "png"
    output_compression: int = 100
    end_user: str = ""
    usual_steps: int = DEFAULT_STEPS
    named: frozenset[str] = frozenset()

    @classmethod
    def parse(
        cls,
        values: Mapping[str, Any],
        *,
        level: SafetyLevel,
        names: Mapping[str, str] | None = None,
        usual_steps: int = DEFAULT_STEPS,
    ) -> "OrderRequest":
        """The order in JSON values or form texts (numbers as text are read as numbers; None and "" mean not given).

        level  the stage's limits
        names  our field -> the name the caller used, for messages (`{"steps": "num_inference_steps"}`)
        Raises Invalid (422) whose details["fields"] has a sentence for every bad value.
        """
        reader = _Reader(values, names or {})
        request = cls(
            prompt=reader.text("prompt", is_required=True),
            negative_prompt=reader.text("negative_prompt"),
            steps=reader.whole("steps", 1, level.steps, min(usual_steps, level.steps)),
            guidance_scale=reader.number("guidance_scale", 0, level.guidance_scale, DEFAULT_GUIDANCE),
            seed=reader.whole("seed", 0, MAX_SEED, -1),
            images=reader.whole("images", 1, level.images, 1),
            sld_level=_sld_level(reader, level),
            width=reader.side("width", level.width),
            height=reader.side("height", level.height),
            scheduler=_scheduler(reader),
            bucket=reader.bucket(),
            previews=reader.whole("previews", 0, MOST_PREVIEWS, 0),
            output_format=reader.choice("output_format", FORMATS),
            output_compression=reader.whole("output_compression", 0, 100, 100),
            end_user=reader.text("end_user"),
            usual_steps=usual_steps,
            named=frozenset(reader.named),
        )
        highest = MAX_SEED + 1 - request.images  # each image has the next seed, and can be made again with it
        if request.seed > highest:
            reader.fail("seed", f"seed is {request.seed}; for {request.images} images it must be at most {highest}.")
        reader.finish()
        if request.seed >= 0:
            return request
        return replace(request, seed=secrets.randbelow(highest))

    @classmethod
    def of(cls, made: Generation) -> "OrderRequest":
        """The order as it was recorded."""
        kept = {name: value for name, value in made.settings.items() if name in cls.__slots__}
        kept |= {"sld_level": SldLevel(kept["sld_level"])}
        kept |= {"scheduler": Scheduler(kept["scheduler"])} if kept["scheduler"] else {}
        return cls(prompt=made.prompt or "", negative_prompt=made.negative_prompt or "", **kept)

    def asked(self) -> dict[str, Any]:
        """Everything that makes two orders the same one: what the hub chose is not among it, for that may change."""
        chosen = {"seed": None, "sld_level": None, "steps": self.usual_steps}
        left_open = {name: value for name, value in chosen.items() if name not in self.named}
        return self.settings() | {"prompt": self.prompt, "negative_prompt": self.negative_prompt} | left_open

    def settings(self) -> dict[str, Any]:
        """Everything but the texts, as it is kept and shown."""
        return {
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "seed": self.seed,
            "images": self.images,
            "width": self.width,
            "height": self.height,
            "scheduler": self.scheduler.value if self.scheduler else None,
            "sld_level": self.sld_level.value,
            "bucket": self.bucket,
            "previews": self.previews,
            "output_format": self.output_format,
            "output_compression": self.output_compression,
            "has_negative_prompt": bool(self.negative_prompt),
        }


class _Reader:
    """Takes values out one by one and collects what is wrong with them."""

    def __init__(self, values: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._names = names
        self.wrong: dict[str, str] = {}
        self.named: set[str] = set()

    def take(self, field: str) -> Any:
        """The value, None when it was not given."""
        value = self._values.pop(field, None)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        self.named.add(field)
        return value

    def fail(self, field: str, sentence: str) -> None:
        """Note what is wrong with a field."""
        name = self._names.get(field, field)
        self.wrong[name] = sentence.replace(f"{field} ", f"{name} ", 1)

    def text(self, field: str, *, is_required: bool = False) -> str:
        """A prompt: text that is UTF-8 and not too long."""
        value = self.take(field)
        if value is None:
            if is_required:
                self.fail(field, f"{field} is missing: say what the image should show.")
            return ""
        if not isinstance(value, str):
            self.fail(field, f"{field} must be text, not {type(value).__name__}.")
            return ""
        if why := _LIMITS.too_long(value):
            self.fail(field, f"{field} {why}")
        elif any(0xD800 <= ord(letter) <= 0xDFFF or letter == "\0" for letter in value):
            self.fail(field, f"{field} contains characters that are no text.")
        return value

    def whole(self, field: str, low: int, high: int, default: int) -> int:
        """A whole number within limits."""
        value = self.take(field)
        if value is None:
            return default
        number = _whole(value)
        if number is None or not low <= number <= high:
            self.fail(field, f"{field} is {_shown(value)}; it must be a whole number from {low} to {high}.")
            return default
        return number

    def number(self, field: str, low: float, high: float, default: float) -> float:
        """A finite number within limits."""
        value = self.take(field)
        if value is None:
            return default
        number = _number(value)
        if number is None or not low <= number <= high:
            self.fail(field, f"{field} is {_shown(value)}; it must be a number from {low:g} to {high:g}.")
            return default
        return number

    def side(self, field: str, high: int) -> int | None:
        """A side of the image in pixels, None: the model's own."""
        value = self.take(field)
        if value is None:
            return None
        number = _whole(value)
        low, multiple = _LIMITS.min_side, _LIMITS.side_multiple
        if number is None or not low <= number <= high or number % multiple:
            self.fail(
                field, f"{field} is {_shown(value)}; it must be a multiple of {multiple} from {low} to {high} pixels."
            )
            return None
        return number

    def bucket(self) -> int | None:
        """Rows per denoiser call."""
        value = self.take("bucket")
        if value is None:
            return None
        number = _whole(value)
        if number not in _LIMITS.buckets:
            allowed = ", ".join(map(str, _LIMITS.buckets))
            self.fail("bucket", f"bucket is {_shown(value)}; it must be one of {allowed}.")
            return None
        return number

    def choice(self, field: str, allowed: tuple[str, ...]) -> str:
        """One of a few words, the first one where none is given."""
        value = self.take(field)
        if value is None or value in allowed:
            return value or allowed[0]
        self.fail(field, f"{field} is {_shown(value)}; it must be one of {', '.join(allowed)}.")
        return allowed[0]

    def finish(self) -> None:
        """Raise Invalid if anything was wrong or is left over."""
        for field in islice(self._values, _MOST_NAMED):
            self.wrong[str(field)[:60]] = f"{str(field)[:60]} is not known here; leave it out."
        if self.wrong:
            raise errors.Invalid(
                " ".join(self.wrong.values()),
                status=422,
                next_step="Correct the named values and order again.",
                details={"fields": self.wrong},
            )


def _sld_level(reader: _Reader, level: SafetyLevel) -> SldLevel:
    value = reader.take("sld_level")
    if value is None:
        return level.sld_level
    allowed = level.sld_choices
    if value not in allowed:
        reader.fail("sld_level", f"sld_level is {_shown(value)}; here it can be {', '.join(allowed)}.")
        return level.sld_level
    return SldLevel(value)


def _scheduler(reader: _Reader) -> Scheduler | None:
    value = reader.take("scheduler")
    if value is None:
        return None
    if isinstance(value, str):
        if value in _SCHEDULER_CLASSES:
            return _SCHEDULER_CLASSES[value]
        if value in list(Scheduler):
            return Scheduler(value)
    reader.fail("scheduler", f"scheduler is {_shown(value)}; it must be one of {', '.join(Scheduler)}.")
    return None


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        return (
            int(text)
            if len(text) <= 20 and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()
            else None
        )
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if type(value) is int else None


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int | float) or isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
