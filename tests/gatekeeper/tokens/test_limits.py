"""Tokens that are limited to repositories and namespaces: one fact of the one decision, in every answer and list."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, repos, tokens
from gatekeeper.accounts import Organization, Person, Principal, Reach, organizations, people, principals
from gatekeeper.authz import Action, Code, Denied, Policies
from gatekeeper.errors import Invalid, NotAllowed, NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind
from gatekeeper.tokens import Verdict, approval

pytestmark = pytest.mark.anyio
KEY = b"k" * 32
POLICIES = Policies.load()


class House:
    """Ada, her organization lab, and a private repository in each namespace beside a public one."""

    ada: Person
    lab: Organization
    by: Principal
    own: Repo
    other: Repo
    labs: Repo
    public: Repo


@pytest.fixture
async def house(session: AsyncSession) -> House:
    house = House()
    house.ada = await people.add(session, "ada", email="ada@example.org")
    house.lab = await organizations.create(session, "lab", by=Principal(person_id=house.ada.id))
    house.by = await principals.for_person(session, house.ada)
    for name, where, is_private in (
        ("own", "ada", True),
        ("other", "ada", True),
        ("labs", "lab", True),
        ("public", "ada", False),
    ):
        made = await repos.create(session, RepoKind.MODEL, where, name, by=house.by, private=is_private)
        setattr(house, name, made)
    await session.flush()
    return house


async def holder(session: AsyncSession, house: House, reach: Reach | None, *scopes: str) -> Principal:
    chosen = list(scopes) or ["read", "download", "write"]
    label = f"t{now().timestamp()}"
    _, secret = await tokens.issue(
        session, house.ada, label=label, role="write", scopes=chosen, reach=reach, key=KEY, by=house.by
    )
    return await tokens.resolve(session, secret, key=KEY)


async def answer(session: AsyncSession, who: Principal, action: Action, repo: Repo) -> Denied | None:
    resource = await authz.load(session, who, repo)
    decision = authz.decide(POLICIES, who, action, resource, now())
    return decision if isinstance(decision, Denied) else None


async def test_a_token_for_one_repository_opens_that_one_and_hides_the_others(session, house: House) -> None:
    who = await holder(session, house, Reach(repositories=frozenset({house.own.id})))
    assert await answer(session, who, Action.WRITE, house.own) is None
    for repo in (house.other, house.labs):
        refused = await answer(session, who, Action.WRITE, repo)
        assert refused is not None
        assert refused.code is Code.TOKEN_REACH_MISSING
        assert refused.hides
    shown = await answer(session, who, Action.LIST_FILES, house.public)
    assert shown is not None
    assert not shown.hides  # that it exists, everybody knows


async def test_a_token_for_an_organization_covers_what_is_there_and_making_more(session, house: House) -> None:
    who = await holder(session, house, Reach(owners=frozenset({house.lab.id})))
    assert await answer(session, who, Action.WRITE, house.labs) is None
    assert await answer(session, who, Action.WRITE, house.own) is not None
    for name, may in (("lab", True), ("ada", False)):
        place = await authz.load_namespace(session, who, name)
        assert bool(authz.decide(POLICIES, who, Action.CREATE_REPO, place, now())) is may


async def test_public_repositories_may_be_read_beside_and_not_changed(session, house: House) -> None:
    who = await holder(session, house, Reach(is_public=True))
    assert await answer(session, who, Action.DOWNLOAD, house.public) is None
    assert await answer(session, who, Action.WRITE, house.public) is not None
    assert (await answer(session, who, Action.KNOW, house.own)).hides  # type: ignore[union-attr]


@pytest.mark.parametrize("action", [Action.USE_ACCOUNT, Action.CREATE_ORGANIZATION, Action.MANAGE_WEBHOOKS])
async def test_a_limited_token_opens_nothing_of_the_account(session, house: House, action: Action) -> None:
    whole = await holder(session, house, None)
    some = await holder(session, house, Reach(repositories=frozenset({house.own.id})))
    hub = await authz.load_namespace(session, some)
    assert authz.decide(POLICIES, whole, action, hub, now())
    assert not authz.decide(POLICIES, some, action, hub, now())


async def test_lists_hold_what_single_answers_allow(session: AsyncSession, house: House) -> None:
    everything = [house.own, house.other, house.labs, house.public]
    for reach in (
        None,
        Reach(repositories=frozenset({house.own.id})),
        Reach(owners=frozenset({house.lab.id})),
        Reach(owners=frozenset({house.ada.id}), is_public=True),
        Reach(is_public=True),
    ):
        who = await holder(session, house, reach)
        for one in (who, replace(who, closed=frozenset({house.lab.id}))):
            listed = await authz.visible(session, POLICIES, one, None, instant=now())
            known = [repo for repo in everything if await answer(session, one, Action.KNOW, repo) is None]
            assert {repo.id for repo in listed} == {repo.id for repo in known}


async def test_limits_that_make_no_sense_are_refused(session: AsyncSession, house: House) -> None:
    for reach in (Reach(), Reach(owners=frozenset({"somebody"})), Reach(frozenset(str(n) for n in range(101)))):
        with pytest.raises(Invalid) as caught:
            await holder(session, house, reach)
        assert caught.value.next_step


async def test_what_cannot_be_read_limits_a_token_to_nothing(session: AsyncSession, house: House) -> None:
    token, _ = await tokens.issue(session, house.ada, label="x", key=KEY)
    token.reach = {"repositories": "everything", "owners": [1, None], "public": "yes"}
    assert tokens.limits.reach_of(token) == Reach()


async def test_an_organization_is_closed_until_its_administrator_approves(session, house: House) -> None:
    token, secret = await tokens.issue(session, house.ada, label="ci", role="write", key=KEY, by=house.by)
    await approval.set_policy(session, house.lab, needs_approval=True, max_days=None, by=house.by)
    who = await tokens.resolve(session, secret, key=KEY)
    refused = await answer(session, who, Action.WRITE, house.labs)
    assert refused is not None
    assert (refused.code, refused.hides) == (Code.TOKEN_NOT_APPROVED, True)
    assert await answer(session, who, Action.WRITE, house.own) is None
    assert [row.state for row in await approval.reaching(session, house.lab, by=house.by)] == ["waiting"]
    await approval.decide(session, house.lab, token.id, Verdict.APPROVED, by=house.by)
    who = await tokens.resolve(session, secret, key=KEY)
    assert await answer(session, who, Action.WRITE, house.labs) is None
    await approval.decide(session, house.lab, token.id, Verdict.REFUSED, by=house.by)
    who = await tokens.resolve(session, secret, key=KEY)
    assert await answer(session, who, Action.WRITE, house.labs) is not None


async def test_a_token_can_be_shut_out_where_nothing_is_demanded(session: AsyncSession, house: House) -> None:
    token, secret = await tokens.issue(session, house.ada, label="ci", role="write", key=KEY, by=house.by)
    await approval.decide(session, house.lab, token.id, Verdict.REFUSED, by=house.by)
    who = await tokens.resolve(session, secret, key=KEY)
    assert await answer(session, who, Action.WRITE, house.labs) is not None


async def test_a_token_that_lives_too_long_opens_nothing_there_even_approved(session, house: House) -> None:
    token, secret = await tokens.issue(session, house.ada, label="long", role="write", max_days=90, key=KEY)
    await approval.set_policy(session, house.lab, needs_approval=False, max_days=30, by=house.by)
    await approval.decide(session, house.lab, token.id, Verdict.APPROVED, by=house.by)
    who = await tokens.resolve(session, secret, key=KEY)
    assert await answer(session, who, Action.WRITE, house.labs) is not None
    _, short = await tokens.issue(session, house.ada, label="short", role="write", max_days=30, key=KEY)
    who = await tokens.resolve(session, short, key=KEY)
    assert await answer(session, who, Action.WRITE, house.labs) is None


async def test_only_administrators_in_person_see_and_decide(session: AsyncSession, house: House) -> None:
    token, secret = await tokens.issue(session, house.ada, label="ci", role="write", key=KEY, by=house.by)
    bob = await people.add(session, "bob", email="bob@example.org")
    for by in (Principal(person_id=bob.id), await tokens.resolve(session, secret, key=KEY), Principal()):
        with pytest.raises(NotAllowed):
            await approval.reaching(session, house.lab, by=by)
        with pytest.raises(NotAllowed):
            await approval.set_policy(session, house.lab, needs_approval=False, max_days=None, by=by)
        with pytest.raises(NotAllowed):
            await approval.decide(session, house.lab, token.id, Verdict.APPROVED, by=by)


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_token_made_with_another_ends_with_it(session: AsyncSession, house: House, by_hand: bool) -> None:
    parent, _ = await tokens.issue(session, house.ada, label="parent", key=KEY)
    child, secret = await tokens.issue(session, house.ada, label="child", key=KEY)
    child.parent_id = parent.id
    await session.flush()
    await tokens.resolve(session, secret, key=KEY)
    if by_hand:  # however it ended: the row of the other one says nothing yet
        parent.revoked_at = now()
        await session.flush()
    else:
        await tokens.revoke(session, parent.id, by=house.by)
        await session.refresh(child)
        assert child.revoked_at is not None
    with pytest.raises(NotSignedIn):
        await tokens.resolve(session, secret, key=KEY)
