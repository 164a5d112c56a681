"""Every denial code: a case in which it is told, and words a person can act on."""

from dataclasses import replace

import pytest

from gatekeeper.access.tables import RequestState
from gatekeeper.accounts.principal import Principal, Reach
from gatekeeper.accounts.tables import Role
from gatekeeper.authz import Action, Code, Denied, Grant, Hub, Policies, decide
from gatekeeper.authz.policies import Answer
from gatekeeper.authz.reasons import why_not
from gatekeeper.authz.resource import Context, Demand, Question, Target, Text
from gatekeeper.authz.sentences import ACTS, SENTENCES
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate, RepoKind
from tests.gatekeeper.authz.builders import ACCEPTED, ADA, ANONYMOUS, GRANT, NOW, TERMS, limited, repo, staged, token

_ENDED = Grant("g", ends_at=NOW)
_PATH = "/acme/demo/access"
CLOSED = replace(token(ADA, "read", "write"), closed=frozenset({"acme"}))
SERVICE = replace(token(ADA, "review"), is_service=True)
_BOTH = {"grants": (GRANT,), "accepted": ACCEPTED}

# code, who, action, what, and a part of the next step
CASES: list[tuple[Code, Principal, Action, Target, str]] = [
    (Code.SIGN_IN_REQUIRED, ANONYMOUS, Action.DISCUSS_WRITE, repo(ANONYMOUS), "Sign in"),
    (Code.SIGN_IN_REQUIRED, ANONYMOUS, Action.LIST_FILES, staged(ANONYMOUS, Stage.OPEN, is_held=True), "Sign in"),
    (Code.SIGN_IN_REQUIRED, ANONYMOUS, Action.DOWNLOAD, staged(ANONYMOUS, Stage.GATED), "then ask for access at /acme"),
    (Code.SIGN_IN_REQUIRED, ANONYMOUS, Action.GENERATE, staged(ANONYMOUS, Stage.OPEN), "then read and accept"),
    (Code.SIGN_IN_REQUIRED, ANONYMOUS, Action.USE_ACCOUNT, Hub(None), "Sign in"),
    (Code.ACCOUNT_DISABLED, ADA, Action.KNOW, repo(ADA, is_disabled=True), "administrator"),
    (Code.TOKEN_SCOPE_MISSING, token(ADA, "read"), Action.DOWNLOAD, repo(ADA), "scope download"),
    (Code.TOKEN_SCOPE_MISSING, token(ADA, "read"), Action.CREATE_REPO, Hub("ada", role=Role.ADMIN), "scope write"),
    (Code.TOKEN_REACH_MISSING, limited(ADA, Reach(), "download"), Action.DOWNLOAD, repo(ADA), "acme/demo"),
    (Code.TOKEN_REACH_MISSING, limited(ADA, Reach(), "write"), Action.CREATE_REPO, Hub("ada"), "token"),
    (Code.TOKEN_NOT_APPROVED, CLOSED, Action.WRITE, repo(CLOSED, role=Role.ADMIN), "administrator"),
    (Code.PERSON_REQUIRED, SERVICE, Action.REVIEW, repo(SERVICE, role=Role.WRITE), "member"),
    (Code.SESSION_REQUIRED, token(ADA, "write"), Action.MANAGE_ACCOUNT, Hub("ada"), "browser"),
    (Code.WITHDRAWN, ADA, Action.DOWNLOAD, staged(ADA, Stage.OPEN, is_withdrawn=True, is_held=True), "/acme/demo"),
    (Code.HELD, ADA, Action.GENERATE, staged(ADA, Stage.OPEN, is_held=True), "/acme/demo"),
    (Code.TERMS_NOT_ACCEPTED, ADA, Action.GENERATE, staged(ADA, Stage.GATED), _PATH),
    (Code.TERMS_NOT_ACCEPTED, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, grants=(GRANT,)), _PATH),
    (Code.TERMS_CHANGED, ADA, Action.GENERATE, staged(ADA, Stage.GATED, accepted=(frozenset({"old"}),)), _PATH),
    (Code.TERMS_WITHDRAWN, ADA, Action.GENERATE, staged(ADA, Stage.GATED, has_withdrawn=True), _PATH),
    (Code.TERMS_MISSING, ADA, Action.GENERATE, staged(ADA, Stage.GATED, texts=()), "LICENSE"),
    (Code.ACCESS_NOT_REQUESTED, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED), _PATH),
    (Code.ACCESS_NOT_REQUESTED, ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.AUTO, request=RequestState.WITHDRAWN), _PATH),
    (Code.ACCESS_NOT_REQUESTED, ADA, Action.DERIVE, staged(ADA, Stage.GATED), _PATH),
    (Code.REQUEST_PENDING, ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.MANUAL, request=RequestState.IN_REVIEW), _PATH),
    (Code.REQUEST_PENDING, ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.MANUAL, request=RequestState.REFERRED), _PATH),
    (Code.REQUEST_RETURNED, ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.MANUAL, request=RequestState.RETURNED), _PATH),
    (
        Code.APPROVAL_INCOMPLETE,
        ADA,
        Action.DOWNLOAD,
        repo(ADA, gate=Gate.MANUAL, request=RequestState.AWAITING_TERMS, was_revoked=True),
        _PATH,
    ),
    (
        Code.ACCESS_SUSPENDED,
        ADA,
        Action.DOWNLOAD,
        repo(ADA, gate=Gate.MANUAL, request=RequestState.SUSPENDED, grants=(Grant("g", is_suspended=True),)),
        _PATH,
    ),
    (
        Code.PREREQUISITE_MISSING,
        ADA,
        Action.DOWNLOAD,
        staged(ADA, Stage.GATED, demands=(Demand("training"),), **_BOTH),
        "Which one",
    ),
    (Code.REQUEST_REJECTED, ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.MANUAL, request=RequestState.REJECTED), _PATH),
    (Code.ACCESS_REVOKED, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, was_revoked=True), _PATH),
    (Code.ACCESS_EXPIRED, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, grants=(_ENDED,)), _PATH),
    (Code.ACCESS_EXPIRED, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, request=RequestState.EXPIRED), _PATH),
    (Code.INSTITUTION_NEEDED, ADA, Action.DOWNLOAD, staged(ADA, Stage.RESEARCH_PREVIEW, **_BOTH), _PATH),
    (Code.PURPOSE_NEEDED, ADA, Action.GENERATE_ADJUSTED, staged(ADA, Stage.GATED, **_BOTH), _PATH),
    (Code.TESTERS_ONLY, ADA, Action.DOWNLOAD, staged(ADA, Stage.TRUSTED_TEST, grants=(GRANT,)), "name you"),
    (Code.MEMBERS_ONLY, ADA, Action.READ_SMALL, staged(ADA, Stage.INTERNAL), "add you"),
    (Code.OWNERS_ONLY, ADA, Action.WRITE, repo(ADA), "maintainers"),
    (Code.MAINTAINERS_ONLY, ADA, Action.PROMOTE, staged(ADA, Stage.GATED, role=Role.WRITE), "maintainers"),
    (Code.ADMINS_ONLY, ADA, Action.ADMIN_PEOPLE, Hub("ada"), "administrator"),
    (Code.LICENSE_FORBIDS, ADA, Action.REDISTRIBUTE, staged(ADA, Stage.OPEN, texts=(Text("x"),)), "Link to"),
    (Code.NOT_AT_THIS_STAGE, ADA, Action.SEE_INTERMEDIATE, staged(ADA, Stage.GATED), "/acme/demo"),
    (Code.NOT_AT_THIS_STAGE, ADA, Action.REDISTRIBUTE, staged(ADA, Stage.INTERNAL, role=Role.ADMIN), "/acme/demo"),
    (Code.EMBARGOED, ADA, Action.DOWNLOAD, staged(ADA, Stage.GATED, embargoed_until=NOW.replace(year=2030)), _PATH),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "principal", "action", "resource", "next_step"),
    CASES,
    ids=[f"{code}-{action}-{number}" for number, (code, _, action, *_rest) in enumerate(CASES)],
)
def test_denial_names_the_case_and_the_next_step(
    policies: Policies, code: Code, principal: Principal, action: Action, resource: Target, next_step: str
) -> None:
    decision = decide(policies, principal, action, resource, NOW)
    assert isinstance(decision, Denied)
    assert decision.code is code
    assert next_step in decision.next_step
    for text in (decision.reason, decision.next_step):
        assert text.endswith(".")
        assert "{" not in text
        assert "None" not in text


