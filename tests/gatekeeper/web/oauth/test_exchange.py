"""A job elsewhere shows who it is and gets a token for an hour: whom that works for, and every way it must not."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest
import time_machine
from joserfc import jwt
from joserfc.jwk import RSAKey

from gatekeeper import accounts
from gatekeeper.accounts import OPERATOR
from gatekeeper.kit.clock import now
from gatekeeper.notices import Rules
from gatekeeper.repos import Repo
from gatekeeper.web.issuers import Issuers
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio
PAGE = "/admin/repositories/models/lab/emoji/jobs"
CLAIMS = {"sub": "repo:lab/emoji:ref:refs/heads/main", "repository": "lab/emoji", "ref": "refs/heads/main"}


class Issuer:
    """An issuer on loopback, which signs whatever it is asked to."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.asked: list[str] = []
        self.count = 0
        self.audience = ""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/jwks":
            return {"keys": [self.key.as_dict(private=False)]}
        return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}

    def statement(self, key: RSAKey | None = None, **changes: Any) -> str:
        at = int(now().timestamp())
        self.count += 1
        claims = {
            "iss": self.url,
            "aud": self.audience,
            "iat": at,
            "exp": at + 300,
            "jti": str(self.count),
            **CLAIMS,
            **changes,
        }
        signing = key or self.key
        return jwt.encode({"alg": "RS256", "kid": signing.kid}, claims, signing)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.thread.start()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()
    issuer.thread.join()


@pytest.fixture
async def grace(site: Site, model: Repo, issuer: Issuer) -> httpx2.AsyncClient:
    """Grace, who trusts jobs of `lab/emoji` on its main branch."""
    site.gatekeeper.issuers = Issuers(Rules((ip_network("127.0.0.0/8"),)))
    issuer.audience = site.url
    browser = await site.as_("grace")
    trusted = await trust(browser, issuer)
    assert trusted.status_code == 303, words(trusted.text)
    return browser


async def trust(browser: httpx2.AsyncClient, signer: Issuer, **fields: Any) -> httpx2.Response:
    claims = "repository = lab/emoji\nref = refs/heads/*"
    sent = {"label": "ci", "issuer": signer.url, "claims": claims, "scopes": ["read", "download", "write"]} | fields
    return await browser.post(PAGE, data=sent)


async def exchange(site: Site, statement: str, resource: str = "lab/emoji", **more: Any) -> httpx2.Response:
    sent = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": statement,
        "resource": resource,
    } | more
    async with site.browser() as program:
        return await program.post("/oauth/token", json=sent)


async def with_token(site: Site, secret: str, path: str) -> int:
    async with site.browser() as program:
        return (await program.get(path, headers={"authorization": f"Bearer {secret}"})).status_code


async def test_a_trusted_job_gets_a_token_for_its_repository_and_an_hour(site: Site, grace, issuer: Issuer) -> None:
    await site.model("other")
    answer = await exchange(site, issuer.statement())
    got = answer.json()
    assert (answer.status_code, got["expires_in"], got["token_type"]) == (200, 3600, "Bearer"), got
    assert answer.headers["cache-control"] == "no-store"
    assert got["scope"] == "download read write"
    secret = got["access_token"]
    assert await with_token(site, secret, "/lab/emoji/resolve/main/unet/config.json") == 200
    assert await with_token(site, secret, "/lab/other/resolve/main/unet/config.json") == 403
    assert await with_token(site, secret, "/api/receipts") == 403
    with time_machine.travel(now() + timedelta(seconds=3601), tick=False):
        assert await with_token(site, secret, "/api/whoami-v2") == 401
    assert "Last used" in words((await grace.get(PAGE)).text)
    moved = {"fromRepo": "lab/emoji", "toRepo": "lab/pictures", "type": "model"}
    assert (await grace.post("/api/repos/move", json=moved)).status_code == 200
    assert (await exchange(site, issuer.statement())).status_code == 200  # trust holds on to the repository


async def test_a_statement_is_good_once(site: Site, grace, issuer: Issuer) -> None:
    statement = issuer.statement()
    assert (await exchange(site, statement)).status_code == 200
    again = await exchange(site, statement)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert "before" in again.json()["error_description"]


