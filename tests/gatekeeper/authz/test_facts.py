"""From rows to facts to answers: the whole way, through the rooms' own verbs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, licensing
from gatekeeper.accounts import organizations, people, principals
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.accounts.tables import Person, Role
from gatekeeper.authz import Action, Code, Denied, Policies, decide, load, load_many, load_namespace
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import Gate, Repo, RepoKind, catalogue
from tests.gatekeeper.licensing.builders import ANSWERS, LICENSE, accept_terms, commit_files, make_person, make_repo

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session, "ada")


async def answer(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    action: Action,
    repo: Repo,
    commit: str | None = None,
) -> str:
    """`yes`, `hidden`, or the denial's code."""
    await session.flush()
    resource = await load(session, principal, repo, commit=commit)
    decision = decide(policies, principal, action, resource, now())
    if not isinstance(decision, Denied):
        return "yes"
    return "hidden" if decision.hides else decision.code.value


async def release(session: AsyncSession, repo: Repo, commit: str, stage: Stage) -> Release:
    terms = await licensing.terms_for(session, repo, commit)
    row = Release(
        repo_id=repo.id,
        commit_id=commit,
        manifest_sha256="m" * 64,
        bundle_sha256=terms.sha256 if terms else None,
        stage=stage,
    )
    session.add(row)
    await session.flush()
    return row


async def take_terms(session: AsyncSession, principal: Principal, repo: Repo, commit: str) -> None:
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    await accept_terms(session, principal, repo, terms, KEY)


async def test_the_story_of_a_gated_repository(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner)
    terms = await licensing.terms_for(session, repo, commit)

    async def download(principal: Principal = ada) -> str:
        return await answer(session, policies, principal, Action.DOWNLOAD, repo)

    assert await download(ANONYMOUS) == Code.SIGN_IN_REQUIRED
    assert await download(owner) == "yes"
    assert await download() == Code.ACCESS_NOT_REQUESTED
    assert await answer(session, policies, ada, Action.READ_CARD, repo) == "yes"
    await take_terms(session, ada, repo, commit)
    request = await access.submit(session, ada, repo, fields=ANSWERS, bundle=terms)
    assert await download() == Code.REQUEST_PENDING
    grant = await access.approve(session, request, by=owner)
    assert await download() == "yes"
    assert await answer(session, policies, ada, Action.GENERATE, repo) == "yes"
    await access.revoke(session, grant, by=owner, reason="It was misused.")
    assert await download() == Code.ACCESS_REVOKED


async def test_new_terms_must_be_accepted_anew_and_the_old_commit_stays_open(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner)
    await access.grant_directly(session, repo, await get_person(session, ada), by=owner)
    await take_terms(session, ada, repo, commit)
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == "yes"
    newer = await commit_files(session, repo, {"LICENSE": LICENSE + b"More is forbidden.\n"}, by=owner)
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == Code.TERMS_CHANGED
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo, newer) == Code.TERMS_CHANGED
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo, commit) == "yes"


async def test_a_withdrawn_acceptance_counts_no_more(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner, gate=Gate.NONE)
    assert await answer(session, policies, ada, Action.GENERATE, repo) == Code.TERMS_NOT_ACCEPTED
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    acceptance = await accept_terms(session, ada, repo, terms, KEY)
    assert await answer(session, policies, ada, Action.GENERATE, repo) == "yes"
    await licensing.withdraw_acceptance(session, ada, acceptance)
    assert await answer(session, policies, ada, Action.GENERATE, repo) == Code.TERMS_WITHDRAWN
    await accept_terms(session, ada, repo, terms, KEY)
    assert await answer(session, policies, ada, Action.GENERATE, repo) == "yes"


