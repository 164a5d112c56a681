"""The table of who is let in where: every route that names a repository, every kind of caller and of repository.

A cell is what the route really answered: the Hub's code where it refused, the status elsewhere. Nothing that is asked
here is kept, so each route runs whole, and a refusal that would have kept anything fails.

AUTHORIZATION_TABLE  `whole` asks every cell (minutes); otherwise each route is asked about some kinds of repository,
                     other ones for each route
The table is written to `.out/authorization.txt` and printed with `pytest -s`.
"""

import os
import re
import zlib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatekeeper.app import routes
from gatekeeper.authz import Action, Denied
from gatekeeper.releases.tables import Stage
from gatekeeper.web.routing import RawRoute
from tests.agreement import world
from tests.agreement.asking import Kept, ask
from tests.agreement.hub import Hub
from tests.agreement.truth import Truth, truth_of
from tests.agreement.world import Case, World

WHOLE = os.environ.get("AUTHORIZATION_TABLE") == "whole"
_SOME = 1  # kinds of repository asked about at each route, where the table is not whole

_CALLERS = {
    "none": {"who": "anonymous"},
    "stranger": {"who": "stranger", "credential": "write token"},
    "requester": {"who": "stranger", "credential": "write token", "terms": "present", "standing": "pending"},
    "accepted": {"who": "stranger", "credential": "write token", "terms": "present", "standing": "granted"},
    "revoked": {"who": "stranger", "credential": "write token", "terms": "present", "standing": "revoked"},
    "browser": {"who": "stranger", "credential": "browser", "terms": "present", "standing": "granted"},
    "reader": {"who": "read", "credential": "write token", "terms": "present"},
    "writer, read token": {"who": "write", "credential": "read token", "terms": "present"},
    "writer": {"who": "write", "credential": "write token", "terms": "present"},
    "maintainer": {"who": "admin", "credential": "every token", "terms": "present"},
    "administrator": {"who": "site admin", "credential": "every token"},
}
_PLACES = {
    **{place: {"place": place} for place in ("public", "private", "auto", "manual", *(stage.value for stage in Stage))},
    "gated, held": {"place": "gated", "side": "held"},
    "gated, withdrawn": {"place": "gated", "side": "withdrawn"},
}
_ROUTES = [
    route
    for route in routes()
    if {"ns", "name"} <= set(route.names) and not route.pattern.startswith(("/datasets/", "/spaces/"))
]
_REFUSALS = frozenset({"RepoNotFound", "GatedRepo", "NotAllowed", "NotSignedIn"})
# What takes a part in the repository, whatever a policy says: nobody outside its organization may ever do it.
_OWN = frozenset({Action.WRITE, Action.REVIEW, Action.MANAGE, Action.PROMOTE, Action.PROPOSE, Action.HOLD})
# What a person outside may ask for with a method that changes something, where the repository lets them; said here by
# hand, so that a route that states too little shows.
_FOR_ANYBODY = frozenset({"paths_info", "lfs_batch", "no_locks", "upload_pack", "send_report"})
_FOR_STRANGERS = _FOR_ANYBODY | {
    "like", "unlike", "follow", "follow_discussion", "duplicate",
    "ask", "ask_by_form", "give_up", "take_back", "text_to_image", "order",
    "collect", "copy_files", "appeal", "correct", "close_out", "confirm",
    "discuss", "contest", "steer_run",
    "open_discussion", "add_comment", "edit_comment", "hide_comment", "rename_discussion", "change_status",
    "make_discussion", "make_comment", "change_comment", "put_comment_away", "change_title", "close_or_open"
}  # fmt: skip
_OUTSIDE = frozenset({"none", "stranger", "requester", "accepted", "revoked", "browser"})


@pytest.fixture(scope="module")
def worlds(hub: Hub) -> dict[tuple[str, str], World]:
    content = hub.write(lambda session: world.prepare(session, hub.gatekeeper))
    base: dict[str, Any] = {"side": "", "is_newer_draft": False, "credential": "browser", "terms": "none"}
    made = {}
    for place, where in _PLACES.items():
        for caller, who in _CALLERS.items():
            case = Case(**{**base, "standing": "none", **where, **who})
            made[place, caller] = hub.write(
                lambda session, case=case: world.make(session, hub.gatekeeper, case, content)  # type: ignore[misc]
            )
    return made


