"""Orders outlive the server that took them in."""

import time
from pathlib import Path
from typing import Any

from tests.wire.serving import Server


def test_an_order_goes_on_after_the_server_was_started_anew(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        ada = server.api("ada")
        ada.create_repo("ada/pipe")
        ada.upload_file(path_or_fileobj=b"{}", path_in_repo="model_index.json", repo_id="ada/pipe")
        order = {"model": "ada/pipe", "prompt": "fake-slow apple", "negative_prompt": "pears", "steps": 12, "seed": 3}
        key = {"Idempotency-Key": "mine"}
        with server.hub.http("ada") as http:
            place = http.post("/api/generations", json=order, headers=key).headers["location"]
        time.sleep(0.3)
        server.stop()
        server.start()
        with server.hub.http("ada") as http:
            again = http.post("/api/generations", json=order, headers=key).headers["location"]
            ended: dict[str, Any] = {}
            for _ in range(300):
                ended = http.get(place).json()
                if ended["status"] != "running":
                    break
                time.sleep(0.1)
            events = http.get(f"{place}/events").text
    finally:
        server.stop()
    assert again == place
    assert (ended["status"], ended["charged"]["images"], ended["settings"]["seed"]) == ("done", 1, 3)
    assert "event: done" in events