def test_every_code_has_a_case_here() -> None:
    # A failing evaluation is shown in test_policies.py, with the policy that fails.
    assert {code for code, *_ in CASES} == set(Code) - {Code.POLICY_ERROR}


def test_every_code_and_every_action_has_words(policies: Policies) -> None:
    assert set(SENTENCES) == set(Code)
    assert set(ACTS) == set(Action)
    why = why_not(policies, Action.KNOW, repo(ADA), Question("Person", None, Context()), Answer(False, (), ("x",)))
    assert why.code is Code.POLICY_ERROR


def test_words_fit_into_a_header(policies: Policies) -> None:
    for _, principal, action, resource, _ in CASES:
        decision = decide(policies, principal, action, resource, NOW)
        assert isinstance(decision, Denied)
        text = f"{decision.reason} {decision.next_step}"
        assert text.isascii()
        assert len(text) < 400


def test_what_follows_signing_in_depends_on_the_stage(policies: Policies) -> None:
    said = {
        stage: decide(policies, ANONYMOUS, Action.DOWNLOAD, staged(ANONYMOUS, stage, texts=TERMS), NOW)
        for stage in (Stage.RESEARCH_PREVIEW, Stage.GATED, Stage.OPEN)
    }
    assert all(isinstance(decision, Denied) for decision in said.values())
    assert "ask" in said[Stage.RESEARCH_PREVIEW].next_step  # type: ignore[union-attr]
    assert "accept" in said[Stage.OPEN].next_step  # type: ignore[union-attr]


def test_dataset_pages_carry_their_kind(policies: Policies) -> None:
    resource = replace(repo(ADA, gate=Gate.MANUAL), kind=RepoKind.DATASET)
    decision = decide(policies, ADA, Action.DOWNLOAD, resource, NOW)
    assert isinstance(decision, Denied)
    assert "dataset acme/demo" in decision.reason
    assert "/datasets/acme/demo/access" in decision.next_step
