"""Every door answers as `decide` does, for any world, before and after anything changes.

AGREEMENT_EXAMPLES  how many worlds are made (25)
AGREEMENT_SEED      which ones (0); it is printed with a failure
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, event, example, given, note, seed, settings
from hypothesis import strategies as st

from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Code, Decision, Denied
from gatekeeper.authz.actions import GATED
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, xet
from tests.agreement import changes, world
from tests.agreement.hub import Hub
from tests.agreement.truth import Truth, truth_of
from tests.agreement.world import WEIGHTS, Case, World, cases

EXAMPLES = int(os.environ.get("AGREEMENT_EXAMPLES", "25"))
SEED = int(os.environ.get("AGREEMENT_SEED", "0"))

_FILES = {
    "README.md": Action.READ_CARD,
    "config.json": Action.READ_SMALL,
    "small.bin": Action.DOWNLOAD,
    "w.bin": Action.DOWNLOAD,
    "hidden/README.md": Action.DOWNLOAD,  # stored as LFS, so its name does not make it a card
}
# What is no matter of the gate, so a client is not told to ask for access.
_NO_GATE = (
    Code.TOKEN_SCOPE_MISSING,
    Code.TOKEN_REACH_MISSING,
    Code.TOKEN_NOT_APPROVED,
    Code.PERSON_REQUIRED,
    Code.ACCOUNT_DISABLED,
)
_PAGE: dict[str, Any] = {"headers": {"Accept": "text/html"}}
_CONTENT = {"oid": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)}
_DOWNLOAD = {"operation": "download", "transfers": ["basic"], "objects": [_CONTENT]}
_BATCH = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": "0" * 64, "size": 1}]}


@dataclass(frozen=True)
class Question:
    """A request, and the right to which commit (None: the repository) it takes. `content` is the whole answer."""

    action: Action
    method: str
    path: str
    commit: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None


@pytest.fixture(scope="module")
def content(hub: Hub) -> str:
    return hub.write(lambda session: world.prepare(session, hub.gatekeeper))


@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=False,
    phases=[
        Phase.explicit,
        Phase.generate,
    ],  # each example costs a second, and a world is small enough to read as it is
    suppress_health_check=list(HealthCheck),
)
@example(
    case=Case("public", "", False, "stranger", "download token", "none", "none"), then=[changes.end_the_credential]
)
@example(
    case=Case("gated", "held", False, "admin", "service token", "of no stage", "approved", ("draft",)),
    then=[changes.end_the_credential],
)
@given(case=cases, then=st.lists(st.sampled_from(changes.ALL), min_size=1, max_size=2))
def test_no_door_disagrees_with_the_decision(hub: Hub, content: str, case: Case, then: list[changes.Change]) -> None:
    note(f"AGREEMENT_SEED={SEED}")
    made = hub.write(lambda session: world.make(session, hub.gatekeeper, case, content))
    with ExitStack() as stack:
        _agree(hub, made)
        for change in then:
            note(f"then {change.__name__}")
            hub.write(lambda session, change=change: change(session, hub.gatekeeper, made))  # type: ignore[misc]
            if change is changes.an_hour_passes:
                stack.enter_context(time_machine.travel(now() + timedelta(hours=1, seconds=1)))
                hub.end_embargoes()
            _agree(hub, made)


def _agree(hub: Hub, made: World) -> None:
    truth = hub.read(lambda session: truth_of(hub, session, made))
    for question in _asked(made, truth):
        answer = hub.ask(question.method, question.path, made.credential, **question.options)
        told = f"{question}: {answer.status_code} {answer.headers.get('x-error-code')} {answer.text[:300]!r}"
        if truth is None:
            assert answer.status_code == 401, told
            assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header", told
            continue
        expected = truth.at(question.commit)[question.action]
        event(f"{question.action}: {bool(expected)}")
        if isinstance(expected, Denied):
            action = _refused_first(truth.at(question.commit), question)
            expected = truth.at(question.commit)[action]
            assert isinstance(expected, Denied)
            wanted = _refusal(expected, truth.principal, action, has_credential=bool(made.credential))
            assert (answer.status_code, answer.headers.get("x-error-code")) == wanted, f"{told}; {expected}"
        else:
            assert answer.status_code not in (401, 403, 404), f"{told}; {expected}"
            if question.content is not None:
                assert answer.content == question.content, told
    if truth is not None:
        _lists_agree(hub, made, truth)
        _told_rights_agree(hub, made, truth)
        _git_and_lfs_agree(hub, made, truth)
        _xet_agrees(hub, made, truth)


def _refused_first(rights: dict[Action, Decision], question: Question) -> Action:
    """Weights called README: before whoever may neither list nor have them is told what they are, the name counts."""
    by_name = Action.READ_CARD if "/hidden/README.md" in question.path else question.action
    return question.action if rights[by_name] or rights[Action.LIST_FILES] else by_name


def _refusal(denied: Denied, principal: Principal, action: Action, *, has_credential: bool) -> tuple[int, str]:
    """Status and code as the Hub's clients know them, from the decision alone."""
    if denied.hides:
        return (404 if has_credential else 401), "RepoNotFound"
    if denied.hides_revision:
        return 404, "RevisionNotFound"
    if action in GATED and denied.code not in _NO_GATE:
        return (403 if principal.is_signed_in else 401), "GatedRepo"
    if denied.code is Code.SIGN_IN_REQUIRED:
        return 401, "NotSignedIn"
    return (403 if has_credential else 401), "NotAllowed"


