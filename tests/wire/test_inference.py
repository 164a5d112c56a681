import io
import json
import socket
import threading
import time

import pytest
from huggingface_hub import InferenceClient, errors
from PIL import Image

from tests.wire.server import Hub


@pytest.fixture(scope="module")
def model(hub: Hub) -> str:
    """A public repository that looks like a pipeline; the fake worker makes up its pixels."""
    ada = hub.api("ada")
    name = f"ada/pipe{time.monotonic_ns()}"
    ada.create_repo(name)
    ada.upload_file(
        path_or_fileobj=b'{"_class_name": "StableDiffusionPipeline"}', path_in_repo="model_index.json", repo_id=name
    )
    ada.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=name)
    return name


def client(hub: Hub, model: str, person: str | None = "bob") -> InferenceClient:
    token = hub.tokens[person] if person else None
    return InferenceClient(base_url=f"{hub.url}/models/{model}", token=token, timeout=60)


def test_the_public_client_gets_an_image_and_its_receipt(hub: Hub, model: str) -> None:
    image = client(hub, model).text_to_image("a red apple", seed=7, num_inference_steps=3, height=64, width=64)
    assert image.size == (64, 64)
    with hub.http("bob") as http:
        answer = http.post(
            f"/models/{model}",
            json={"inputs": "a red apple", "parameters": {"seed": 7, "num_inference_steps": 3, "guidance_scale": 1}},
        )
        assert answer.headers["x-sld-acted"].startswith("false; Guidance is off")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-seed"] == "7"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
        address = answer.headers["x-receipt-url"]
        receipt = http.get(address).json()
        assert receipt["images"][0]["statement"]["seed"] == 7
        found = http.post("/api/verify", content=answer.content).json()
        ways = ("signature", "watermark", "record")
        assert [found[way]["state"] for way in ways] == ["trusted", "found", "exact"]
        assert receipt["images"][0]["statement"]["image_sha256"] == found["sha256"]
    with hub.http("eve") as http:
        assert http.get(address).status_code == 404


def test_the_narrower_of_two_accept_headers_chooses_the_format(hub: Hub, model: str) -> None:
    inference = InferenceClient(
        base_url=f"{hub.url}/models/{model}", token=hub.tokens["bob"], timeout=60, headers={"Accept": "image/webp"}
    )
    assert inference.text_to_image("an apple", num_inference_steps=2).format == "WEBP"


def test_a_screened_prompt_is_refused_with_reason_and_rule(hub: Hub, model: str) -> None:
    with pytest.raises(errors.BadRequestError) as caught:
        client(hub, model).text_to_image("how to build a pipe bomb")
    answer = caught.value.response
    assert answer.status_code == 400
    assert answer.headers["x-error-code"] == "moderation_blocked"
    assert answer.json()["rules"]
    assert answer.json()["error"] in str(caught.value)


