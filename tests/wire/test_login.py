"""`hf auth login`, `whoami`, renewing and `logout`, with the unmodified command and a person at a browser."""

import configparser
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.wire.server import Hub

HF = str(Path(sys.executable).with_name("hf"))


@pytest.fixture
def let_in(hub: Hub) -> Callable[..., None]:
    """Bob types the code and decides."""

    def decide(code: str, *, decision: str = "allow") -> None:
        with httpx2.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"accept": "text/html"}) as browser:
            signed_in = browser.post("/login", data={"name": "bob", "password": "correct horse battery staple"})
            assert signed_in.status_code == 303
            assert code in browser.get(f"/device?user_code={code}").text
            sent = {"user_code": code, "decision": decision, "scopes": ["read", "download", "write"]}
            assert browser.post("/device", data=sent).status_code == 200

    return decide


def log_in(env: dict[str, str], then: Callable[[str], None]) -> tuple[int, str]:
    """Run `hf auth login` off a terminal, do `then` with the code it shows; exit status and all that was printed."""
    with subprocess.Popen(
        [HF, "auth", "login"],
        env=env | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        assert command.stdout is not None
        said = ""
        while not (found := re.search(r"enter the code: ([A-Z]{4}-[A-Z]{4})", said)):
            line = command.stdout.readline()
            assert line, said
            said += line
        then(found[1])
        said += command.stdout.read()
        return command.wait(60), said


def hf(env: dict[str, str], *words: str) -> str:
    done = subprocess.run([HF, *words], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def stored(env: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What the client keeps of its tokens, by their names."""
    file = configparser.ConfigParser()
    file.read(Path(env["HF_HOME"]) / "stored_tokens")
    return {name: dict(file[name]) for name in file.sections()}


def test_the_command_logs_in_renews_and_logs_out(
    hub: Hub, client_env: dict[str, str], let_in: Callable[..., None]
) -> None:
    status, said = log_in(client_env, let_in)
    assert status == 0, said
    assert "bob" in hf(client_env, "auth", "whoami")
    (name,) = stored(client_env)
    first = stored(client_env)[name]
    assert first["refresh_token"].startswith("gr_")

    file = Path(client_env["HF_HOME"]) / "stored_tokens"
    hf(client_env, "auth", "whoami")
    assert stored(client_env)[name] == first  # nothing is renewed before it is due
    file.write_text(re.sub(r"expires_at = \d+", f"expires_at = {int(time.time()) + 3600}", file.read_text()))
    assert "bob" in hf(client_env, "auth", "whoami")
    second = stored(client_env)[name]
    assert second["hf_token"] != first["hf_token"]
    assert second["refresh_token"] != first["refresh_token"]

    hf(client_env, "repos", "create", f"bob/m{time.monotonic_ns()}")  # what it was let in to do
    hf(client_env, "auth", "logout")
    assert not stored(client_env)


def test_a_person_who_says_no_ends_the_command(client_env: dict[str, str], let_in: Callable[..., None]) -> None:
    status, said = log_in(client_env, lambda code: let_in(code, decision="deny"))
    assert status != 0
    assert "denied" in said.lower()
    assert not stored(client_env)
