"""Organizations and roles in them."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import ANONYMOUS, OPERATOR, Role, find_namespace, organizations
from gatekeeper.accounts.principals import for_person
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound

pytestmark = pytest.mark.anyio


async def test_who_creates_an_organization_administrates_it(session: AsyncSession, make_person) -> None:
    ada = await make_person("ada")
    lab = await organizations.create(session, "Lab", by=await for_person(session, ada))
    assert (await for_person(session, ada)).organizations == {lab.id: Role.ADMIN}
    assert (await organizations.find(session, "LAB")) is lab
    assert (await find_namespace(session, "lab")).organization_id == lab.id


async def test_people_and_organizations_share_no_name(session: AsyncSession, make_person) -> None:
    await make_person("ada")
    with pytest.raises(Conflict):
        await organizations.create(session, "ADA", by=OPERATOR)
    with pytest.raises(Invalid):
        await organizations.create(session, "models", by=OPERATOR)


async def test_nobody_creates_no_organization(session: AsyncSession) -> None:
    with pytest.raises(NotAllowed):
        await organizations.create(session, "lab", by=ANONYMOUS)


async def test_only_administrators_change_members(session: AsyncSession, make_person) -> None:
    ada, bob = await make_person("ada"), await make_person("bob")
    lab = await organizations.create(session, "lab", by=await for_person(session, ada))
    await organizations.add_member(session, lab, bob, Role.WRITE, by=await for_person(session, ada))
    with pytest.raises(NotAllowed):
        await organizations.add_member(session, lab, bob, Role.ADMIN, by=await for_person(session, bob))
    assert [(person.name, role) for person, role in await organizations.members(session, lab)] == [
        ("ada", Role.ADMIN),
        ("bob", Role.WRITE),
    ]
    assert await organizations.organizations_of(session, bob.id) == [(lab, Role.WRITE)]


async def test_a_role_lost_since_the_request_began_counts_for_nothing(session: AsyncSession, make_person) -> None:
    ada, bob = await make_person("ada"), await make_person("bob")
    lab = await organizations.create(session, "lab", by=await for_person(session, ada))
    await organizations.add_member(session, lab, bob, Role.ADMIN, by=OPERATOR)
    stale = await for_person(session, bob)
    await organizations.add_member(session, lab, bob, Role.READ, by=OPERATOR)
    with pytest.raises(NotAllowed):
        await organizations.remove_member(session, lab, ada, by=stale)


async def test_the_last_administrator_neither_leaves_nor_steps_down(session: AsyncSession, make_person) -> None:
    ada = await make_person("ada")
    me = await for_person(session, ada)
    lab = await organizations.create(session, "lab", by=me)
    with pytest.raises(Conflict):
        await organizations.remove_member(session, lab, ada, by=me)
    with pytest.raises(Conflict):
        await organizations.add_member(session, lab, ada, Role.READ, by=me)


async def test_members_may_leave_and_then_have_no_role(session: AsyncSession, make_person) -> None:
    bob = await make_person("bob")
    lab = await organizations.create(session, "lab", by=OPERATOR)
    await organizations.add_member(session, lab, bob, Role.READ, by=OPERATOR)
    await organizations.remove_member(session, lab, bob, by=await for_person(session, bob))
    assert (await for_person(session, bob)).organizations == {}
    with pytest.raises(NotFound):
        await organizations.remove_member(session, lab, bob, by=OPERATOR)
