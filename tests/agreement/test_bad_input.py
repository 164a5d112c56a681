"""Nothing that can be sent crashes the hub: each answer is a sentence with a next step, and nothing is kept."""

import asyncio
import base64
import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, tokens
from gatekeeper.accounts import people, sessions
from gatekeeper.app import routes
from gatekeeper.repos import Gate
from gatekeeper.web.routing import RawRoute
from tests.agreement.hub import Hub
from tests.gatekeeper.licensing.builders import make_person, make_repo

# Answers of the 5xx range that are meant: a call that does not exist here, a worker that is not there.
_MEANT = frozenset({"NotImplemented", "Unavailable"})
_NAMES = [
    "%00",
    "%ff%fe",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "a" * 3000,
    "'%20OR%201",
    "-1",
    "%0d%0aX:1",
]
_RAW_BODIES = [
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"null",
    b"[]",
    b"7",
    b'"x"',
    b'{"a"',
    b"NaN",
    b"1e999",
    b"\0" * 100,
]
_BAD_VALUES: list[Any] = [
    None,
    True,
    -1,
    0.5,
    1e308,
    10**400,
    "",
    "\0",
    "\ud800",
    "\u202eabc",
    "a\r\nX: 1",
    "x" * 100_000,
    "../../etc/passwd",
    [],
    {},
    [[[[]]]],
    {"\ud800": "\ud800"},
]
_ORDER = {"prompt": "an apple", "steps": 4, "images": 1, "seed": 1, "width": 64, "height": 64, "guidance_scale": 2.0}
_JSON_BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/repos/create"): {"name": "-x", "organization": "none", "type": "model", "visibility": "public"},
    ("DELETE", "/api/repos/delete"): {"name": "none", "organization": "none", "type": "model"},
    ("PUT", "/api/models/ada/gated/settings"): {"gated": "manual", "visibility": "public", "private": False},
    ("POST", "/api/models/ada/gated/branch/main"): {"startingPoint": "main"},
    ("POST", "/api/models/ada/gated/tag/none"): {"tag": "v1", "message": "m"},
    ("POST", "/api/models/ada/gated/preupload/none"): {"files": [], "gitIgnore": ""},
    ("POST", "/api/models/ada/gated/user-access-request/handle"): {"status": "accepted", "user": "none"},
    ("POST", "/api/models/ada/gated/user-access-request/grant"): {"user": "none"},
    ("POST", "/api/models/ada/gated/access"): {"accept": ["x"], "fields": {"Purpose": "x"}, "presentation_id": "x"},
    ("POST", "/ada/gated.git/info/lfs/objects/batch"): {"operation": "download", "objects": [{"oid": "x", "size": 1}]},
    ("POST", "/ada/gated.git/info/lfs/objects/verify"): {"oid": "0" * 64, "size": 1},
    ("POST", "/api/generations"): {"model": "ada/gated", "revision": "main", **_ORDER},
    ("POST", "/models/ada/gated"): {"inputs": "an apple", "parameters": {"num_inference_steps": 4, "seed": 1}},
    ("POST", "/api/validate-yaml"): {"content": "---\na: [\n---\n", "repoType": "model"},
}
_FORMS = {
    "name": "-x", "fullname": "x", "email": "x", "person": "x", "ends_on": "2027-13-99", "reason": "", "label": "",
    "role": "x", "scopes": "x", "days": "-1", "prompt": "", "steps": "0", "images": "1000", "seed": "1e308",
    "guidance": "nan", "version": "x", "password": "x", "current": "x", "next": "//evil.example", "presentation": "x",
}  # fmt: skip


@pytest.fixture(scope="module")
def ada(hub: Hub) -> dict[str, dict[str, str]]:
    """ada, who administers the hub and owns ada/gated: a token that may do everything, and a browser."""

    async def fill(session: AsyncSession) -> dict[str, dict[str, str]]:
        principal = await make_person(session, "ada", is_admin=True)
        await make_repo(session, principal, name="gated", gate=Gate.MANUAL)
        person = await people.get(session, principal.person_id or "")
        assert person is not None
        scopes = ["read", "download", "generate", "write", "review", "admin"]
        keys = hub.gatekeeper.keys
        _, secret = await tokens.issue(session, person, label="t", role="write", scopes=scopes, key=keys.tokens)
        _, cookie = await sessions.start(session, person, key=keys.sessions, user_agent="", days=1)
        return {
            "token": {"Authorization": f"Bearer {secret}"},
            "browser": {"Cookie": f"gatekeeper_session={cookie}", "Sec-Fetch-Site": "same-origin"},
        }

    return hub.write(fill)


