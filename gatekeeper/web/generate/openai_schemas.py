"""The JSON of `POST /v1/images/generations`, both ways."""

import base64
from dataclasses import dataclass
from typing import Any

from gatekeeper.errors import GatekeeperError, Invalid
from gatekeeper.generation import Generation
from gatekeeper.generation.orders import DEFAULT_STEPS
from gatekeeper.web.generate import schemas
from gatekeeper.web.generate.openai_errors import error_object

Json = dict[str, Any]

# Our field -> that API's name, for messages.
NAMES = {"images": "n", "previews": "partial_images", "width": "size", "height": "size", "end_user": "user"}
_STEPS = {"low": 10, "medium": DEFAULT_STEPS, "standard": DEFAULT_STEPS, "high": 40, "hd": 40}
_MOST_PARTIALS = 3
_LONGEST_USER = 512
# Nothing here counts tokens; the client's types want the numbers.
_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
}


@dataclass(frozen=True)
class ImagesRequest:
    """What was asked.

    values    under our names, for an order
    model     `ns/name`, with the revision if one was named
    has_urls  addresses instead of the images themselves
    """

    values: Json
    model: str
    revision: str | None
    is_stream: bool
    has_urls: bool
    quality: str
    background: str

    @property
    def usual_steps(self) -> int:
        """Steps by quality, where none are named."""
        return _STEPS.get(self.quality, DEFAULT_STEPS)


def images_request(content: bytes) -> ImagesRequest:
    """The request in a body. Raises Invalid whose details name the parameter."""
    body = schemas.read_object(content)
    model = body.pop("model", None)
    if not isinstance(model, str) or not model:
        raise _wrong("model", 'model must name a repository, as in "namespace/name" or "namespace/name@revision".')
    name, _, revision = model.partition("@")
    values: Json = {"images": body.pop("n", None), "previews": body.pop("partial_images", None)}
    values |= _size(body.pop("size", None))
    quality = _choice(body, "quality", ("auto", *_STEPS))
    background = _choice(body, "background", ("auto", "opaque"))
    _choice(body, "moderation", ("auto", "low"))  # either way the release's own safety holds
    has_urls = _choice(body, "response_format", ("b64_json", "url")) == "url"
    is_stream = body.pop("stream", None)
    if not isinstance(is_stream, bool | None):
        raise _wrong("stream", "stream must be true or false.")
    previews = values["previews"]
    if previews is not None and (type(previews) is not int or not 0 <= previews <= _MOST_PARTIALS):
        raise _wrong("partial_images", f"partial_images must be a whole number from 0 to {_MOST_PARTIALS}.")
    if previews and not is_stream:
        raise _wrong("partial_images", "partial_images needs stream=true.")
    values["end_user"] = _end_user(body)
    return ImagesRequest(
        values={**body, **{field: value for field, value in values.items() if value is not None}},
        model=name,
        revision=revision or None,
        is_stream=bool(is_stream),
        has_urls=has_urls,
        quality=quality,
        background="opaque" if background == "auto" else background,
    )


def answer(asked: ImagesRequest, shown: Json, files: dict[int, bytes]) -> Json:
    """The whole answer. `shown`: the order as our own API shows it, `files`: the images by number."""
    return {
        "created": shown["created"],
        "data": [_image(asked, image, files) for image in shown["images"]],
        **_facts(asked, shown),
        "usage": _USAGE,
        "id": shown["id"],
        "model": shown["model"],
        "revision": shown["revision"],
        "withheld": shown["withheld"],
        "receipt": shown["receipt"],
    }


def partial(asked: ImagesRequest, made: Generation, preview: Json, number: int) -> Json:
    """A checked preview; always PNG."""
    facts = _facts(asked, {"settings": made.settings, "images": []}) | {"output_format": "png"}
    return {
        "type": "image_generation.partial_image",
        "partial_image_index": number,
        "b64_json": preview["png_base64"],
        "created_at": int(made.started_at.timestamp()),
        "index": preview["index"],
        **facts,
    }


def completed(asked: ImagesRequest, shown: Json, image: Json, files: dict[int, bytes]) -> Json:
    """One finished image."""
    return {
        "type": "image_generation.completed",
        **_image(asked, image, files),
        "created_at": shown["created"],
        **_facts(asked, shown),
        "usage": _USAGE,
        "id": shown["id"],
    }


def failed(error: GatekeeperError) -> Json:
    """The end of a stream that has no image."""
    return {"type": "error", "error": error_object(error)}


def _image(asked: ImagesRequest, image: Json, files: dict[int, bytes]) -> Json:
    one = {"index": image["index"], "seed": image["seed"], "sld": image["sld"]}
    if asked.has_urls:
        return {"url": image["url"], **one}
    return {"b64_json": base64.b64encode(files[image["index"]]).decode(), **one}


def _facts(asked: ImagesRequest, shown: Json) -> Json:
    settings = shown["settings"]
    sides = [(image["width"], image["height"]) for image in shown["images"]] or [
        (settings["width"], settings["height"])
    ]
    width, height = sides[0]
    return {
        "size": f"{width}x{height}" if width and height else "auto",
        "quality": asked.quality,
        "background": asked.background,
        "output_format": settings["output_format"],
        "sld_level": settings["sld_level"],
    }


def _size(size: Any) -> Json:
    if size is None or size == "auto":
        return {}
    width, _, height = size.partition("x") if isinstance(size, str) else ("", "", "")
    if not all(side.isascii() and side.isdigit() and len(side) < 6 for side in (width, height)):
        raise _wrong("size", 'size must be "auto" or two sides in pixels, as in "512x512".')
    return {"width": int(width), "height": int(height)}


def _choice(body: Json, name: str, allowed: tuple[str, ...]) -> str:
    value = body.pop(name, None)
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise _wrong(name, f"{name} must be one of {', '.join(allowed)}.")
    return str(value)


def _end_user(body: Json) -> str | None:
    """Whom an application acts for: its newer name wins."""
    found = None
    for name in ("user", "safety_identifier"):
        value = body.pop(name, None)
        if value is not None and (not isinstance(value, str) or len(value) > _LONGEST_USER):
            raise _wrong(name, f"{name} must be text of at most {_LONGEST_USER} characters.")
        found = value or found
    return found


def _wrong(param: str, sentence: str) -> Invalid:
    return Invalid(
        sentence,
        status=422,
        code="invalid_value",
        next_step="Correct it and order again.",
        details={"fields": {param: sentence}},
    )
