"""One decision: which release it is about, what it hides, until when it holds, and the error it becomes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gatekeeper import errors
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.accounts.tables import Role
from gatekeeper.authz import (
    Action,
    Allowed,
    Capabilities,
    Code,
    Denied,
    Grant,
    Hub,
    Policies,
    Revision,
    action_for_path,
    decide,
    require,
    require_global,
)
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate
from tests.gatekeeper.authz.builders import (
    ACCEPTED,
    ADA,
    ANONYMOUS,
    GRANT,
    NOW,
    SITE_ADMIN,
    TERMS,
    repo,
    staged,
    token,
)

SECOND = timedelta(seconds=1)


def test_private_repository_is_hidden_from_outsiders_whatever_they_ask(policies: Policies) -> None:
    for principal in (ANONYMOUS, ADA):
        for action, decision in Capabilities(policies, principal, repo(principal, is_private=True), NOW).items():
            assert isinstance(decision, Denied), action
            assert decision.hides, action


def test_a_grant_does_not_open_a_private_repository(policies: Policies) -> None:
    resource = repo(ADA, is_private=True, gate=Gate.MANUAL, grants=(GRANT,), accepted=ACCEPTED)
    assert decide(policies, ADA, Action.DOWNLOAD, resource, NOW).hides  # type: ignore[union-attr]


def test_owner_is_never_gated_from_what_is_theirs(policies: Policies) -> None:
    for role in (Role.ADMIN, Role.WRITE):
        for action in (Action.READ_SMALL, Action.DOWNLOAD, Action.GENERATE):
            assert decide(policies, ADA, action, repo(ADA, gate=Gate.MANUAL, role=role), NOW)
            assert decide(policies, ADA, action, staged(ADA, Stage.GATED, role=role), NOW)


def test_a_grant_ends_at_its_second(policies: Policies) -> None:
    resource = staged(ADA, Stage.GATED, accepted=ACCEPTED, grants=(Grant("g", ends_at=NOW),))
    before = decide(policies, ADA, Action.DOWNLOAD, resource, NOW - timedelta(microseconds=1))
    assert isinstance(before, Allowed)
    assert before.valid_until == NOW
    after = decide(policies, ADA, Action.DOWNLOAD, resource, NOW)
    assert isinstance(after, Denied)
    assert after.code is Code.ACCESS_EXPIRED
    assert after.valid_until is None


def test_an_embargo_is_told_with_its_instant_and_opens_nothing_by_the_clock(policies: Policies) -> None:
    resource = staged(ADA, Stage.OPEN, embargoed_until=NOW, accepted=ACCEPTED)
    for instant in (NOW - SECOND, NOW, NOW + SECOND):
        decision = decide(policies, ADA, Action.DOWNLOAD, resource, instant)
        assert isinstance(decision, Denied)
        assert decision.code is Code.EMBARGOED
        assert "2026-06-01T12:00:00.000Z" in decision.reason
        assert decision.valid_until is None
    assert decide(policies, ADA, Action.DOWNLOAD, staged(ADA, Stage.OPEN, accepted=ACCEPTED), NOW)


def test_valid_until_is_the_earliest_end_that_lies_ahead(policies: Policies) -> None:
    grants = (Grant("a", ends_at=NOW + 9 * SECOND), Grant("b", ends_at=NOW + 5 * SECOND), Grant("c", ends_at=NOW))
    resource = staged(ADA, Stage.GATED, grants=grants, accepted=ACCEPTED, embargoed_until=NOW - SECOND)
    assert decide(policies, ADA, Action.DOWNLOAD, resource, NOW).valid_until == NOW + 5 * SECOND
    assert decide(policies, ADA, Action.HOLD, resource, NOW).valid_until == NOW + 5 * SECOND
    assert decide(policies, ANONYMOUS, Action.KNOW, repo(ANONYMOUS), NOW).valid_until is None


def test_terms_must_be_accepted_in_full_and_in_their_present_form(policies: Policies) -> None:
    old, half = frozenset({"o" * 64}), frozenset({"t" * 64})
    both = (*TERMS, TERMS[0]._replace(sha256="u" * 64))
    for accepted, texts, is_allowed in [
        ((), TERMS, False),
        ((old,), TERMS, False),
        ((half,), TERMS, True),
        ((half | {"u" * 64},), TERMS, True),
        ((half,), both, False),
        ((half, frozenset({"u" * 64})), both, False),  # two halves are no acceptance of the whole
        ((half | {"u" * 64},), both, True),
    ]:
        resource = staged(ADA, Stage.GATED, texts=texts, accepted=accepted, grants=(GRANT,))
        assert bool(decide(policies, ADA, Action.DOWNLOAD, resource, NOW)) is is_allowed, (accepted, texts)


def test_without_a_commit_the_best_release_they_may_know_is_meant(policies: Policies) -> None:
    releases = tuple(
        Revision(name * 40, stage=stage, release_id=name, **facts)
        for name, stage, facts in [
            ("1", Stage.OPEN, {"is_withdrawn": True}),
            ("2", Stage.OPEN, {"is_held": True}),
            ("3", Stage.GATED, {"embargoed_until": NOW + SECOND}),
            ("4", Stage.GATED, {}),
            ("5", Stage.INTERNAL, {}),
            ("6", Stage.DRAFT, {}),
        ]
    )

    def meant(principal: Principal, releases: tuple[Revision, ...], **facts: object) -> str | None:
        resource = replace(staged(principal, Stage.OPEN, **facts), releases=releases)
        found = decide(policies, principal, Action.KNOW, resource, NOW).revision
        return found.release_id if found else None

    assert meant(ANONYMOUS, releases) == "4"
    assert meant(ANONYMOUS, releases[:3]) == "3"
    assert meant(ANONYMOUS, releases[:2]) == "2"
    assert meant(ANONYMOUS, releases[:1]) == "1"
    assert meant(ADA, releases[4:], role=Role.READ) == "5"
    assert meant(ADA, releases[5:], role=Role.WRITE) == "6"


def test_a_staged_repository_without_releases_is_a_draft(policies: Policies) -> None:
    nothing = replace(staged(ADA, Stage.OPEN), releases=())
    assert decide(policies, ADA, Action.KNOW, nothing, NOW).hides  # type: ignore[union-attr]
    owner = replace(staged(ADA, Stage.OPEN, role=Role.WRITE), releases=())
    assert decide(policies, ADA, Action.WRITE, owner, NOW)
    assert decide(policies, ADA, Action.KNOW, owner, NOW)


def test_a_hidden_revision_of_a_known_repository_is_a_missing_revision(policies: Policies) -> None:
    draft = Revision("d" * 40, stage=Stage.DRAFT)
    resource = replace(staged(ADA, Stage.GATED, commit="d" * 40), revision=draft)
    decision = decide(policies, ADA, Action.READ_CARD, resource, NOW)
    assert isinstance(decision, Denied)
    assert not decision.hides
    assert decision.hides_revision
    with pytest.raises(errors.RevisionNotFound):
        require(policies, ADA, Action.READ_CARD, resource, NOW)


def test_hold_binds_owners_and_administrators_too(policies: Policies) -> None:
    for principal, facts in [(ADA, {"role": Role.ADMIN}), (SITE_ADMIN, {}), (ADA, {"grants": (GRANT,)})]:
        resource = staged(principal, Stage.GATED, is_held=True, accepted=ACCEPTED, **facts)
        for action in (Action.READ_SMALL, Action.DOWNLOAD, Action.GENERATE, Action.GENERATE_ADJUSTED, Action.PROMOTE):
            decision = decide(policies, principal, action, resource, NOW)
            assert isinstance(decision, Denied)
            assert decision.code is Code.HELD
        assert decide(policies, principal, Action.READ_CARD, resource, NOW)


def test_site_admin_sees_and_holds_but_does_not_take_files(policies: Policies) -> None:
    hidden = repo(SITE_ADMIN, is_private=True)
    for action in (Action.KNOW, Action.READ_CARD, Action.LIST_FILES, Action.MANAGE, Action.HOLD, Action.REVIEW):
        assert decide(policies, SITE_ADMIN, action, hidden, NOW)
    for action in (Action.DOWNLOAD, Action.READ_SMALL, Action.GENERATE, Action.WRITE, Action.SEE_INTERMEDIATE):
        assert not decide(policies, SITE_ADMIN, action, hidden, NOW)


def test_an_administrators_token_without_the_admin_scope_is_an_ordinary_one(policies: Policies) -> None:
    ordinary = token(SITE_ADMIN, "read", "download", "generate", "write", "review")
    assert decide(policies, ordinary, Action.KNOW, repo(ordinary, is_private=True), NOW).hides  # type: ignore[union-attr]
    assert not decide(policies, ordinary, Action.HOLD, staged(ordinary, Stage.OPEN), NOW)
    with pytest.raises(errors.NotAllowed, match="admin scope"):
        require_global(policies, ordinary, Action.ADMIN_PEOPLE, NOW)
    full = token(SITE_ADMIN, "write", "admin")
    assert decide(policies, full, Action.HOLD, staged(full, Stage.OPEN), NOW)
    assert require_global(policies, full, Action.ADMIN_PEOPLE, NOW)


def test_operator_governs_and_accepts_nothing(policies: Policies) -> None:
    assert decide(policies, OPERATOR, Action.MANAGE, repo(OPERATOR, is_private=True), NOW)
    assert require_global(policies, OPERATOR, Action.ADMIN_LEDGER, NOW)
    assert not decide(policies, OPERATOR, Action.ACCEPT_TERMS, repo(OPERATOR), NOW)
    assert not decide(policies, OPERATOR, Action.GENERATE, repo(OPERATOR), NOW)


def test_a_disabled_person_may_nothing(policies: Policies) -> None:
    for role in (None, Role.ADMIN):
        resource = repo(ADA, role=role, is_disabled=True)
        for action, decision in Capabilities(policies, ADA, resource, NOW).items():
            assert isinstance(decision, Denied), action
            assert decision.code is Code.ACCOUNT_DISABLED
    hub = Hub("ada", role=Role.ADMIN, is_disabled=True)
    assert not decide(policies, ADA, Action.CREATE_REPO, hub, NOW)


def test_facts_of_another_person_are_refused(policies: Policies) -> None:
    with pytest.raises(ValueError, match="another person"):
        decide(policies, ADA, Action.KNOW, repo(ANONYMOUS), NOW)
    with pytest.raises(ValueError, match="another person"):
        decide(policies, ANONYMOUS, Action.KNOW, repo(ADA, role=Role.ADMIN), NOW)


def test_an_action_is_asked_of_what_it_concerns(policies: Policies) -> None:
    with pytest.raises(ValueError, match="does not concern"):
        decide(policies, ADA, Action.KNOW, Hub("ada"), NOW)
    with pytest.raises(ValueError, match="does not concern"):
        decide(policies, ADA, Action.CREATE_REPO, repo(ADA), NOW)


@pytest.mark.parametrize(
    ("principal", "action", "resource", "error", "status"),
    [
        (ANONYMOUS, Action.DOWNLOAD, repo(ANONYMOUS, is_private=True), errors.RepoNotFound, 404),
        (ANONYMOUS, Action.DOWNLOAD, repo(ANONYMOUS, gate=Gate.AUTO), errors.Gated, 401),
        (ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.AUTO), errors.Gated, 403),
        (ADA, Action.GENERATE, staged(ADA, Stage.GATED), errors.Gated, 403),
        (ADA, Action.READ_SMALL, staged(ADA, Stage.OPEN, is_held=True), errors.Gated, 403),
        (ADA, Action.WRITE, repo(ADA), errors.NotAllowed, 403),
        (ANONYMOUS, Action.WRITE, repo(ANONYMOUS), errors.NotSignedIn, 401),
        (token(ADA, "read"), Action.DOWNLOAD, repo(ADA), errors.NotAllowed, 403),
        (token(ADA, "read"), Action.WRITE, repo(ADA, role=Role.ADMIN), errors.NotAllowed, 403),
    ],
)
def test_denials_become_the_errors_clients_know(policies: Policies, principal, action, resource, error, status) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(errors.GatekeeperError) as caught:
        require(policies, principal, action, resource, NOW)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.next_step


def test_gated_refusal_keeps_the_public_hubs_sentence_and_says_where_to_ask(policies: Policies) -> None:
    with pytest.raises(errors.Gated) as caught:
        require(policies, ADA, Action.DOWNLOAD, repo(ADA, gate=Gate.MANUAL), NOW)
    said = caught.value.sentence
    assert said.startswith("Access to model acme/demo is restricted and you are not in the authorized list.")
    assert "/acme/demo/access" in said
    assert caught.value.code == "GatedRepo"
    assert caught.value.details == {"denial": "access_not_requested"}


def test_hidden_repository_is_answered_without_any_detail(policies: Policies) -> None:
    with pytest.raises(errors.RepoNotFound) as caught:
        require(policies, ADA, Action.DOWNLOAD, repo(ADA, is_private=True), NOW)
    assert caught.value.rules == ()
    assert caught.value.details == {}
    assert "acme" not in caught.value.sentence


@pytest.mark.parametrize(
    ("path", "is_lfs", "action"),
    [
        ("README.md", False, Action.READ_CARD),
        ("LICENSE", False, Action.READ_CARD),
        ("LICENSE.md", False, Action.READ_CARD),
        ("docs/NOTICE.txt", False, Action.READ_CARD),
        (".gitattributes", False, Action.READ_CARD),
        ("config.json", False, Action.READ_SMALL),
        ("tokenizer/vocab.json", False, Action.READ_SMALL),
        ("license_data.json", False, Action.READ_SMALL),
        ("README.md.exe", False, Action.READ_SMALL),
        ("unet/model.safetensors", False, Action.DOWNLOAD),
        ("MODEL.CKPT", False, Action.DOWNLOAD),
        ("README.md", True, Action.DOWNLOAD),
        ("LICENSE", True, Action.DOWNLOAD),
        ("license.safetensors", False, Action.DOWNLOAD),
        ("", False, Action.READ_SMALL),
    ],
)
def test_right_that_a_file_needs(path: str, is_lfs: bool, action: Action) -> None:
    assert action_for_path(path, is_lfs=is_lfs) is action
