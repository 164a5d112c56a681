"""The table of scopes and routes: every route, asked with a token of each single scope, of somebody who may everything.

What a scope opens is said here by hand, right by right, so that a policy or a route that states too little shows.

SCOPE_TABLE  `whole` asks every route with every scope; otherwise each route is asked with some, others for each route
The table is written to `.out/scopes.txt` and printed with `pytest -s`.
"""

import os
import zlib
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import tokens
from gatekeeper.accounts import people
from gatekeeper.app import routes
from gatekeeper.authz import Action
from gatekeeper.repos import Gate, RepoKind
from gatekeeper.tokens.scopes import Scope
from gatekeeper.web.routing import RawRoute
from tests.agreement.asking import Kept, ask
from tests.agreement.hub import Hub
from tests.gatekeeper.licensing.builders import make_person, make_repo

WHOLE = os.environ.get("SCOPE_TABLE") == "whole"
_SOME = 1  # scopes that each route is asked with, where the table is not whole
_READ, _DOWNLOAD, _GENERATE, _WRITE, _REVIEW, _ADMIN = Scope
_RIGHTS: tuple[tuple[set[Scope], tuple[Action, ...]], ...] = (
    (set(Scope), (Action.KNOW,)),  # that it is there, and nothing of it
    ({_READ}, (Action.READ_CARD, Action.SEE_SAMPLES, Action.LIST_FILES, Action.DISCUSS_READ)),
    ({_READ}, (Action.USE_ACCOUNT, Action.READ_COLLECTIONS)),
    ({_READ, _DOWNLOAD}, (Action.READ_SMALL,)),
    ({_DOWNLOAD}, (Action.DOWNLOAD, Action.REDISTRIBUTE)),
    ({_GENERATE}, (Action.GENERATE, Action.GENERATE_ADJUSTED, Action.SEE_INTERMEDIATE)),
    ({_WRITE}, (Action.WRITE, Action.UPLOAD, Action.DISCUSS_WRITE, Action.DERIVE, Action.PROPOSE)),
    ({_WRITE}, (Action.MANAGE, Action.CURATE)),
    (
        {_WRITE},
        (
            Action.ACCEPT_TERMS,
            Action.REQUEST_ACCESS,
            Action.MANAGE_WEBHOOKS,
            Action.WITHDRAW_TERMS,
            Action.MANAGE_ORGANIZATION,
        ),
    ),
    ({_WRITE}, (Action.CREATE_REPO, Action.CREATE_ORGANIZATION)),
    ({_WRITE}, (Action.PROMOTE, Action.HOLD, Action.REPORT, Action.HANDLE_INCIDENTS)),
    ({_REVIEW, _WRITE}, (Action.REVIEW,)),
    ({_ADMIN}, (Action.ADMIN_PEOPLE, Action.ADMIN_LEDGER, Action.ADMIN_POLICIES, Action.ADMIN_HUB)),
    (set(), (Action.MANAGE_ACCOUNT,)),  # in a browser only
)
_OPENED_BY = {action: scopes for scopes, actions in _RIGHTS for action in actions}
# They state what it takes to be told anything; what is asked for (a file, a branch, a place) is decided inside as well.
_DECIDED_INSIDE = (
    "/preupload/{rev}", "/commit/{rev}", "/resolve/{rev}/{path:rest}", "/blob/{rev}/{path:rest}", "/collect",
    "/collections/new", "/settings/repositories", "/title", "/status", "/hide", "/lock", "/pin", "/compare/{range}",
    "/v1/models/{ns}/{name}",
)  # fmt: skip
# They end or begin a browser's session and look at no token.
_FOR_BROWSERS = frozenset({"sign_out", "passkey_options", "with_passkey"})


@pytest.fixture(scope="module")
def credentials(hub: Hub) -> dict[Scope, dict[str, str]]:
    """For each scope a token of it alone: of an administrator of the hub who owns gil/gated."""

    async def fill(session: AsyncSession) -> dict[Scope, dict[str, str]]:
        principal = await make_person(session, "gil", is_admin=True)
        for kind in RepoKind:
            await make_repo(session, principal, name="gated", gate=Gate.MANUAL, kind=kind)
        person = await people.get(session, principal.person_id or "")
        assert person is not None
        made = {}
        for scope in Scope:
            _, secret = await tokens.issue(
                session, person, label=scope, role="write", scopes=[scope], key=hub.gatekeeper.keys.tokens
            )
            made[scope] = {"Authorization": f"Bearer {secret}"}
        return made

    return hub.write(fill)


def test_every_right_is_in_the_table() -> None:
    assert set(_OPENED_BY) == set(Action)


def test_every_route_lets_in_the_scopes_it_states_and_no_other(
    hub: Hub, credentials: dict[Scope, dict[str, str]], kept: Kept
) -> None:
    lines, wrong = [], []
    for route in routes():
        for method in sorted(route.methods):
            cells = []
            for scope in _scopes_for(route):
                kept.count = 0
                answer = ask(hub, route, method, credentials[scope], namespace="gil", name="gated")
                cells.append(f"{scope}: {answer.status_code}")
                fault = _fault(route, method, scope, answer, kept.count)
                wrong += [f"{method} {route.pattern} with {scope}: {answer.status_code}, {fault}"] if fault else []
            lines.append(f"{method:<7} {route.pattern:<70} {route.needs or '-':<20} {'  '.join(cells)}")
    table = "\n".join(lines)
    print(table)
    target = Path(__file__).parents[2] / ".out" / "scopes.txt"
    target.parent.mkdir(exist_ok=True)
    target.write_text(table + "\n", encoding="utf-8")
    assert not wrong, "\n".join(wrong)
    assert len(lines) > 300


def _fault(route: RawRoute, method: str, scope: Scope, answer: httpx2.Response, kept: int) -> str:
    """What is wrong with a cell, "" if nothing is."""
    is_refused = answer.status_code in (401, 403)
    if answer.status_code == 500:
        return f"an error of the server: {answer.text[:200]}"
    if not route.needs:
        changes = method not in ("GET", "HEAD") and kept and scope in (_READ, _DOWNLOAD, _GENERATE)
        return "changes something" if changes and route.name not in _FOR_BROWSERS else ""
    is_opened = scope in _OPENED_BY[Action(route.needs)]
    if not is_opened and not is_refused:
        return "let in"
    if not is_opened and kept:
        return "refused, and yet something was kept"
    is_too_little = is_opened and is_refused and "scope" in answer.text and not route.pattern.endswith(_DECIDED_INSIDE)
    return "refused" if is_too_little else ""


def _scopes_for(route: RawRoute) -> list[Scope]:
    scopes = list(Scope)
    if WHOLE:
        return scopes
    first = zlib.crc32(f"{route.pattern} {sorted(route.methods)}".encode())
    return [scopes[(first + step * 3) % len(scopes)] for step in range(_SOME)]
