import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import generation, licensing
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.db import Database
from gatekeeper.errors import NotSignedIn, TooMany
from gatekeeper.generation import Generation, GenerationState, OrderRequest, Ruling, Safety, SafetyLevel
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
LEVEL = replace(Safety.load().at(Stage.GATED), images_per_day=6, concurrency=10)


async def order(
    session: AsyncSession, person: Principal, at: tuple[Repo, str], *, images: int = 1, level: SafetyLevel = LEVEL
) -> Generation:
    request = OrderRequest.parse({"prompt": "a cat", "images": images, "seed": 1}, level=level)
    ruling = Ruling(("open-use",), "e" * 64)
    return await generation.admit(session, person, *at, request, level=level, ruling=ruling, privacy_key=KEY)


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session)


@pytest.fixture
async def place(session: AsyncSession) -> tuple[Repo, str]:
    return await make_repo(session, await make_person(session))


async def test_admitted_order_is_charged_and_recorded_without_the_prompt(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    made = await order(session, ada, place, images=2)
    terms = await licensing.terms_for(session, *place)
    assert terms is not None
    assert (made.state, made.charged_images) == (GenerationState.RUNNING, 2)
    assert made.settings["bundle_sha256"] == terms.sha256
    assert made.settings["decision"] == ["open-use"]
    assert made.expires_at == made.started_at + timedelta(days=LEVEL.keep_image_days)
    assert "cat" not in str(made.settings)
    [event] = await events(session, "generation:order:submit")
    assert "cat" not in str(event.body)
    assert event.policy_sha256 == "e" * 64


async def test_nobody_in_particular_orders_nothing(session: AsyncSession, place: tuple[Repo, str]) -> None:
    with pytest.raises(NotSignedIn):
        await order(session, ANONYMOUS, place)


async def test_quota_of_24_hours_says_when_to_come_back(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    start = now()
    with time_machine.travel(start, tick=False):
        await order(session, ada, place, images=4)
    with time_machine.travel(start + timedelta(hours=1), tick=False):
        with pytest.raises(TooMany, match="have made 4") as refused:
            await order(session, ada, place, images=3)
        assert refused.value.details == {"retry_after_seconds": 23 * 3600 + 1, "limit": 6, "remaining": 2}
        await order(session, ada, place, images=2)
    with time_machine.travel(start + timedelta(hours=24, seconds=-1), tick=False), pytest.raises(TooMany):
        await order(session, ada, place)
    with time_machine.travel(start + timedelta(hours=24, seconds=1), tick=False):
        await order(session, ada, place, images=4)
        stands = await generation.quota(session, ada.person_id or "", place[0], LEVEL)
        assert (stands.used, stands.remaining) == (6, 0)
        assert stands.frees_in_seconds == 3600


async def test_quota_is_of_one_person_at_one_repository(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    await order(session, ada, place, images=4)
    await order(session, await make_person(session), place, images=4)
    await order(session, ada, await make_repo(session, await make_person(session)), images=4)


async def test_orders_that_made_nothing_cost_nothing(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    made = await order(session, ada, place, images=4)
    made.state, made.charged_images = GenerationState.FAILED, 0
    await session.flush()
    assert (await generation.quota(session, ada.person_id or "", place[0], LEVEL)).used == 0


async def test_few_orders_of_a_person_run_at_once(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    level = replace(LEVEL, concurrency=1)
    first = await order(session, ada, place, level=level)
    with pytest.raises(TooMany, match="at once"):
        await order(session, ada, place, level=level)
    first.state = GenerationState.DONE
    await session.flush()
    await order(session, ada, place, level=level)


async def test_quota_holds_against_many_at_once(database: Database) -> None:
    async with database.write() as session:
        ada = await make_person(session)
        place = await make_repo(session, await make_person(session))

    async def attempt() -> bool:
        try:
            async with database.write() as session:
                await order(session, ada, place, images=2)
        except TooMany:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _ in range(8)))) == 3
    async with database.read() as session:
        assert (await generation.quota(session, ada.person_id or "", place[0], LEVEL)).used == 6
