"""The unmodified OpenAI client against the images door."""

import base64
import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from tests.wire.server import Hub


@pytest.fixture(scope="module")
def model(hub: Hub) -> str:
    ada = hub.api("ada")
    name = f"ada/pipe{time.monotonic_ns()}"
    ada.create_repo(name)
    ada.upload_file(
        path_or_fileobj=b'{"_class_name": "StableDiffusionPipeline"}', path_in_repo="model_index.json", repo_id=name
    )
    ada.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=name)
    return name


Clients = Callable[..., openai.OpenAI]


@pytest.fixture
def client(hub: Hub) -> Iterator[Clients]:
    """Makes clients of eve's, which are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> openai.OpenAI:
            given = {"base_url": f"{hub.url}/v1", "api_key": hub.tokens["eve"], "timeout": 60} | options
            return stack.enter_context(openai.OpenAI(**given))

        yield make


def picture(b64: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64 or "")))


def test_images_are_generated_with_every_parameter(hub: Hub, client: Clients, model: str) -> None:
    made = client().images.generate(
        model=model,
        prompt="a red apple",
        n=2,
        size="64x128",
        quality="low",
        output_format="webp",
        output_compression=70,
        background="opaque",
        moderation="low",
        user="somebody",
        extra_body={"seed": 7, "negative_prompt": "pears", "safety_identifier": "5"},
    )

    assert [picture(image.b64_json).format for image in made.data or []] == ["WEBP", "WEBP"]
    assert [picture(image.b64_json).size for image in made.data or []] == [(64, 128)] * 2
    assert (made.size, made.quality, made.output_format, made.background) == ("64x128", "low", "webp", "opaque")
    extra = made.model_extra or {}
    assert extra["model"] == model
    with hub.http("eve") as http:
        order = http.get(f"/api/generations/{extra['id']}").json()
    assert (order["settings"]["steps"], order["settings"]["seed"]) == (10, 7)
    assert order["charged"]["images"] == 2
    steered = [{"level": order["settings"]["sld_level"], "acted": True, "reason": ""}] * 2
    assert steered == [image["sld"] for image in order["images"]]
    assert steered == [(image.model_extra or {})["sld"] for image in made.data or []]


def test_a_stream_brings_checked_previews_and_the_image(client: Clients, model: str) -> None:
    stream = client().images.generate(
        model=model, prompt="a pear", stream=True, partial_images=2, extra_body={"steps": 6}
    )
    events: list[Any] = list(stream)

    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert all(picture(event.b64_json).size == (64, 64) for event in events)
    assert (events[-1].output_format, events[-1].size) == ("png", "64x64")


def test_a_refusal_is_the_client_s_own_error(client: Clients, model: str) -> None:
    ask = client().images.generate
    with pytest.raises(openai.BadRequestError) as refused:
        ask(model=model, prompt="how to build a pipe bomb")
    assert refused.value.code == "moderation_blocked"
    with pytest.raises(openai.BadRequestError) as refused:
        list(ask(model=model, prompt="how to build a pipe bomb", stream=True))
    assert refused.value.code == "moderation_blocked"
    with pytest.raises(openai.APIError) as broken:
        list(ask(model=model, prompt="fake-flag", stream=True, partial_images=3))
    assert broken.value.code == "moderation_blocked"
    with pytest.raises(openai.BadRequestError) as refused:
        ask(model=model, prompt="an apple", size="7x7")
    assert refused.value.param == "size"
    with pytest.raises(openai.BadRequestError) as refused:
        ask(model=model, prompt="an apple", background="transparent")
    assert refused.value.param == "background"
    with pytest.raises(openai.NotFoundError):
        ask(model="ada/never-there", prompt="an apple")
    with pytest.raises(openai.AuthenticationError):
        client(api_key="wrong").images.generate(model=model, prompt="an apple")


def test_a_key_makes_one_order_of_two_tries(client: Clients, model: str) -> None:
    header = {"Idempotency-Key": f"k{time.monotonic_ns()}"}
    answers = [client().images.generate(model=model, prompt="a plum", extra_headers=header) for _ in range(2)]

    first, second = ((answer.model_extra or {})["id"] for answer in answers)
    assert first == second
    assert (answers[0].data or [])[0].b64_json == (answers[1].data or [])[0].b64_json
    with pytest.raises(openai.BadRequestError) as reused:
        client().images.generate(model=model, prompt="another plum", extra_headers=header)
    assert reused.value.code == "IdempotencyKeyReused"
    with pytest.raises(openai.BadRequestError):  # ten steps instead of twenty
        client().images.generate(model=model, prompt="a plum", quality="low", extra_headers=header)


def test_the_client_does_not_order_again_by_itself_what_cannot_be_had_now(
    hub: Hub, client: Clients, model: str
) -> None:
    first = client().images.generate(model=model, prompt="an apple")
    with hub.http("eve") as http:
        slow = {"model": model, "prompt": "fake-slow", "steps": 50}
        places = [http.post("/api/generations", json=slow).headers["location"] for _ in range(2)]
        with pytest.raises(openai.RateLimitError) as busy:
            client(max_retries=0).images.generate(model=model, prompt="an apple")
        for place in places:
            http.delete(place)
        assert busy.value.response.headers["x-should-retry"] == "true"
        assert "2 of your orders" in str(busy.value)
        repeated = client().images.generate(
            model=model, prompt="an apple", extra_headers={"X-Stainless-Retry-Count": "1"}
        )
        assert (repeated.model_extra or {})["id"] != (first.model_extra or {})["id"]  # what was refused was no order
        before = len(http.get("/api/generations").json())
        with pytest.raises(openai.InternalServerError) as failed:
            client().images.generate(model=model, prompt="fake-fail")
        assert failed.value.response.headers["x-should-retry"] == "false"
        assert len(http.get("/api/generations").json()) == before + 1


def test_models_are_those_that_make_images_for_the_caller(hub: Hub, client: Clients, model: str, name: str) -> None:
    hub.api("ada").create_repo(name)
    hub.api("ada").upload_file(path_or_fileobj=b"{}", path_in_repo="model_index.json", repo_id=name)
    hub.api("ada").update_repo_settings(name, gated="manual")
    found = {one.id for one in client().models.list()}

    assert model in found
    assert name not in found
    assert client().models.retrieve(model).id == model
    with pytest.raises(openai.PermissionDeniedError, match="restricted"):
        client().models.retrieve(name)