@pytest.fixture
def nothing_kept(hub: Hub, ada: dict[str, dict[str, str]]) -> Iterator[None]:
    before = hub.rows()
    yield
    # Failed sign-ins are counted, and a page that shows terms remembers what it showed.
    kept = {table for table, count in hub.rows().items() if count != before[table]}
    assert kept <= {"sign_in_attempt", "presentation", "license_text", "terms_bundle", "repo_terms", "ledger_event"}


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_no_name_in_an_address_crashes(hub: Hub, ada: dict[str, dict[str, str]], method: str) -> None:
    for route in routes():
        if method not in route.methods:
            continue
        for address in _addresses(route):
            credential = ada["token" if address.startswith(("/api", "/models", "/cas")) else "browser"]
            _is_told(hub.ask(method, address, credential), address)


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("body", _RAW_BODIES, ids=lambda body: repr(body[:8]))
def test_no_body_crashes(hub: Hub, ada: dict[str, dict[str, str]], body: bytes) -> None:
    for method, address in _JSON_BODIES:
        answer = hub.ask(method, address, ada["token"], content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code >= 400 or address.endswith("/tag/none"), address
        _is_told(answer, address)


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(("method", "address"), _JSON_BODIES)
def test_no_value_in_a_body_crashes(hub: Hub, ada: dict[str, dict[str, str]], method: str, address: str) -> None:
    for where in _places(_JSON_BODIES[method, address]):
        for value in _BAD_VALUES:
            body = _with(_JSON_BODIES[method, address], where, value)
            answer = hub.ask(
                method, address, ada["token"], content=json.dumps(body), headers={"Content-Type": "application/json"}
            )
            _is_told(answer, f"{address} {where} {value!r:.40}")


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("place", ["summary", "description", "parentCommit", "path", "content", "encoding"])
def test_no_value_in_a_commit_crashes(hub: Hub, ada: dict[str, dict[str, str]], place: str) -> None:
    address = "/api/models/ada/gated/commit/main"
    for value in _BAD_VALUES:
        header: dict[str, Any] = {"summary": "s", "parentCommit": "0" * 40}
        file: dict[str, Any] = {"path": "a.txt", "content": "eA==", "encoding": "base64"}
        (file if place in file else header)[place] = value
        lines = [{"key": "header", "value": header}, {"key": "file", "value": file}]
        if place == "parentCommit" and not value:
            continue  # on any parent, which is meant
        answer = hub.ask("POST", address, ada["token"], content="\n".join(json.dumps(line) for line in lines))
        assert answer.status_code in (400, 404, 412, 413, 422), answer.text
        _is_told(answer, f"{place} {value!r:.40}")


@pytest.mark.usefixtures("nothing_kept")
def test_no_form_crashes(hub: Hub, ada: dict[str, dict[str, str]]) -> None:
    for route in routes():
        if "POST" not in route.methods or route.pattern.startswith(_NO_FORMS):
            continue
        address = _filled(route)
        for answer in (
            hub.ask("POST", address, ada["browser"], data=_FORMS),
            hub.ask("POST", address, ada["browser"], data=dict.fromkeys(_FORMS, "\x00")),
            hub.ask("POST", address, ada["browser"], data=dict.fromkeys(_FORMS, "x" * 20000)),
            hub.ask("POST", address, ada["browser"], content=b"name=%ff%fe&reason=%00", headers=_AS_FORM),
            hub.ask("POST", address, ada["browser"], content=b"&" * 5_000, headers=_AS_FORM),
            hub.ask("POST", address, ada["browser"], content=b"--x", headers={"Content-Type": "multipart/form-data"}),
            hub.ask("POST", address, ada["browser"], files={"name": ("a.png", b"\0", "image/png")}),
        ):
            _is_told(answer, address)


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "query",
    [
        "limit=-1", "limit=x", f"limit={'9' * 30}", "limit=%00", "cursor=%00", f"cursor={'x' * 3000}", "cursor=-1",
        "expand=x", "sort=x", "search=%00", "search=%ff", "search=%25_%27", f"search={'x' * 5000}", "author=%00",
        "filter=%00", "recursive=x", "after=%00", "state=x", "version=x", "next=//evil.example",
    ],
)  # fmt: skip
def test_no_query_crashes(hub: Hub, ada: dict[str, dict[str, str]], query: str) -> None:
    for route in routes():
        if "GET" in route.methods and route.pattern != "/readyz":  # which tells that no worker is there
            address = f"{_filled(route)}?{query}"
            credential = ada["token" if address.startswith("/api") else "browser"]
            _is_told(hub.ask("GET", address, credential), address)


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "credential",
    [
        "Bearer",
        "Bearer ",
        "Bearer gk_",
        "Bearer hf_" + "a" * 34,
        "Bearer gk_" + "a" * 100_000,
        "Bearer \u00e9\u00e8".encode("latin-1").decode("latin-1"),
        "Basic",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Digest x",
        "gk_without_scheme",
    ],
    ids=lambda value: repr(value[:14]),
)
def test_a_malformed_token_is_called_wrong(hub: Hub, credential: str) -> None:
    for address in ("/api/models/ada/gated", "/ada/gated/resolve/main/README.md", "/api/whoami-v2"):
        answer = hub.ask("GET", address, {"Authorization": credential.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code == 401, credential[:40]
        assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"
        assert answer.json()["next_step"]


def test_a_token_with_a_wrong_sign_is_unknown(hub: Hub, ada: dict[str, dict[str, str]]) -> None:
    secret = ada["token"]["Authorization"]
    for changed in (secret[:-1] + ("a" if secret[-1] != "a" else "b"), secret.upper(), secret + "a", secret[:-1]):
        assert hub.ask("GET", "/api/whoami-v2", {"Authorization": changed}).status_code == 401


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("steps", 10_000), ("steps", True), ("steps", 4.5), ("images", 0), ("images", 1000),
        ("width", 65), ("height", -8), ("width", 2**40), ("seed", -1), ("seed", 2**70), ("seed", 1e308),
        ("guidance_scale", -1), ("guidance_scale", 1e308), ("guidance_scale", True), ("prompt", "x" * 10_000),
        ("prompt", ""), ("prompt", "\0"), ("sld_level", "none"), ("negative_prompt", "x" * 10_000),
    ],
)  # fmt: skip
def test_an_order_outside_its_limits_is_refused_by_name(
    hub: Hub, ada: dict[str, dict[str, str]], name: str, value: object
) -> None:
    answer = hub.ask("POST", "/api/generations", ada["token"], json={"model": "ada/gated", **_ORDER, name: value})
    assert answer.status_code == 422, answer.text
    assert name in answer.json()["error"]