def test_a_flagged_image_is_withheld_never_answered_with_200(hub: Hub, model: str) -> None:
    with pytest.raises(errors.BadRequestError) as caught:
        client(hub, model).text_to_image("fake-flag", num_inference_steps=2)
    assert caught.value.response.headers["x-error-code"] == "moderation_blocked"


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 10_000}, "num_inference_steps"),
        ({"width": 65}, "width"),
        ({"scheduler": "magic"}, "scheduler"),
        ({"seed": -5}, "seed"),
        ({"nonsense": 1}, "nonsense"),
        ({"num_images_per_prompt": 3}, "one image"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_parameters_are_named(hub: Hub, model: str, parameters: dict[str, object], told: str) -> None:
    with hub.http("bob") as http:
        answer = http.post(f"/models/{model}", json={"inputs": "an apple", "parameters": parameters})
    assert answer.status_code == 422, answer.text
    assert told in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b'{"inputs": 5}', b'{"inputs": ""}', b'{"inputs":"x","parameters":3}']
)
def test_a_malformed_order_is_refused(hub: Hub, model: str, body: bytes) -> None:
    with hub.http("bob") as http:
        answer = http.post(f"/models/{model}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]


def test_a_prompt_of_ten_thousand_characters_is_refused(hub: Hub, model: str) -> None:
    with pytest.raises(errors.HfHubHTTPError) as caught:
        client(hub, model).text_to_image("apple " * 2_000)
    assert caught.value.response.status_code == 422


def test_nobody_in_particular_makes_no_images(hub: Hub, model: str) -> None:
    with pytest.raises(errors.HfHubHTTPError) as caught:
        client(hub, model, None).text_to_image("an apple")
    assert caught.value.response.status_code == 401


def test_a_gated_model_refuses_orders_like_downloads(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"{}", path_in_repo="model_index.json", repo_id=name)
    ada.update_repo_settings(name, gated="manual")
    with pytest.raises(errors.GatedRepoError, match=f"Access to model {name} is restricted"):
        client(hub, name).text_to_image("an apple")
    with pytest.raises(errors.RepositoryNotFoundError):
        client(hub, "ada/never-there").text_to_image("an apple")


def test_a_repository_without_a_pipeline_says_so(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    with pytest.raises(errors.HfHubHTTPError, match=r"model_index\.json"):
        client(hub, name).text_to_image("an apple")


def test_info_and_health_answer(hub: Hub, model: str) -> None:
    inference = InferenceClient(provider="hf-inference", model=f"{hub.url}/models/{model}", token=hub.tokens["bob"])
    ends = time.monotonic() + 90  # the worker may still be starting
    while not inference.health_check() and time.monotonic() < ends:
        time.sleep(0.3)
    assert inference.health_check()
    assert inference.get_endpoint_info()["model_id"] == model


def test_an_order_is_watched_fetched_and_owned(hub: Hub, model: str) -> None:
    with hub.http("bob") as http:
        order = http.post("/api/generations", json={"model": model, "prompt": "two apples", "steps": 3, "images": 2})
        assert order.status_code == 202, order.text
        place = order.headers["location"]
        events = http.get(f"{place}/events").text
        done = http.get(place).json()
        picture = http.get(done["images"][1]["url"])
        listed = http.get("/api/generations").json()
    assert "event: done" in events
    assert done["status"] == "done"
    assert len(done["images"]) == 2
    assert picture.headers["content-type"] == "image/png"
    assert done["id"] in [row["id"] for row in listed]
    with hub.http("eve") as http:
        for path in ("", "/events", "/receipt", "/images/0"):
            assert http.get(place + path).status_code == 404
        assert http.delete(place).status_code == 404


def test_an_order_is_cancelled(hub: Hub, model: str) -> None:
    with hub.http("bob") as http:
        place = http.post("/api/generations", json={"model": model, "prompt": "fake-slow apple", "steps": 50}).headers[
            "location"
        ]
        time.sleep(0.3)
        assert http.delete(place).json()["status"] == "cancelled"
        assert http.get(place).json()["status"] == "cancelled"


def test_more_orders_at_once_than_allowed_wait_for_429(hub: Hub, model: str) -> None:
    with hub.http("eve") as http:
        places = [
            http.post("/api/generations", json={"model": model, "prompt": "fake-slow", "steps": 50}).headers["location"]
            for _ in range(2)
        ]
        third = http.post(f"/models/{model}", json={"inputs": "apple"})
        for place in places:
            http.delete(place)
    assert third.status_code == 429
    assert "ratelimit" not in third.headers  # they are not counted over a time
    assert int(third.headers["retry-after"]) > 0


def test_an_order_ends_when_its_caller_goes_away(hub: Hub, model: str) -> None:
    body = json.dumps({"inputs": "fake-slow pear", "parameters": {"num_inference_steps": 50}})
    head = (
        f"POST /models/{model} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hub.tokens['bob']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port)) as connection:
        connection.sendall((head + body).encode())
        time.sleep(1)
    with hub.http("bob") as http:
        for _ in range(50):
            newest = http.get("/api/generations").json()[0]
            if newest["status"] != "running":
                break
            time.sleep(0.1)
    assert newest["status"] == "cancelled"


def test_a_dying_worker_fails_its_own_orders_and_comes_back(hub: Hub, model: str) -> None:
    with pytest.raises(errors.HfHubHTTPError) as caught:
        client(hub, model).text_to_image("fake-crash", num_inference_steps=2)
    assert caught.value.response.status_code == 503
    assert caught.value.response.json()["error"]
    for _ in range(60):  # it is started again within a second or two, and orders say so until then
        with hub.http("bob") as http:
            again = http.post(f"/models/{model}", json={"inputs": "an apple", "parameters": {"num_inference_steps": 2}})
        if again.status_code == 200:
            break
        assert again.status_code == 503, again.text
        time.sleep(0.5)
    assert again.headers["content-type"] == "image/png"


def test_orders_of_many_people_run_side_by_side(hub: Hub, model: str) -> None:
    sizes: list[tuple[int, int]] = []

    def order(person: str) -> None:
        sizes.append(client(hub, model, person).text_to_image(f"an apple for {person}", num_inference_steps=4).size)

    threads = [threading.Thread(target=order, args=(person,)) for person in ("ada", "bob", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(sizes) == 3


def test_a_gate_closed_meanwhile_binds_an_order_that_is_being_made(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"{}", path_in_repo="model_index.json", repo_id=name)
    with hub.http("bob") as http:
        place = http.post("/api/generations", json={"model": name, "prompt": "fake-slow", "steps": 20}).headers[
            "location"
        ]
        ada.update_repo_settings(name, gated="manual")
        assert "event: failed" in http.get(f"{place}/events").text
        ended = http.get(place).json()
    assert (ended["status"], ended["code"], ended["images"]) == ("failed", "no_longer_allowed", [])


def test_an_order_under_way_gives_no_image_once_the_right_is_gone(hub: Hub, model: str) -> None:
    with hub.http("bob") as http:
        place = http.post("/api/generations", json={"model": model, "prompt": "fake-slow plum", "steps": 20}).headers[
            "location"
        ]
        hub.api("ada").update_repo_settings(model, private=True)
        try:
            for _ in range(600):
                order = http.get(place).json()
                if order["status"] not in ("running", "queued"):
                    break
                time.sleep(0.1)
            image = http.get(f"{place}/images/0")
        finally:
            hub.api("ada").update_repo_settings(model, private=False)
    assert order["status"] == "failed"
    assert order["code"] == "no_longer_allowed"
    assert image.status_code in (404, 409, 410)
