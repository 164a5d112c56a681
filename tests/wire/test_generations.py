"""The job API, as curl would use it."""

import subprocess
import time
from typing import Any

import pytest

from tests.wire.server import Hub


@pytest.fixture(scope="module")
def model(hub: Hub) -> str:
    ada = hub.api("ada")
    name = f"ada/pipe{time.monotonic_ns()}"
    ada.create_repo(name)
    ada.upload_file(
        path_or_fileobj=b'{"_class_name": "StableDiffusionPipeline"}', path_in_repo="model_index.json", repo_id=name
    )
    return name


def read_events(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.split("\n\n") if "event: " in block]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_curl_watches_an_order_leaves_and_goes_on_where_it_was(hub: Hub, model: str) -> None:
    def curl(*words: str) -> str:
        common = ["curl", "-sS", "--noproxy", "*", "-H", f"Authorization: Bearer {hub.tokens['bob']}"]
        return subprocess.run([*common, *words], capture_output=True, text=True, timeout=60, check=True).stdout

    order = {"model": model, "prompt": "an apple", "steps": 6, "previews": 2, "output_format": "jpeg"}
    with hub.http("bob") as http:
        place = http.post("/api/generations", json=order).headers["location"]

    events = read_events(curl("-N", f"{place}/events"))
    kinds = [event["event"] for event in events]
    assert kinds[-2:] == ["image", "done"]
    assert kinds.count("preview") <= 2
    rest = read_events(curl("-N", "-H", f"Last-Event-ID: {events[-2]['id']}", f"{place}/events"))
    assert [event["event"] for event in rest] == ["done"]
    assert curl("-o", "/dev/null", "-w", "%{content_type}", f"{place}/images/0") == "image/jpeg"


def test_an_order_says_how_far_it_is_and_where_it_waits(hub: Hub, model: str) -> None:
    slow = {"model": model, "prompt": "fake-slow", "steps": 50}
    with hub.http("bob") as bob, hub.http("ada") as ada:
        first = bob.post("/api/generations", json=slow).headers["location"]
        second = ada.post("/api/generations", json=slow).headers["location"]
        seen: dict[str, Any] = {}
        for _ in range(100):
            seen = ada.get(second).json()["progress"] or {}
            if seen.get("phase") == "queued":
                break
            time.sleep(0.05)
        assert seen == {"phase": "queued", "place": 1}
        assert bob.delete(first).json()["status"] == "cancelled"
        cancelled = ada.delete(second).json()
    assert (cancelled["status"], cancelled["charged"]["images"]) == ("cancelled", 0)


def test_results_are_deleted_and_their_receipts_stay(hub: Hub, model: str) -> None:
    with hub.http("bob") as http:
        place = http.post("/api/generations", json={"model": model, "prompt": "a secret", "steps": 2}).headers[
            "location"
        ]
        http.get(f"{place}/events")
        assert http.get(f"{place}/images/0").status_code == 200
        assert http.delete(f"{place}/images").status_code == 204
        assert http.get(f"{place}/images/0").status_code == 404
        left = http.get(place).json()
        assert (left["prompt"], left["images"][0]["url"]) == (None, None)
        assert http.get(f"{place}/receipt").json()["images"]
        lines = http.get("/settings/usage.csv").text.splitlines()
        assert any(line.startswith(left["id"]) and ",done,1,1," in line for line in lines)
    with hub.http("eve") as http:
        assert http.delete(f"{place}/images").status_code == 404


def test_the_same_key_is_the_same_order(hub: Hub, model: str) -> None:
    key = {"Idempotency-Key": f"k{time.monotonic_ns()}"}
    with hub.http("bob") as http:
        places = {
            http.post("/api/generations", json={"model": model, "prompt": "one"}, headers=key).headers["location"]
            for _ in range(3)
        }
        too_long = http.post(
            "/api/generations", json={"model": model, "prompt": "one"}, headers={"Idempotency-Key": "k" * 300}
        )
    assert len(places) == 1
    assert too_long.status_code == 422