@pytest.mark.parametrize(
    "changes",
    [
        {"repository": "evil/emoji"},
        {"repository": "lab/emoji2"},
        {"ref": "refs/tags/v1"},
        {"ref": "refs/heads/a/b"},
        {"ref": "refs/heads/"},
        {"ref": None},
        {"aud": "https://other.example.org"},
        {"exp": 1},
    ],
    ids=str,
)
async def test_another_job_gets_nothing(site: Site, grace, issuer: Issuer, changes: dict[str, Any]) -> None:
    answer = await exchange(site, issuer.statement(**changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert "access_token" not in answer.text


async def test_another_key_gets_nothing_and_a_new_key_of_the_issuer_is_found(site: Site, grace, issuer: Issuer) -> None:
    forged = RSAKey.generate_key(2048, {"kid": "first"})
    assert (await exchange(site, issuer.statement(forged))).status_code == 400
    issuer.key = RSAKey.generate_key(2048, {"kid": "second"})
    known = site.gatekeeper.issuers._known[issuer.url]
    assert (await exchange(site, issuer.statement())).status_code == 400  # it was asked a moment ago
    known.fetched_at -= 31
    assert (await exchange(site, issuer.statement())).status_code == 200
    assert len(issuer.asked) == 4


async def test_an_issuer_that_nobody_trusts_is_not_asked_and_the_answer_tells_nothing(
    site: Site, grace, issuer
) -> None:
    stranger = Issuer()
    stranger.server.server_close()
    told = {
        (await exchange(site, stranger.statement())).text,
        (await exchange(site, issuer.statement(), "lab/nothing")).text,
        (await exchange(site, issuer.statement(), "datasets/lab/emoji")).text,
        (await exchange(site, issuer.statement(repository="evil/emoji"))).text,
    }
    assert len(told) == 1


async def test_trust_ends_with_its_removal_and_so_do_its_tokens(site: Site, grace, issuer: Issuer) -> None:
    secret = (await exchange(site, issuer.statement())).json()["access_token"]
    page = (await grace.get(PAGE)).text
    address = page[page.index(f'action="{PAGE}/') + 8 :].split('"', 1)[0]
    assert (await (await site.as_("ada")).post(address)).status_code in (403, 404)
    assert (await grace.post(address)).status_code == 303
    assert await with_token(site, secret, "/api/whoami-v2") == 401
    assert (await exchange(site, issuer.statement())).status_code == 400


async def test_trust_ends_with_the_right_of_who_gave_it(site: Site, grace, issuer: Issuer) -> None:
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        await accounts.organizations.add_member(session, lab, site.people["olga"], accounts.Role.ADMIN, by=OPERATOR)
        await accounts.organizations.add_member(session, lab, site.people["grace"], accounts.Role.WRITE, by=OPERATOR)
    assert (await exchange(site, issuer.statement())).status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"claims": ""},
        {"claims": "ref = refs/heads/main"},
        {"claims": "repository = lab/*"},
        {"claims": "repository = *"},
        {"claims": "repository"},
        {"claims": "sub = a\nsub = b"},
        {"claims": "iss = x\nsub = y"},
        {"issuer": "ftp://issuer.example.org"},
        {"issuer": "https://user@issuer.example.org"},
        {"issuer": "https://issuer.example.org/?x"},
        {"scopes": ["admin"]},
        {"scopes": []},
        {"label": ""},
    ],
    ids=str,
)
async def test_trust_that_is_too_wide_or_unclear_is_refused(site: Site, grace, issuer: Issuer, fields) -> None:
    answer = await trust(grace, issuer, **fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


async def test_only_maintainers_in_person_trust_jobs(site: Site, grace, issuer: Issuer) -> None:
    secret = (await exchange(site, issuer.statement())).json()["access_token"]
    for caller in (await site.as_("ada"), site.browser()):
        assert (await trust(caller, issuer)).status_code in (401, 403)
    async with site.browser() as program:
        program.headers["authorization"] = f"Bearer {secret}"
        assert (await trust(program, issuer)).status_code == 403


async def test_keys_are_never_fetched_from_inside_unless_it_is_allowed(site: Site, grace, issuer: Issuer) -> None:
    site.gatekeeper.issuers = Issuers(Rules())
    answer = await exchange(site, issuer.statement())
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert issuer.asked == []


@pytest.mark.parametrize(
    "more",
    [{"grant_type": "password"}, {"subject_token_type": "x"}, {"subject_token": 1}, {"resource": None}],
    ids=str,
)
async def test_other_grants_and_broken_bodies_are_refused(site: Site, grace, issuer: Issuer, more) -> None:
    assert (await exchange(site, issuer.statement(), **more)).status_code == 400