async def test_acceptance_at_one_repository_says_nothing_about_another(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    first, commit = await make_repo(session, owner, gate=Gate.NONE)
    second, _ = await make_repo(session, owner, gate=Gate.NONE)
    await take_terms(session, ada, first, commit)
    assert await answer(session, policies, ada, Action.GENERATE, first) == "yes"
    assert await answer(session, policies, ada, Action.GENERATE, second) == Code.TERMS_NOT_ACCEPTED


async def test_each_revision_is_judged_by_its_own_stage(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, first = await make_repo(session, owner, is_staged=True)
    second = await commit_files(session, repo, {"a.txt": b"2"}, by=owner)
    third = await commit_files(session, repo, {"a.txt": b"3"}, by=owner)
    assert await answer(session, policies, ada, Action.KNOW, repo) == "hidden"
    await release(session, repo, first, Stage.GATED)
    await release(session, repo, second, Stage.INTERNAL)
    assert await answer(session, policies, ada, Action.KNOW, repo) == "yes"
    assert await answer(session, policies, ada, Action.KNOW, repo, first) == "yes"
    for hidden in (second, third):
        resource = await load(session, ada, repo, commit=hidden)
        decision = decide(policies, ada, Action.READ_CARD, resource, now())
        assert isinstance(decision, Denied)
        assert decision.hides_revision
        assert await answer(session, policies, owner, Action.READ_CARD, repo, hidden) == "yes"


async def test_hold_binds_at_once_and_resuming_opens_again(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner, is_staged=True)
    row = await release(session, repo, commit, Stage.GATED)
    await take_terms(session, ada, repo, commit)
    assert await answer(session, policies, ada, Action.GENERATE, repo) == "yes"
    row.held_at = now()
    assert await answer(session, policies, ada, Action.GENERATE, repo) == Code.HELD
    assert await answer(session, policies, owner, Action.DOWNLOAD, repo) == Code.HELD
    row.held_at = None
    assert await answer(session, policies, ada, Action.GENERATE, repo) == "yes"


async def test_answers_about_institution_and_purpose_come_from_the_approved_request(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner, is_staged=True)
    await release(session, repo, commit, Stage.RESEARCH_PREVIEW)
    await take_terms(session, ada, repo, commit)
    terms = await licensing.terms_for(session, repo, commit)
    request = await access.submit(session, ada, repo, fields=ANSWERS | {"Institution": "none"}, bundle=terms)
    grant = await access.approve(session, request, by=owner)
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == Code.INSTITUTION_NEEDED
    await access.revoke(session, grant, by=owner, reason="Please name your institution.")
    await session.flush()
    request.fields = (await key_of(session, ada.person_id or "")).facts(ANSWERS)
    grant.revoked_at = None
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == "yes"


async def test_testers_are_named_by_their_grant(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner, is_staged=True)
    await release(session, repo, commit, Stage.TRUSTED_TEST)
    grant = await access.grant_directly(session, repo, await get_person(session, ada), by=owner)
    await session.flush()
    assert await answer(session, policies, ada, Action.KNOW, repo) == "hidden"
    grant.is_tester = True
    assert await answer(session, policies, ada, Action.KNOW, repo) == "yes"
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == Code.TERMS_NOT_ACCEPTED


async def test_members_have_the_roles_of_their_organization(session: AsyncSession, policies: Policies) -> None:
    founder = await make_person(session, "founder")
    organization = await organizations.create(session, "acme", by=founder)
    founder = await again(session, founder)
    reader = await make_person(session, "reader")
    await organizations.add_member(session, organization, await get_person(session, reader), Role.READ, by=founder)
    await session.flush()
    reader = await again(session, reader)
    repo = await catalogue.create(session, RepoKind.MODEL, "acme", "secret", by=founder, private=True)
    assert await answer(session, policies, reader, Action.DOWNLOAD, repo) == "yes"
    assert await answer(session, policies, reader, Action.WRITE, repo) == Code.OWNERS_ONLY
    assert await answer(session, policies, founder, Action.MANAGE, repo) == "yes"
    assert await answer(session, policies, ANONYMOUS, Action.DOWNLOAD, repo) == "hidden"
    for principal, is_allowed in ((founder, True), (reader, False), (ANONYMOUS, False)):
        hub = await load_namespace(session, principal, "acme")
        assert bool(decide(policies, principal, Action.CREATE_REPO, hub, now())) is is_allowed
    assert decide(policies, reader, Action.CREATE_REPO, await load_namespace(session, reader, "reader"), now())


async def test_a_disabled_person_is_refused_even_with_a_principal_from_before(
    session: AsyncSession, policies: Policies, owner: Principal
) -> None:
    repo, _ = await make_repo(session, owner, gate=Gate.NONE)
    (await get_person(session, owner)).is_disabled = True
    await session.flush()
    resource = await load(session, owner, repo)
    decision = decide(policies, owner, Action.READ_CARD, resource, now())
    assert isinstance(decision, Denied)
    assert decision.code is Code.ACCOUNT_DISABLED
    ghost = replace(owner, person_id="0" * 26)
    assert not decide(policies, ghost, Action.KNOW, await load(session, ghost, repo), now())


async def test_a_grant_past_its_end_is_told_as_expired(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, commit = await make_repo(session, owner)
    await take_terms(session, ada, repo, commit)
    grant = await access.grant_directly(session, repo, await get_person(session, ada), by=owner)
    await session.flush()
    grant.ends_at = now() + timedelta(hours=1)
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == "yes"
    grant.ends_at = now() - timedelta(microseconds=1)
    assert await answer(session, policies, ada, Action.DOWNLOAD, repo) == Code.ACCESS_EXPIRED


async def test_facts_loaded_for_lists_know_as_much_about_existence_and_open_no_content(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repos = []
    for stage in (None, Stage.DRAFT, Stage.INTERNAL, Stage.GATED, Stage.OPEN):
        repo, commit = await make_repo(session, owner, gate=Gate.NONE, is_staged=stage is not None)
        if stage is not None:
            await release(session, repo, commit, stage)
        await take_terms(session, ada, repo, commit)
        repos.append(repo)
    for principal in (ANONYMOUS, ada, owner):
        for repo, resource in zip(repos, await load_many(session, principal, repos), strict=True):
            single = await load(session, principal, repo)
            for action in (Action.KNOW, Action.READ_CARD, Action.LIST_FILES):
                listed = decide(policies, principal, action, resource, now())
                assert bool(listed) is bool(decide(policies, principal, action, single, now()))
            for action in (Action.GENERATE, Action.DOWNLOAD):
                if decide(policies, principal, action, resource, now()):
                    assert decide(policies, principal, action, single, now())


async def get_person(session: AsyncSession, principal: Principal) -> Person:
    person = await people.find(session, principal.name)
    assert person is not None
    return person


async def again(session: AsyncSession, principal: Principal) -> Principal:
    return await principals.for_person(session, await get_person(session, principal))
