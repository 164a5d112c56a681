"""Laws that hold for every combination of facts, found out by generated cases."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.access.tables import RequestState
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal
from gatekeeper.accounts.tables import Role
from gatekeeper.authz import Action, Allowed, Denied, Grant, Policies, Resource, Revision, Standing, decide
from gatekeeper.authz.actions import GATED, REPOSITORY
from gatekeeper.authz.decide import ask
from gatekeeper.authz.resource import Text
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate, RepoKind
from tests.gatekeeper.authz.builders import NOW

_POLICIES = Policies.load()
_TEXTS = st.sampled_from([(), (Text("t"),), (Text("t"), Text("u", "mit")), (Text("u", "apache-2.0"),)])
_INSTANTS = st.sampled_from([None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)])
_SCOPES = st.one_of(
    st.none(), st.frozensets(st.sampled_from(["read", "download", "generate", "write", "review", "admin"]))
)
_CONTENT = (
    Action.SEE_SAMPLES,
    Action.READ_SMALL,
    Action.DOWNLOAD,
    Action.GENERATE,
    Action.GENERATE_ADJUSTED,
    Action.SEE_INTERMEDIATE,
)
_NEEDS = {
    Action.READ_CARD: {"read"},
    Action.SEE_SAMPLES: {"read"},
    Action.LIST_FILES: {"read"},
    Action.READ_SMALL: {"read", "download"},
    Action.DOWNLOAD: {"download"},
    Action.REDISTRIBUTE: {"download"},
    Action.DISCUSS_READ: {"read"},
    Action.GENERATE: {"generate"},
    Action.GENERATE_ADJUSTED: {"generate"},
    Action.SEE_INTERMEDIATE: {"generate"},
    Action.REVIEW: {"review", "write"},
}

revisions = st.builds(
    Revision,
    commit=st.just("c" * 40),
    stage=st.sampled_from(Stage),
    embargoed_until=_INSTANTS,
    is_held=st.booleans(),
    is_withdrawn=st.booleans(),
    is_deprecated=st.booleans(),
    texts=_TEXTS,
)
grants = st.builds(
    Grant,
    id=st.just("g"),
    ends_at=_INSTANTS,
    is_tester=st.booleans(),
    names_institution=st.booleans(),
    names_purpose=st.booleans(),
)
standings = st.builds(
    Standing,
    role=st.one_of(st.none(), st.sampled_from(Role)),
    is_disabled=st.sampled_from([False, False, False, True]),
    accepted=st.lists(st.frozensets(st.sampled_from(["t", "u", "old"])), max_size=2).map(tuple),
    grants=st.lists(grants, max_size=2).map(tuple),
    request=st.one_of(st.none(), st.sampled_from(RequestState)),
    was_revoked=st.booleans(),
)
people = st.builds(
    Principal,
    person_id=st.just("ada"),
    name=st.just("ada"),
    is_admin=st.booleans(),
    scopes=_SCOPES,
)
principals = st.one_of(people, st.just(ANONYMOUS), st.just(OPERATOR))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Principal, Resource]:
    principal = draw(principals)
    is_staged = draw(st.booleans())
    releases = tuple(draw(st.lists(revisions, min_size=1, max_size=3))) if is_staged else ()
    revision = draw(st.sampled_from([None, releases[0]])) if is_staged else replace(draw(revisions), stage=None)
    if not is_staged:  # side states belong to releases
        revision = replace(revision, embargoed_until=None, is_held=False, is_withdrawn=False, is_deprecated=False)
    return principal, Resource(
        repo_id="repo",
        name="acme/demo",
        kind=RepoKind.MODEL,
        person_id=principal.person_id,
        is_staged=is_staged,
        is_private=draw(st.booleans()),
        gate=draw(st.sampled_from(Gate)),
        revision=revision,
        releases=releases,
        standing=draw(standings) if principal.person_id else Standing(),
    )


cases = given(situation=situations(), action=st.sampled_from(REPOSITORY))
many = settings(max_examples=80, deadline=None)


def accepted(resource: Resource, revision: Revision) -> bool:
    texts = {text.sha256 for text in revision.texts}
    return any(texts <= given for given in resource.standing.accepted)


def in_force(resource: Resource) -> list[Grant]:
    return [grant for grant in resource.standing.grants if grant.ends_at is None or grant.ends_at > NOW]


@many
@given(situation=situations())
def test_outsiders_never_get_gated_weights_without_grant_and_terms(situation: tuple[Principal, Resource]) -> None:
    principal, resource = situation
    decision = decide(_POLICIES, principal, Action.DOWNLOAD, resource, NOW)
    if not isinstance(decision, Allowed) or resource.standing.role is not None:
        return
    revision = decision.revision
    assert revision is not None
    is_gated = revision.stage is not Stage.OPEN if resource.is_staged else resource.gate is not Gate.NONE
    if is_gated:
        assert principal.is_signed_in
        assert in_force(resource)
        if resource.is_staged or revision.texts:
            assert revision.texts
            assert accepted(resource, revision)
    assert not resource.is_private or resource.is_staged


@many
@given(situation=situations())
def test_nobody_generates_under_a_binding_license_without_accepting_it(situation: tuple[Principal, Resource]) -> None:
    principal, resource = situation
    decision = decide(_POLICIES, principal, Action.GENERATE, resource, NOW)
    if not isinstance(decision, Allowed):
        return
    assert principal.is_signed_in
    revision = decision.revision
    assert revision is not None
    is_own = resource.standing.role in (Role.ADMIN, Role.WRITE)
    is_internal = revision.stage is Stage.INTERNAL and resource.standing.role is not None
    if _POLICIES.catalogue.of(revision.texts).binds_use and not is_own and not is_internal:
        assert accepted(resource, revision)


@many
@cases
def test_held_and_withdrawn_content_is_for_nobody(situation: tuple[Principal, Resource], action: Action) -> None:
    principal, resource = situation
    decision = decide(_POLICIES, principal, action, resource, NOW)
    if action in _CONTENT and isinstance(decision, Allowed):
        assert decision.revision is not None
        assert not decision.revision.is_held
        assert not decision.revision.is_withdrawn


@many
@cases
def test_what_is_hidden_is_hidden_for_every_action(situation: tuple[Principal, Resource], action: Action) -> None:
    principal, resource = situation
    known = decide(_POLICIES, principal, Action.KNOW, resource, NOW)
    decision = decide(_POLICIES, principal, action, resource, NOW)
    if isinstance(known, Denied):
        assert isinstance(decision, Denied), "an act on something that may not be known"
        assert (decision.hides, decision.hides_revision) == (known.hides, known.hides_revision)
        assert known.hides is not known.hides_revision
    elif isinstance(decision, Denied):
        assert not decision.hides
        assert not decision.hides_revision


@many
@cases
def test_disabled_people_may_nothing(situation: tuple[Principal, Resource], action: Action) -> None:
    principal, resource = situation
    disabled = replace(resource, standing=replace(resource.standing, is_disabled=True))
    assert not decide(_POLICIES, principal, action, disabled, NOW)


@many
@cases
def test_a_token_never_may_more_than_its_scopes_nor_than_its_person(
    situation: tuple[Principal, Resource], action: Action
) -> None:
    principal, resource = situation
    if decide(_POLICIES, principal, action, resource, NOW) and principal.scopes is not None:
        needed = _NEEDS.get(action, set() if action is Action.KNOW else {"write"})
        assert principal.scopes
        assert not needed or principal.scopes & needed
        person = replace(principal, scopes=None)
        assert decide(_POLICIES, person, action, resource, NOW)


@many
@cases
def test_fewer_scopes_never_open_more(situation: tuple[Principal, Resource], action: Action) -> None:
    principal, resource = situation
    for scope in principal.scopes or ():
        assert principal.scopes is not None
        narrower = replace(principal, scopes=principal.scopes - {scope})
        if decide(_POLICIES, narrower, action, resource, NOW).__class__ is Allowed:
            assert decide(_POLICIES, principal, action, resource, NOW)


@many
@cases
def test_administration_without_the_admin_scope_changes_nothing(
    situation: tuple[Principal, Resource], action: Action
) -> None:
    principal, resource = situation
    if principal.scopes is not None and "admin" not in principal.scopes:
        plain = decide(_POLICIES, replace(principal, is_admin=False), action, resource, NOW)
        assert bool(plain) is bool(decide(_POLICIES, principal, action, resource, NOW))


@many
@cases
def test_the_answer_holds_until_the_instant_it_names(situation: tuple[Principal, Resource], action: Action) -> None:
    principal, resource = situation
    decision = decide(_POLICIES, principal, action, resource, NOW)
    last = (decision.valid_until or NOW + timedelta(days=9)) - timedelta(microseconds=1)
    later = decide(_POLICIES, principal, action, resource, last)
    assert bool(later) is bool(decision)
    assert later.revision == decision.revision


@many
@cases
def test_every_denial_says_why_and_what_next(situation: tuple[Principal, Resource], action: Action) -> None:
    principal, resource = situation
    decision = decide(_POLICIES, principal, action, resource, NOW)
    if isinstance(decision, Denied):
        assert decision.reason.strip()
        assert decision.next_step.strip()
        assert "{" not in decision.reason + decision.next_step
        assert decision.code.value != "policy_error"


@many
@given(situation=situations())
def test_memory_never_changes_an_answer(situation: tuple[Principal, Resource]) -> None:
    principal, resource = situation
    question = ask(_POLICIES, principal, resource, NOW)
    for action in (Action.DOWNLOAD, Action.KNOW):
        assert _POLICIES.evaluate(question, action) == _POLICIES.evaluate_afresh(question, action)
    assert Action.DOWNLOAD in GATED
