"""What may not be known is answered exactly like what is not there, at every address; and a refusal leaves nothing."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import tokens
from gatekeeper.accounts import people, principals, sessions
from gatekeeper.app import routes
from gatekeeper.repos import AddFile, RepoKind, catalogue, history
from gatekeeper.web.routing import RawRoute
from tests.agreement import world
from tests.agreement.hub import Hub
from tests.agreement.world import Case
from tests.gatekeeper.licensing.builders import make_person

HIDDEN, ABSENT = "hidden-one", "absent-one"  # of the same length, for answers name what was asked for
_OWN_HEADERS = frozenset({"x-request-id", "date", "ratelimit", "ratelimit-policy"})  # the last two count
_NAMING = [route for route in routes() if {"ns", "name"} <= set(route.names)]
_VALUES = {
    "rev": "main",
    "num": "1",
    "run": "0" * 26,
    "act": "pause",
    "file": "0",
    "branch": "new",
    "target": "main",
    "range": "main..main",
    "path": "config.json",
    "sha256": "0" * 64,
    "commit": "0" * 40,
    "id": "0" * 26,
}
_BODIES: dict[str, Any] = {
    "settings": {"gated": "manual"},
    "handle": {"status": "accepted", "user": "mallory"},
    "grant": {"user": "mallory"},
    "create_branch": {},
    "create_tag": {"tag": "v1"},
    "preupload": {"files": [{"path": "a", "size": 1, "sample": ""}]},
    "batch": {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]},
    "verify": {"oid": "0" * 64, "size": 1},
    "text_to_image": {"inputs": "an apple"},
}


@pytest.fixture(scope="module")
def credentials(hub: Hub) -> dict[str, dict[str, str]]:
    """mallory, who has no part in ada's repositories: without a credential, with a token, in a browser."""

    async def fill(session: AsyncSession) -> dict[str, dict[str, str]]:
        ada, mallory = await make_person(session, "ada"), await make_person(session, "mallory")
        for kind in RepoKind:
            repo = await catalogue.create(session, kind, "ada", HIDDEN, by=ada, private=True)
            await history.commit(session, repo, "main", [AddFile("config.json", b"{}")], summary="s", by=ada)
        draft = await catalogue.create(session, RepoKind.MODEL, "ada", f"{HIDDEN}-draft", by=ada)
        draft.is_staged = True
        person = await people.get(session, mallory.person_id or "")
        assert person is not None
        assert not (await principals.for_person(session, person)).is_admin
        _, secret = await tokens.issue(session, person, label="t", role="write", key=hub.gatekeeper.keys.tokens)
        _, cookie = await sessions.start(session, person, key=hub.gatekeeper.keys.sessions, user_agent="", days=1)
        return {
            "nobody": {},
            "token": {"Authorization": f"Bearer {secret}"},
            "browser": {"Cookie": f"gatekeeper_session={cookie}", "Sec-Fetch-Site": "same-origin"},
        }

    return hub.write(fill)


@pytest.mark.parametrize("who", ["nobody", "token", "browser"])
def test_hidden_and_missing_are_one_answer_at_every_address(
    hub: Hub, credentials: dict[str, dict[str, str]], who: str
) -> None:
    before = hub.rows()
    for route in _NAMING:
        for method in sorted(route.methods | ({"HEAD"} if "GET" in route.methods else set())):
            for kind in _kinds(route):
                _compare(hub, credentials[who], route, method, kind)
    assert hub.rows() == before, "a refusal was kept"


def test_hidden_and_missing_are_one_answer_where_the_body_names_them(
    hub: Hub, credentials: dict[str, dict[str, str]]
) -> None:
    before = hub.rows()
    for method, path, body in (
        ("DELETE", "/api/repos/delete", {"name": HIDDEN, "organization": "ada"}),
        ("POST", "/api/repos/create", {"name": HIDDEN, "organization": "ada"}),
        ("POST", "/api/generations", {"model": f"ada/{HIDDEN}", "prompt": "an apple"}),
    ):
        told = [
            _shown(hub.ask(method, path, credentials["token"], json=_renamed(body, name)), name)
            for name in (HIDDEN, ABSENT)
        ]
        assert told[0] == told[1]
        assert told[0][0] in (403, 404)
    assert hub.rows() == before, "a refusal was kept"