def test_of_two_approvals_at_once_one_counts(hub: Hub, ada: dict[str, dict[str, str]]) -> None:
    async def ask(session: AsyncSession) -> str:
        bob = await make_person(session, "bob")
        owner = await make_person(session, "olga")
        repo, _ = await make_repo(session, owner, name="asked", files={"a.txt": b"a"})
        return (await access.submit(session, bob, repo, fields=None, bundle=None)).id

    request_id = hub.write(ask)
    body = {"status": "accepted", "requestId": request_id}
    path = "/api/models/olga/asked/user-access-request/handle"

    async def twice() -> list[int]:
        transport = httpx2.ASGITransport(hub.client.app)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            both = [client.post(path, json=body, headers=ada["token"]) for _ in range(2)]
            return sorted(answer.status_code for answer in await asyncio.gather(*both))

    before = hub.rows()["access_grant"]
    assert hub.client.portal is not None
    assert hub.client.portal.call(twice) == [200, 404]  # in the public hub's words
    assert hub.rows()["access_grant"] == before + 1


_NO_FORMS = ("/api", "/cas", "/models", "/v1", "/logout", "/{ns}/{name}/releases/enable")  # these two just do it
_AS_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _is_told(answer: httpx2.Response, about: str) -> None:
    code = answer.headers.get("x-error-code", "")
    told = f"{about[:200]}: {answer.status_code} {code} {answer.text[:200]}"
    assert answer.status_code < 500 or code in _MEANT, told
    if answer.status_code >= 400 and code:
        assert answer.headers["x-error-message"].strip(), told
        if answer.headers["content-type"] == "application/json":
            assert answer.json()["error"].strip(), told
            assert code == "Conflict" or answer.json()["next_step"].strip(), told


def _addresses(route: RawRoute) -> Iterator[str]:
    for name in route.names:
        for value in _NAMES:
            yield _filled(route, {name: value})


def _filled(route: RawRoute, values: dict[str, str] | None = None) -> str:
    known = {"kind": "models", "ns": "ada", "name": "gated", "rev": "main", "path": "README.md"} | (values or {})
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: known.get(found.group(1), "none"), route.pattern)


def _places(body: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in body.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *rest) for rest in _places(value))
    yield ("unheard_of",)


def _with(body: dict[str, Any], where: tuple[str, ...], value: object) -> dict[str, Any]:
    made = copy.deepcopy(body)
    inner = made
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    return made