def test_every_route_refuses_whom_the_decision_refuses(
    hub: Hub, worlds: dict[tuple[str, str], World], kept: Kept
) -> None:
    truths = {key: hub.read(lambda session, made=made: truth_of(hub, session, made)) for key, made in worlds.items()}  # type: ignore[misc]
    lines, wrong = [], []
    for route in _ROUTES:
        for method in sorted(route.methods):
            for place in _places_for(route):
                told = {}
                for caller in _CALLERS:
                    truth = truths[place, caller]
                    assert truth is not None
                    kept.count = 0
                    made = worlds[place, caller]
                    answer = ask(hub, route, method, made.credential, namespace=made.namespace, name=made.name)
                    told[caller] = _cell(answer)
                    wrong += _faults(route, caller, truth, answer, kept.count, f"{method} {route.pattern} {place}")
                lines.append(_line(f"{method} {route.pattern}", route.needs, place, told))
    table = "\n".join([_line("route", "needs", "repository", {caller: caller for caller in _CALLERS}), *lines])
    print(table)
    _keep(table)
    assert not wrong, "\n".join(wrong)
    assert len(lines) >= _SOME * len(_ROUTES)


def test_every_address_of_data_sets_and_spaces_is_a_models_with_the_same_decision() -> None:
    twins = {(route.pattern, route.methods): route for route in _ROUTES}
    others = [route for route in routes() if {"ns", "name"} <= set(route.names) and route not in _ROUTES]
    for route in others:
        twin = twins.get((re.sub(r"^/(datasets|spaces)", "", route.pattern), route.methods))
        assert twin is not None, route.pattern
        told = [(each.name, each.needs, each.is_dangerous) for each in (route, twin)]
        assert told[0] == told[1], route.pattern
    assert others


def _faults(route: RawRoute, caller: str, truth: Truth, answer: httpx2.Response, kept: int, where: str) -> list[str]:
    """What is wrong with one cell, in words."""
    told, is_refused = f"{where}, {caller}: {_cell(answer)}", _is_refused(answer)
    faults = []
    if answer.status_code == 500:
        faults.append(f"{told}: an error of the server: {answer.text[:200]}")
    if is_refused and kept:
        faults.append(f"{told}: refused, and yet {kept} transactions had something to keep")
    if route.needs:
        action = Action(route.needs)
        commit = truth.main if "rev" in route.names and action is not Action.WRITE else None
        expected = truth.at(commit)[action]
        if isinstance(expected, Denied) and not is_refused:
            faults.append(f"{told}: {action} is denied ({expected.code})")
        if action in _OWN and caller in _OUTSIDE and not is_refused:
            faults.append(f"{told}: {action} by somebody outside the organization")
    may_change = _FOR_ANYBODY if caller == "none" else _FOR_STRANGERS
    if caller in _OUTSIDE and not is_refused and "GET" not in route.methods and route.name not in may_change:
        faults.append(f"{told}: {route.name} is not for {caller}")
    if not truth.at(None)[Action.KNOW] and answer.headers.get("x-error-code") not in ("RepoNotFound", "NotSignedIn"):
        faults.append(f"{told}: tells that a hidden repository exists")
    return faults


def _is_refused(answer: httpx2.Response) -> bool:
    code = answer.headers.get("x-error-code")
    return answer.status_code in (401, 403) or code in _REFUSALS or code == "RevisionNotFound"


def _cell(answer: httpx2.Response) -> str:
    code = answer.headers.get("x-error-code", "")
    return f"{answer.status_code} {code}" if _is_refused(answer) else str(answer.status_code)


def _places_for(route: RawRoute) -> list[str]:
    """All kinds of repository, or some: other ones for each route, so that together all routes cover all of them."""
    places = list(_PLACES)
    if WHOLE:
        return places
    first = zlib.crc32(f"{route.pattern} {sorted(route.methods)}".encode())
    return [places[(first + step * 5) % len(places)] for step in range(_SOME)]


def _line(route: str, needs: str, place: str, cells: dict[str, str]) -> str:
    return f"{route:<64} {needs or '-':<15} {place:<17} " + " ".join(f"{cell:<18}" for cell in cells.values())


def _keep(table: str) -> None:
    target = Path(__file__).parents[2] / ".out" / "authorization.txt"
    target.parent.mkdir(exist_ok=True)
    target.write_text(table + "\n", encoding="utf-8")
