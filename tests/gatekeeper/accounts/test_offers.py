"""Invitations into organizations."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import OPERATOR, Role, offers, organizations
from gatekeeper.accounts.principals import for_person
from gatekeeper.errors import Conflict, NotAllowed, NotFound
from gatekeeper.kit.clock import now

pytestmark = pytest.mark.anyio


async def test_an_invitation_gives_nothing_until_its_person_accepts_it(session: AsyncSession, make_person) -> None:
    ada, bob, eve = [await make_person(name) for name in ("ada", "bob", "eve")]
    me = await for_person(session, ada)
    lab = await organizations.create(session, "lab", by=me)
    offer = await offers.make(session, lab, bob, Role.WRITE, by=me)
    assert (await for_person(session, bob)).organizations == {}
    with pytest.raises(NotFound):
        await offers.accept(session, offer.id, by=await for_person(session, eve))
    with pytest.raises(NotAllowed):
        await offers.make(session, lab, eve, Role.READ, by=await for_person(session, bob))

    await offers.accept(session, offer.id, by=await for_person(session, bob))
    assert (await for_person(session, bob)).organizations == {lab.id: Role.WRITE}
    with pytest.raises(NotFound):
        await offers.accept(session, offer.id, by=await for_person(session, bob))
    with pytest.raises(Conflict):
        await offers.make(session, lab, bob, Role.ADMIN, by=me)


async def test_an_invitation_ends_when_declined_withdrawn_replaced_old_or_its_maker_has_no_right_any_more(
    session: AsyncSession, make_person
) -> None:
    ada, bob = await make_person("ada"), await make_person("bob")
    me, him = await for_person(session, ada), await for_person(session, bob)
    lab = await organizations.create(session, "lab", by=me)

    async def is_over(offer_id: str) -> bool:
        with pytest.raises(NotFound):
            await offers.accept(session, offer_id, by=him)
        return True

    declined = await offers.make(session, lab, bob, Role.READ, by=me)
    await offers.decline(session, declined.id, by=him)
    assert await is_over(declined.id)
    replaced = await offers.make(session, lab, bob, Role.ADMIN, by=me)
    withdrawn = await offers.make(session, lab, bob, Role.READ, by=me)
    assert await is_over(replaced.id)
    await offers.withdraw(session, lab, withdrawn.id, by=me)
    assert await is_over(withdrawn.id)
    old = await offers.make(session, lab, bob, Role.READ, by=me)
    with time_machine.travel(now() + timedelta(days=offers.LIFE_DAYS, seconds=1), tick=True):
        assert await is_over(old.id)
    kept = await offers.make(session, lab, bob, Role.ADMIN, by=me)
    await organizations.add_member(session, lab, await make_person("eve"), Role.ADMIN, by=OPERATOR)
    await organizations.add_member(session, lab, ada, Role.READ, by=me)
    assert await is_over(kept.id)
    assert him.organizations == {}
