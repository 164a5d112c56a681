"""The JSON of hosted inference: what the public inference client sends, and our own job API."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from gatekeeper.errors import Invalid
from gatekeeper.generation import Generation, is_over
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now

Json = dict[str, Any]

# Our field -> the public inference client's name.
CLIENT_NAMES = {"prompt": "inputs", "steps": "num_inference_steps"}
_OURS = {"num_inference_steps": "steps"}


def read_object(content: bytes) -> Json:
    """A JSON object, in which nothing is said twice: readers differ about which of the two counts. Raises Invalid."""
    try:
        value = from_json(content)  # stricter than Python's own: half a surrogate pair is no text
        json.loads(content, object_pairs_hook=_once)
    except ValueError:
        raise Invalid("The request body is not JSON.", next_step='Send {"inputs": "a prompt"}.') from None
    if not isinstance(value, dict):
        raise Invalid("The request body is not a JSON object.", next_step='Send {"inputs": "a prompt"}.')
    return value


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Invalid(f"{twice[:60]} is in the body more than once.", status=422, next_step="Send it once.")
    return found


def text_to_image(content: bytes) -> Json:
    """The values of `{"inputs","parameters"}` under our names. Raises Invalid."""
    body = read_object(content)
    parameters = {} if body.get("parameters") is None else body["parameters"]
    if not isinstance(parameters, dict):
        raise Invalid("`parameters` is not an object.", status=422, next_step="Send the parameters by name.")
    if "prompt" in parameters:
        raise Invalid("The prompt belongs into `inputs`.", status=422, next_step="This hub makes images from text.")
    unknown = sorted(set(body) - {"inputs", "parameters", "options"})
    if unknown:
        raise Invalid(f"{unknown[0][:60]} is not known here.", status=422, next_step="Leave it out.")
    values: Json = {str(_OURS.get(name, name)): value for name, value in parameters.items()}
    images = values.pop("num_images_per_prompt", 1)
    if images not in (1, None) or values.get("images", 1) not in (1, None):
        raise Invalid(
            "This address answers with one image.", status=422, next_step="Order several through /api/generations."
        )
    return {**values, "prompt": body.get("inputs")}


def generation(made: Generation, *, address: str, repository: str) -> Json:
    """One order. The prompt is only there while its images are kept."""
    receipt: Mapping[str, Any] = made.receipt or {"images": [], "withheld": []}
    is_gone = is_over(made, now())
    return {
        "id": made.id,
        "model": repository,
        "revision": made.commit_id,
        "status": made.state.value,
        "code": made.code or None,
        "reason": made.reason or None,
        "rules": made.settings.get("rules", []),
        "prompt": None if is_gone else made.prompt,
        "settings": {name: value for name, value in made.settings.items() if name in _SHOWN},
        "images": [
            {
                "index": _index(one),
                "sha256": one["statement"]["image_sha256"],
                "seed": one["statement"]["seed"],
                "width": one["statement"]["width"],
                "height": one["statement"]["height"],
                "sld": sld(one),
                "url": None if is_gone else f"{address}/images/{_index(one)}",
            }
            for one in receipt["images"]
        ],
        "withheld": [
            {"index": one["index"], "code": one["code"], "reason": one["reason"]} for one in receipt["withheld"]
        ],
        "charged": {"images": made.charged_images, "compute_seconds": made.charged_seconds},
        "started_at": instant_text(made.started_at),
        "finished_at": instant_text(made.finished_at) if made.finished_at else None,
        "expires_at": instant_text(made.expires_at) if made.expires_at else None,
        "url": address,
        "events": f"{address}/events",
        "receipt": f"{address}/receipt",
    }


_SHOWN = frozenset(
    {"steps", "guidance_scale", "seed", "images", "width", "height", "scheduler", "sld_level", "bucket"}
    | {"previews", "output_format", "output_compression"}
)


def sld(one: Mapping[str, Any]) -> Json:
    """What Safe Latent Diffusion did to the image of a receipt: where it could not act, why."""
    found = one["statement"]["safety"]["sld"]
    return {"level": found["level"], "acted": found["acted"], "reason": found.get("reason", "")}


def _index(one: Mapping[str, Any]) -> int:
    return int(str(one["statement"]["receipt_id"]).rpartition("-")[2])
