"""Browser sessions on the server."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Principal, seen, sessions
from gatekeeper.accounts.link_tables import SessionUse
from gatekeeper.errors import NotFound
from gatekeeper.kit.clock import now

pytestmark = pytest.mark.anyio


async def test_the_secret_is_not_stored(session: AsyncSession, make_person, key) -> None:
    browser, secret = await sessions.start(session, await make_person(), key=key, user_agent="Fox\r\n/1", days=3)
    assert secret not in str(browser.model_dump())
    assert browser.user_agent == "Fox/1"


async def test_a_session_ends_with_its_time(session: AsyncSession, make_person, key) -> None:
    _, secret = await sessions.start(session, await make_person(), key=key, user_agent="", days=3)
    assert await sessions.resolve(session, secret, key=key)
    with time_machine.travel(now() + timedelta(days=3), tick=False):
        assert await sessions.resolve(session, secret, key=key) is None


@pytest.mark.parametrize("secret", ["", "x" * 100_000, "gs_" + "é" * 44, "gs_" + "0" * 44, "\ud800"])
async def test_anything_else_in_the_cookie_is_nobody(session: AsyncSession, key, secret: str) -> None:
    assert await sessions.resolve(session, secret, key=key) is None


async def test_another_key_knows_no_session(session: AsyncSession, make_person, key) -> None:
    _, secret = await sessions.start(session, await make_person(), key=key, user_agent="", days=3)
    assert await sessions.resolve(session, secret, key=b"other") is None


async def test_people_end_their_own_sessions_only(session: AsyncSession, make_person, key) -> None:
    ada, bob = await make_person("ada"), await make_person("bob")
    browser, secret = await sessions.start(session, ada, key=key, user_agent="", days=3)
    with pytest.raises(NotFound):
        await sessions.end(session, browser.id, by=Principal(person_id=bob.id))
    await sessions.end(session, browser.id, by=Principal(person_id=ada.id))
    assert await sessions.resolve(session, secret, key=key) is None
    assert await sessions.list_for(session, ada.id) == []


async def test_all_sessions_but_one_can_be_ended_at_once(session: AsyncSession, make_person, key) -> None:
    ada = await make_person("ada")
    started = [await sessions.start(session, ada, key=key, user_agent="", days=3) for _ in range(3)]
    kept = started[1][0]
    assert await sessions.end_all(session, ada, by=Principal(person_id=ada.id), keep=kept.id) == 2
    assert [browser.id for browser in await sessions.list_for(session, ada.id)] == [kept.id]


async def test_a_session_that_is_not_used_ends_before_its_time(session: AsyncSession, make_person, key) -> None:
    browser, secret = await sessions.start(session, await make_person(), key=key, user_agent="", days=30)
    await session.flush()
    idle, start = timedelta(hours=2), now()

    async def is_live(*, hours: float) -> bool:
        with time_machine.travel(start + timedelta(hours=hours), tick=False):
            return await sessions.resolve(session, secret, key=key, idle=idle) is not None

    assert await is_live(hours=1.9)
    assert not await is_live(hours=2.1)
    session.add(SessionUse(session_id=browser.id, last_seen_at=start + timedelta(hours=1)))
    await session.flush()
    assert await is_live(hours=2.9)
    assert not await is_live(hours=3.1)
    with time_machine.travel(start + timedelta(hours=2), tick=False):
        seen.saw(browser.id, "192.0.2.1")
    assert await is_live(hours=3.9)
    assert not await is_live(hours=4.1)