def _asked(made: World, truth: Truth | None) -> Iterator[Question]:
    """Every way to ask for something, with the right it takes."""
    name, api = made.full_name, f"/api/models/{made.full_name}"
    yield Question(Action.KNOW, "GET", api)
    yield Question(Action.KNOW, "GET", f"{api}/access")
    yield Question(Action.KNOW, "GET", f"/{name}", options=_PAGE)
    yield Question(Action.KNOW, "GET", f"/models/{name}/info")
    yield Question(Action.LIST_FILES, "GET", f"{api}/refs")
    yield Question(Action.DOWNLOAD, "GET", f"{api}/auth-check")
    yield Question(Action.WRITE, "GET", f"{api}/auth-check/write")
    yield Question(Action.UPLOAD, "GET", f"{api}/xet-write-token/main?create_pr=1")
    yield Question(Action.UPLOAD, "POST", f"/{name}.git/info/lfs/objects/batch", options={"json": _BATCH})
    yield Question(Action.GENERATE, "POST", f"/models/{name}", options={"json": {"inputs": "an apple"}})
    yield Question(Action.GENERATE, "POST", "/api/generations", options={"json": {"model": name, "prompt": "an apple"}})
    yield Question(Action.GENERATE, "POST", "/v1/images/generations", options={"json": {"model": name, "prompt": "x"}})
    for commit in made.commits:
        yield Question(Action.KNOW, "GET", f"{api}/revision/{commit}", commit)
        yield Question(Action.LIST_FILES, "GET", f"{api}/tree/{commit}", commit)
        yield Question(Action.READ_CARD, "GET", f"/{name}/resolve/{commit}/LICENSE", commit)
        yield Question(Action.DOWNLOAD, "GET", f"/{name}/resolve/{commit}/w.bin", commit, content=WEIGHTS)
        yield Question(Action.DOWNLOAD, "GET", f"{api}/xet-read-token/{commit}", commit)
    main = truth.main if truth else None
    yield Question(Action.LIST_FILES, "GET", f"/{name}/tree/main", main, options=_PAGE)
    for path, action in _FILES.items():
        address = f"/{name}/resolve/main/{path}"
        yield Question(action, "HEAD", address, main)
        yield Question(action, "GET", address, main)  # from the hot cache, where it was allowed
        yield Question(action, "GET", f"/{name}/blob/main/{path}", main, options=_PAGE)


def _lists_agree(hub: Hub, made: World, truth: Truth) -> None:
    may_know = bool(truth.at(None)[Action.KNOW])
    listed = hub.ask("GET", f"/api/models?author={made.namespace}", made.credential).json()
    assert [row["id"] for row in listed] == [made.full_name] * may_know
    page = hub.ask("GET", f"/models?search={made.name}", made.credential, **_PAGE)
    assert (f"/{made.full_name}" in page.text) is may_know
    info = hub.ask("GET", f"/api/models/{made.full_name}", made.credential).json()
    if may_know:
        rights = truth.at(None)
        assert bool(info["siblings"]) is bool(rights[Action.LIST_FILES]), info
        assert bool(info.get("cardData")) is bool(rights[Action.READ_CARD]), info
        assert info["sha"] == truth.main


def _told_rights_agree(hub: Hub, made: World, truth: Truth) -> None:
    if truth.at(None)[Action.KNOW]:
        told = hub.ask("GET", f"/api/models/{made.full_name}/access", made.credential).json()
        assert {name: right["allowed"] for name, right in told["capabilities"].items()} == {
            action.value: bool(decision) for action, decision in truth.at(None).items()
        }
        if truth.at(None)[Action.READ_CARD]:
            assert {text["sha256"] for text in told["terms"]} == truth.texts


def _git_and_lfs_agree(hub: Hub, made: World, truth: Truth) -> None:
    """They name no commit: git offers what main means, LFS what git offers, to writers what any commit holds.

    Where no branch can be had, as where the newest commit of the only one is on hold, both refuse.
    """
    offered = hub.ask("GET", f"/{made.full_name}.git/info/refs?service=git-upload-pack", made.credential)
    is_open = offered.status_code == 200
    is_offered = is_open and truth.main in offered.text
    assert is_offered is bool(truth.at(truth.main)[Action.DOWNLOAD]), offered.text[:300]
    address = f"/{made.full_name}.git/info/lfs/objects/batch"
    given = hub.ask("POST", address, made.credential, json=_DOWNLOAD)
    writes = bool(truth.at(None)[Action.WRITE])
    may = is_offered or (is_open and writes and any(truth.at(commit)[Action.DOWNLOAD] for commit in made.commits))
    assert ("actions" in given.text) is may, given.text[:300]


def _xet_agrees(hub: Hub, made: World, truth: Truth) -> None:
    """A token to read a revision by Xet, given when that was right, opens it exactly while it is right."""
    repo = hub.read(lambda session: catalogue.by_id(session, made.repo_id))
    for commit in made.commits if repo is not None else ():
        key, by = hub.gatekeeper.keys.links, truth.principal
        token, _ = xet.issue(key, repo, by=by, scope="read", instant=now(), commit=commit)
        address = f"/cas/e/{repo.xet_epoch}/{repo.id}/v2/reconstructions/{'0' * 64}"
        answer = hub.ask("GET", address, {"Authorization": f"Bearer {token}"})
        is_open = "There is no such file in this revision." in answer.text
        assert is_open is bool(truth.at(commit)[Action.DOWNLOAD]), f"{answer.status_code} {answer.text[:300]}"
