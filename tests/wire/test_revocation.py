"""A revocation made in one process binds in another on the very next request, also where its answer was remembered."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.wire.server import Hub


def _gatekeeper(hub: Hub, *words: str) -> str:
    """The command line, in a process of its own."""
    env = os.environ | {"GATEKEEPER_DATA_DIR": str(hub.data_dir)}
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", *words],
        env=env,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_revoking_in_one_process_binds_in_another_on_the_next_request(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"weights", path_in_repo="a.txt", repo_id=name)
    ada.update_repo_settings(name, gated="manual")
    ada.grant_access(name, "bob")
    [row] = json.loads(_gatekeeper(hub, "requests", "list", name, "--json"))
    with httpx2.Client(headers={"Authorization": f"Bearer {hub.tokens['bob']}"}) as bob:
        address = f"{hub.url}/{name}/resolve/main/a.txt"
        assert [bob.get(address).status_code for _ in range(5)] == [200] * 5  # the answer is remembered by now

        _gatekeeper(hub, "requests", "revoke", row["id"], "--reason", "Misuse.")

        refused = bob.get(address)
        assert (refused.status_code, refused.headers["X-Error-Code"]) == (403, "GatedRepo")
