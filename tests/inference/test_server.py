"""The worker's HTTP service, over its real socket, with the fake engine behind the real desk."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from inference.contract import (
    TERMINAL,
    CancelOrder,
    Envelope,
    ErrorCode,
    Event,
    Failed,
    Health,
    Image,
    ImageOrder,
    LoadOrder,
    LoadPhase,
    ModelManifest,
    ModelState,
    Preview,
    Problem,
    Purpose,
    Refused,
    SafetyDemand,
    SldLevel,
    Withheld,
    parse_event,
    sign,
)
from inference.desk import LONGEST_SIGNATURE
from inference.server import create_app
from inference.settings import Settings

pytestmark = pytest.mark.anyio

KEY = b"test-key-" * 4


@pytest.fixture
async def http(fake_socket: Path) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(uds=str(fake_socket))
    async with httpx2.AsyncClient(transport=transport, base_url="http://worker", timeout=20) as client:
        yield client


@pytest.fixture
async def model(http: httpx2.AsyncClient, make_manifest: Callable[..., ModelManifest]) -> str:
    """Digest of a model that the fake has loaded."""
    manifest = make_manifest({"unet/model.safetensors": b"weights"})
    response = await http.post("/models", content=sealed(LoadOrder(manifest=manifest)))
    states = [ModelState.model_validate_json(line) for line in response.text.splitlines()]
    assert states[-1].phase is LoadPhase.READY
    return manifest.digest


def sealed(order: LoadOrder | ImageOrder | CancelOrder, *, key: bytes = KEY, ttl_seconds: int = 60) -> bytes:
    return sign(order, key, now=datetime.now(UTC), ttl_seconds=ttl_seconds).model_dump_json().encode()


def order_of(model: str, prompt: str = "a cat", **changes: Any) -> ImageOrder:
    values: dict[str, Any] = {
        "id": os.urandom(8).hex(),
        "model": model,
        "prompt": prompt,
        "steps": 5,
        "deadline_at": datetime.now(UTC) + timedelta(seconds=60),
        "person_key": os.urandom(4).hex(),
    }
    return ImageOrder(**(values | changes))


async def events_of(http: httpx2.AsyncClient, order: ImageOrder) -> list[Event]:
    response = await http.post("/orders", content=sealed(order))
    assert response.status_code == 200, response.text
    return [parse_event(line) for line in response.text.splitlines()]


async def problem_of(response: httpx2.Response) -> Problem:
    return Problem.model_validate_json(response.content)


async def test_health_needs_no_signature_and_names_the_rules(http: httpx2.AsyncClient) -> None:
    health = Health.model_validate_json((await http.get("/health")).content)

    assert health.is_ready
    assert health.is_fake
    assert health.rules.count > 5
    assert "INFERENCE_SOCKET" in {fact.variable for fact in health.settings}
    assert KEY.decode() not in str(health)


def test_over_tcp_where_anybody_may_ask_no_setting_is_told() -> None:
    assert create_app(Settings(fake=True, key=KEY.decode(), port=1)).state.settings_in_force == ()


async def test_an_order_streams_its_story_and_ends(http: httpx2.AsyncClient, model: str) -> None:
    events = await events_of(http, order_of(model, steps=3))

    assert [event.type for event in events] == ["queued", "started", *["progress"] * 3, "image", "done"]
    [image] = [event for event in events if isinstance(event, Image)]
    assert image.png().startswith(b"\x89PNG")
    assert image.receipt.is_fake
    assert image.receipt.weights.keys() == {"unet/model.safetensors"}


async def test_a_harmful_prompt_is_refused_with_the_reason(http: httpx2.AsyncClient, model: str) -> None:
    [refused] = await events_of(http, order_of(model, "a b0mb"))

    assert isinstance(refused, Refused)
    assert refused.rule_ids == ("weapons.explosives",)


async def test_a_flagged_image_sends_no_pixels(http: httpx2.AsyncClient, model: str) -> None:
    events = await events_of(http, order_of(model, "fake-flag", images=2))

    assert [event.type for event in events[-3:]] == ["withheld", "withheld", "done"]
    assert not [event for event in events if isinstance(event, Image)]


@pytest.mark.parametrize(("prompt", "steps"), [("a cat", [2, 4]), ("fake-flag", []), ("fake-check", [])])
async def test_previews_are_sent_only_with_a_verdict(
    http: httpx2.AsyncClient, model: str, prompt: str, steps: list[int]
) -> None:
    events = await events_of(http, order_of(model, prompt, steps=6, previews=2))

    previews = [event for event in events if isinstance(event, Preview)]
    assert [event.step for event in previews if event.png_base64] == steps
    flagged = [event.step for event in previews if event.withheld is not None and not event.png_base64]
    assert flagged == ([2, 4] if prompt == "fake-flag" else [])  # what the check found is told, for the record
    assert events[-1].type == "done"


@pytest.mark.parametrize("prompt", ["fake-nan", "fake-check"])
async def test_an_unchecked_image_is_withheld(http: httpx2.AsyncClient, model: str, prompt: str) -> None:
    events = await events_of(http, order_of(model, prompt))

    [withheld] = [event for event in events if isinstance(event, Withheld)]
    assert withheld.code == "image_unchecked"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda order: b"not json", ErrorCode.MALFORMED),
        (lambda order: order.model_dump_json().encode(), ErrorCode.MALFORMED),
        (lambda order: sealed(order, key=b"other-key" * 4), ErrorCode.BAD_SIGNATURE),
        (lambda order: sealed(order, ttl_seconds=-1), ErrorCode.SIGNATURE_EXPIRED),
        (
            lambda order: sealed(order, ttl_seconds=int(LONGEST_SIGNATURE.total_seconds()) + 60),
            ErrorCode.SIGNATURE_EXPIRED,
        ),
        (lambda order: sealed(CancelOrder(id=order.id)), ErrorCode.BAD_SIGNATURE),
    ],
    ids=["no JSON", "unsigned", "another key", "expired", "valid too long", "another kind"],
)
async def test_what_is_not_signed_for_is_not_made(
    http: httpx2.AsyncClient, model: str, spoil: Callable[[ImageOrder], bytes], code: ErrorCode
) -> None:
    response = await http.post("/orders", content=spoil(order_of(model)))

    assert (await problem_of(response)).code is code
    assert response.status_code in {400, 403}


async def test_an_envelope_is_obeyed_once(http: httpx2.AsyncClient, model: str) -> None:
    body = sealed(order_of(model))
    await http.post("/orders", content=body)

    again = await http.post("/orders", content=body)

    assert (await problem_of(again)).code is ErrorCode.REPLAYED


async def test_a_signed_order_with_a_field_too_many_is_refused(http: httpx2.AsyncClient, model: str) -> None:
    from inference.contract.envelopes import _mac

    text = order_of(model).model_dump_json()[:-1] + ',"output_type":"latent"}'
    until = datetime.now(UTC) + timedelta(seconds=60)
    envelope = Envelope(
        purpose=Purpose.ORDER,
        body=text,
        expires_at=until,
        nonce="n" * 32,
        signature=_mac(KEY, Purpose.ORDER, until, "n" * 32, text),
    )

    response = await http.post("/orders", content=envelope.model_dump_json())

    problem = await problem_of(response)
    assert problem.code is ErrorCode.MALFORMED
    assert problem.problems == ("output_type: Extra inputs are not permitted",)


async def test_limits_are_answered_with_each_problem(http: httpx2.AsyncClient, model: str) -> None:
    response = await http.post("/orders", content=sealed(order_of(model, steps=0, width=63, prompt="x" * 10_000)))

    problem = await problem_of(response)
    assert response.status_code == 422
    assert len(problem.problems) == 3


async def test_a_bucket_too_small_for_the_order_is_refused(http: httpx2.AsyncClient, model: str) -> None:
    demand = SafetyDemand(sld_level=SldLevel.MEDIUM)

    response = await http.post("/orders", content=sealed(order_of(model, bucket=2, safety=demand)))

    assert "takes 3 rows" in (await problem_of(response)).message


async def test_an_unknown_model_is_not_found(http: httpx2.AsyncClient) -> None:
    response = await http.post("/orders", content=sealed(order_of("0" * 64)))

    assert response.status_code == 404
    assert (await problem_of(response)).code is ErrorCode.UNKNOWN_MODEL


async def test_another_checker_than_the_demanded_one_is_refused(http: httpx2.AsyncClient, model: str) -> None:
    order = order_of(model, safety=SafetyDemand(checker_sha256="0" * 64))

    response = await http.post("/orders", content=sealed(order))

    assert (await problem_of(response)).code is ErrorCode.CHECKER_MISMATCH


async def test_loading_twice_answers_at_once(
    http: httpx2.AsyncClient, model: str, make_manifest: Callable[..., ModelManifest]
) -> None:
    manifest = make_manifest({"unet/model.safetensors": b"weights"})

    response = await http.post("/models", content=sealed(LoadOrder(manifest=manifest)))

    [state] = [ModelState.model_validate_json(line) for line in response.text.splitlines()]
    assert state.phase is LoadPhase.READY


async def test_cancelling_ends_the_stream(http: httpx2.AsyncClient, model: str) -> None:
    order = order_of(model, "fake-hang")
    events: list[Event] = []

    async def follow() -> None:
        async with http.stream("POST", "/orders", content=sealed(order)) as response:
            async for line in response.aiter_lines():
                events.append(parse_event(line))

    following = asyncio.create_task(follow())
    while not any(event.type == "started" for event in events):
        await asyncio.sleep(0.01)

    response = await http.request("DELETE", f"/orders/{order.id}", content=sealed(CancelOrder(id=order.id)))
    await asyncio.wait_for(following, 5)

    assert response.status_code == 204
    assert isinstance(events[-1], Failed)
    assert events[-1].code is ErrorCode.CANCELLED


async def test_cancelling_needs_a_signature_for_that_very_order(http: httpx2.AsyncClient, model: str) -> None:
    response = await http.request("DELETE", "/orders/one", content=sealed(CancelOrder(id="other")))

    assert response.status_code == 400


async def test_orders_that_are_being_screened_leave_threads_for_everything_else() -> None:
    freed = threading.Event()
    app = create_app(Settings(fake=True, key=KEY.decode(), port=1))
    app.state.desk.submit = lambda order, emit: freed.wait(20) and app.state.desk._request(order)
    everything_else = anyio.to_thread.current_default_thread_limiter()
    most, everything_else.total_tokens = everything_else.total_tokens, 2
    try:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://worker") as client:
            orders = [asyncio.create_task(client.post("/orders", content=sealed(order_of("a" * 64)))) for _ in range(3)]
            while app.state.screening.borrowed_tokens < len(orders):
                await asyncio.sleep(0.01)
            answer = await client.request("DELETE", "/orders/one", content=sealed(CancelOrder(id="one")))
            assert (answer.status_code, freed.is_set()) == (404, False)
            freed.set()
            assert {(await order).status_code for order in orders} == {404}
    finally:
        freed.set()
        everything_else.total_tokens = most


async def test_a_reader_who_leaves_cancels_the_order(http: httpx2.AsyncClient, model: str) -> None:
    async with http.stream("POST", "/orders", content=sealed(order_of(model, "fake-hang"))) as response:
        async for line in response.aiter_lines():
            if parse_event(line).type == "started":
                break

    events = await asyncio.wait_for(events_of(http, order_of(model)), 5)

    assert isinstance(events[-1], TERMINAL)
    assert events[-1].type == "done"


async def test_an_order_id_in_use_is_refused(http: httpx2.AsyncClient, model: str) -> None:
    order = order_of(model, "fake-hang")
    async with http.stream("POST", "/orders", content=sealed(order)) as response:
        lines = response.aiter_lines()  # kept: a generator that is collected closes the stream
        await anext(lines)

        again = await http.post("/orders", content=sealed(order))

    assert (await problem_of(again)).code is ErrorCode.DUPLICATE_ORDER


async def test_a_late_order_is_not_begun(http: httpx2.AsyncClient, model: str) -> None:
    [event] = await events_of(http, order_of(model, deadline_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert isinstance(event, Failed)
    assert event.code is ErrorCode.DEADLINE_PASSED


async def test_the_socket_lies_in_a_private_directory(fake_socket: Path) -> None:
    assert fake_socket.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "at least 32 bytes"),
        ({"INFERENCE_KEY": "short"}, "at least 32 bytes"),
        ({"INFERENCE_KEY": "k" * 32, "INFERENCE_SOCKET": "{open}/w.sock"}, "mode 0700"),
        ({"INFERENCE_KEY": "k" * 32, "INFERENCE_RULES_FILE": "{open}/none.toml"}, "none.toml"),
        ({"INFERENCE_KEY": "k" * 32, "INFERENCE_SOCKET": "/x/y", "INFERENCE_PORT": "80"}, "either"),
        ({"INFERENCE_KEY": "k" * 32, "INFERENCE_PARENT_PID": "1"}, "supervisor is gone"),
    ],
)
async def test_settings_that_cannot_be_enforced_stop_the_start(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    filled = {name: value.replace("{open}", str(tmp_path / "open")) for name, value in settings.items()}

    result = subprocess.run(
        [sys.executable, "-m", "inference"],
        env=os.environ | {"INFERENCE_FAKE": "1"} | filled,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert result.returncode == 1
    assert words in result.stderr


async def test_prompts_are_not_logged(tmp_path: Path, make_manifest: Callable[..., ModelManifest]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gk-") as directory:
        socket = Path(directory) / "w.sock"
        settings = {"INFERENCE_SOCKET": str(socket), "INFERENCE_KEY": KEY.decode(), "INFERENCE_FAKE": "1"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "inference",
            env=os.environ | settings | {"INFERENCE_LOG_LEVEL": "DEBUG"},
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        while not socket.exists():
            await asyncio.sleep(0.02)
        transport = httpx2.AsyncHTTPTransport(uds=str(socket))
        async with httpx2.AsyncClient(transport=transport, base_url="http://worker", timeout=20) as http:
            manifest = make_manifest({"x": b""})
            await http.post("/models", content=sealed(LoadOrder(manifest=manifest)))
            for prompt in ("xyzzy", "xyzzy fake-check", "xyzzy fake-fail", "xyzzy bomb", "xyzzy" * 1000):
                await http.post("/orders", content=sealed(order_of(manifest.digest, prompt)))
        process.terminate()
        _, log = await process.communicate()

    assert b"worker is up" in log
    assert b"xyzzy" not in log