def test_lists_searches_and_overviews_do_not_name_it(hub: Hub, credentials: dict[str, dict[str, str]]) -> None:
    for who in credentials.values():
        for path in (
            *(f"/api/{kind.value}?author=ada" for kind in RepoKind),
            "/api/models?search=hidden",
            "/models?search=hidden",
            "/api/users/ada/overview",
            "/requests",
            "/admin",
            "/admin/repositories",
            "/",
        ):
            assert HIDDEN not in hub.ask("GET", path, who, headers={"Accept": "text/html"}).text.replace(path, "")


@pytest.fixture(scope="module")
def content(hub: Hub) -> str:
    return hub.write(lambda session: world.prepare(session, hub.gatekeeper))


@pytest.mark.parametrize("credential", ["write token", "browser", ""])
def test_a_draft_and_a_missing_revision_are_one_answer_to_who_sees_only_releases(
    hub: Hub, content: str, credential: str
) -> None:
    who = "stranger" if credential else "anonymous"
    case = Case("open", "", True, who, credential or "browser", "none", "none")
    made = hub.write(lambda session: world.make(session, hub.gatekeeper, case, content))
    *_, released, draft = made.commits
    absent = "".join(reversed(draft))
    values = {**_VALUES, "ns": made.namespace, "name": made.name, "kind": "models"}
    at_release = []
    for route in _NAMING:
        if "rev" not in route.names or "GET" not in route.methods or RepoKind.MODEL not in _kinds(route):
            continue
        told = {}
        for revision in (released, draft, absent):
            named = values | {"rev": revision}
            path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found, named=named: named[found[1]], route.pattern)  # type: ignore[misc]
            told[revision] = _shown(hub.ask("GET", path, made.credential), revision)
        assert told[draft] == told[absent], route.pattern
        assert told[draft][0] in (401, 403, 404), f"{route.pattern}: {told[draft]}"
        at_release.append(told[released][0])
    assert 200 in at_release


def _compare(hub: Hub, credential: dict[str, str], route: RawRoute, method: str, kind: RepoKind) -> None:
    html = {"headers": {"Accept": "text/html"}}
    body = {} if method in ("GET", "HEAD") else {"json": _BODIES.get(route.name, {})}
    for options in (body, {**body, **html}):
        told = []
        for name in (HIDDEN, ABSENT):
            path = route.pattern.replace("{kind:kind}", kind.value).replace("{ns}", "ada").replace("{name}", name)
            path = re.sub(r"\{(\w+)(?::rest)?\}", lambda found: _VALUES[found.group(1)], path)
            told.append(_shown(hub.ask(method, path, credential, **options), name))
        assert told[0] == told[1], f"{method} {path}"
        assert told[0][0] in (401, 404), f"{method} {path}: {told[0]}"


def _kinds(route: RawRoute) -> Iterator[RepoKind]:
    if "{kind:kind}" in route.pattern:
        yield from RepoKind
    else:
        first = route.pattern.split("/")[1]
        yield RepoKind(first) if first in ("datasets", "spaces") else RepoKind.MODEL


def _shown(answer: httpx2.Response, name: str) -> tuple[int, dict[str, str], str]:
    request_id = answer.headers.get("x-request-id", "none")
    headers = {key: value.replace(name, "NAME") for key, value in answer.headers.items() if key not in _OWN_HEADERS}
    return answer.status_code, headers, answer.text.replace(name, "NAME").replace(request_id, "ID")


def _renamed(body: dict[str, str], name: str) -> dict[str, str]:
    return {key: value.replace(HIDDEN, name) for key, value in body.items()}
