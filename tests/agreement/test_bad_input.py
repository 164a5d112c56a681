"""Nothing that can be sent crashes the hub: each answer is a sentence with a next step, and nothing is kept."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from gatekeeper.app import routes
from gatekeeper.web.routing import RawRoute
from tests import markup
from tests.agreement.hub import Hub

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


# The addresses of data sets and Spaces have the endpoints of the models' (test_table.py compares them).
_ROUTES = [route for route in routes() if not route.pattern.startswith(("/datasets/", "/spaces/"))]


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_no_name_in_an_address_crashes(hub: Hub, ada: dict[str, dict[str, str]], method: str) -> None:
    for route in _ROUTES:
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
def test_no_form_crashes_or_comes_back_as_broken_html(hub: Hub, ada: dict[str, dict[str, str]]) -> None:
    browser, pages = ada["browser"] | {"Accept": "text/html"}, list[tuple[str, str]]()
    for route in _ROUTES:
        if "POST" not in route.methods or route.pattern.startswith(_NO_FORMS):
            continue
        address = _filled(route)
        for answer in (
            hub.ask("POST", address, browser, data=_FORMS),
            hub.ask("POST", address, browser, data=dict.fromkeys(_FORMS, "\x00")),
            hub.ask("POST", address, browser, data=dict.fromkeys(_FORMS, "x" * 20000)),
            hub.ask("POST", address, browser, content=b"name=%ff%fe&reason=%00", headers=_AS_FORM),
            hub.ask("POST", address, browser, content=b"&" * 5_000, headers=_AS_FORM),
            hub.ask("POST", address, browser, content=b"--x", headers={"Content-Type": "multipart/form-data"}),
            hub.ask("POST", address, browser, files={"name": ("a.png", b"\0", "image/png")}),
        ):
            _is_told(answer, address)
            if answer.headers.get("content-type", "").startswith("text/html"):
                pages.append((address, answer.text))
    assert len(pages) > 1000
    found = markup.faults(pages)
    assert not found, "\n".join(found)


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
    for route in _ROUTES:
        if "GET" in route.methods and route.pattern != "/readyz":  # which tells that no worker is there
            address = f"{_filled(route)}?{query}"
            credential = ada["token" if address.startswith("/api") else "browser"]
            _is_told(hub.ask("GET", address, credential), address)


_NO_FORMS = ("/api", "/cas", "/models", "/v1", "/logout", "/{ns}/{name}/releases/enable")  # these two just do it
_AS_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _is_told(answer: httpx2.Response, about: str) -> None:
    code = answer.headers.get("x-error-code", "")
    told = f"{about[:200]}: {answer.status_code} {code} {answer.text[:200]}"
    assert answer.status_code < 500 or code in _MEANT, told
    if answer.status_code >= 400 and code:
        assert answer.headers["x-error-message"].strip(), told
        if answer.headers["content-type"] == "application/json":
            error = answer.json()["error"]
            assert (error if isinstance(error, str) else error["message"]).strip(), told
            assert code == "Conflict" or not isinstance(error, str) or answer.json()["next_step"].strip(), told


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
