import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import generation, licensing, releases
from gatekeeper.accounts import organizations, principals
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal
from gatekeeper.accounts.tables import Person, Role
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotSignedIn, TooMany
from gatekeeper.generation import (
    Admitted,
    Budget,
    Change,
    Generation,
    GenerationState,
    Once,
    OrderRequest,
    Ruling,
    Safety,
    SafetyLevel,
    Terms,
    quota_changes,
    quotas,
)
from gatekeeper.generation.manifests import ORDER_SECONDS
from gatekeeper.generation.quotas import Standing
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from inference.contract import SldLevel
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
SAFETY = replace(Safety.load(), person=Budget(1000, 10_000, 10))
LEVEL = replace(SAFETY.at(Stage.GATED), images_per_day=6, concurrency=10)


async def order(
    session: AsyncSession, person: Principal, at: tuple[Repo, str], *, images: int = 1, level: SafetyLevel = LEVEL
) -> Generation:
    return (await admitted(session, person, at, images=images, level=level)).made


async def admitted(
    session: AsyncSession,
    person: Principal,
    at: tuple[Repo, str],
    *,
    images: int = 1,
    level: SafetyLevel = LEVEL,
    safety: Safety = SAFETY,
    once: Once | None = None,
    **values: Any,
) -> Admitted:
    request = OrderRequest.parse({"prompt": "a cat", "images": images, "seed": 1, **values}, level=level)
    bundle = await releases.terms_in_force(session, *at)
    terms = Terms(safety, level, Ruling(("open-use",), "e" * 64, Stage.GATED), KEY, bundle)
    return await generation.admit(session, person, *at, request, terms=terms, process="here", once=once)


async def stand(session: AsyncSession, person: Principal, repo: Repo) -> Standing:
    [of_model, *_] = await quotas.standings(session, await quotas.scopes(session, person, SAFETY, [(repo, LEVEL)]))
    return of_model


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
        assert refused.value.details == {
            "retry_after_seconds": 23 * 3600 + 1,
            "kind": "images",
            "limit": 6,
            "remaining": 2,
            "window_seconds": 24 * 3600,
        }
        await order(session, ada, place, images=2)
    with time_machine.travel(start + timedelta(hours=24, seconds=-1), tick=False), pytest.raises(TooMany):
        await order(session, ada, place)
    with time_machine.travel(start + timedelta(hours=24, seconds=1), tick=False):
        await order(session, ada, place, images=4)
        stands = await stand(session, ada, place[0])
        assert (stands.images, stands.images_left) == (6, 0)
        with pytest.raises(TooMany) as refused:
            await order(session, ada, place)
        assert refused.value.details["retry_after_seconds"] == 3600


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
    assert (await stand(session, ada, place[0])).images == 0


async def test_few_orders_of_a_person_run_at_once(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    level = replace(LEVEL, concurrency=1)
    first = await order(session, ada, place, level=level)
    with pytest.raises(TooMany, match=f"1 of your orders of {place[0].full_name} is being made") as refused:
        await order(session, ada, place, level=level)
    assert "window_seconds" not in refused.value.details
    first.state = GenerationState.DONE
    await session.flush()
    await order(session, ada, place, level=level)


async def test_a_key_finds_the_order_again_and_charges_it_once(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    first = await admitted(session, ada, place, once=Once("mine"))
    again = await admitted(session, ada, place, once=Once("mine"))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.made.id == first.made.id
    assert (await stand(session, ada, place[0])).images == 1
    with pytest.raises(Invalid, match="used for another order"):
        await admitted(session, ada, place, once=Once("mine"), prompt="a dog")
    assert (await admitted(session, await make_person(session), place, once=Once("mine"))).is_new
    first.made.state = GenerationState.FAILED
    assert (await admitted(session, ada, place, once=Once("mine"))).is_new  # nothing came of the first one


async def test_a_key_finds_its_order_where_the_hub_has_come_to_choose_otherwise(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    first = await admitted(session, ada, place, once=Once("mine"))
    stricter = replace(LEVEL, sld_level=SldLevel.MAX, lowest_sld=SldLevel.MAX, steps=10)
    again = await admitted(session, ada, place, once=Once("mine"), level=stricter)
    assert (again.made.id, again.made.settings["steps"]) == (first.made.id, 20)
    for other in ({"steps": 10}, {"sld_level": "max"}):
        with pytest.raises(Invalid, match="used for another order"):
            await admitted(session, ada, place, once=Once("mine"), level=stricter, **other)


async def test_a_key_stands_for_the_commit_that_was_named(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    first = await admitted(session, ada, place, once=Once("mine", "a" * 40))
    assert (await admitted(session, ada, place, once=Once("mine", "a" * 40))).made.id == first.made.id
    with pytest.raises(Invalid, match="used for another order"):
        await admitted(session, ada, place, once=Once("mine", "b" * 40))


async def test_a_key_of_images_that_are_gone_makes_new_ones(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    first = (await admitted(session, ada, place, once=Once("mine"))).made
    first.state = GenerationState.DONE
    assert first.expires_at is not None
    with time_machine.travel(first.expires_at, tick=False):
        assert (await admitted(session, ada, place, once=Once("mine"))).is_new


async def test_compute_is_reserved_by_what_the_last_orders_took(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    first = await order(session, ada, place)
    assert first.charged_seconds == pytest.approx(20 * 0.1)
    first.state, first.charged_seconds = GenerationState.DONE, 40.0
    larger = await admitted(session, ada, place, steps=50)
    assert larger.made.charged_seconds == pytest.approx(100.0)
    tight = replace(LEVEL, compute_seconds_per_day=170)
    with pytest.raises(TooMany, match="2 min 20 s are used or reserved, and this order needs about 40 s") as refused:
        await order(session, ada, place, level=tight)
    assert refused.value.details["retry_after_seconds"] > 0


async def test_no_odd_order_makes_the_next_ones_expensive(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    async def reserved(**values: Any) -> float:
        return (await admitted(session, ada, place, **values)).made.charged_seconds

    tiny = (await admitted(session, ada, place, steps=1, width=64, height=64)).made
    tiny.state, tiny.charged_seconds = GenerationState.DONE, 8.0  # nearly all of it by a slow check
    assert await reserved(steps=40) == pytest.approx(16.0)
    assert await reserved(steps=40, width=1024, height=1024) == ORDER_SECONDS
    for _ in range(2):
        usual = (await admitted(session, ada, place, steps=20, width=64, height=64)).made
        usual.state, usual.charged_seconds = GenerationState.DONE, 1.0
    assert await reserved(steps=40) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"images_per_day": 2}, "in 24 hours, and this order asks for 3. Ask for at most 2."),
        ({"images_per_day": 0}, "may make no images .* Ask the hub's administrator for a quota."),
        ({"concurrency": 0}, "may make no images .* Ask the hub's administrator for a quota."),
        ({"compute_seconds_per_day": 5}, "this order alone needs about 6 s. Ask for at most 2 such images."),
        ({"compute_seconds_per_day": 1}, "this order alone needs about 6 s. Ask for fewer steps or a smaller size."),
    ],
)
async def test_an_order_beyond_the_whole_budget_is_not_told_to_come_back(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str], budget: dict[str, int], told: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await order(session, ada, place, images=3, level=replace(LEVEL, **budget))
    assert (refused.value.status, refused.value.code) == (422, "BeyondQuota")
    assert re.search(told, refused.value.sentence)


async def test_an_organization_s_people_share_its_quota(session: AsyncSession, place: tuple[Repo, str]) -> None:
    lab = await organizations.create(session, "lab", by=OPERATOR)
    people = []
    for name in ("grace", "alan"):
        person = await session.get_one(Person, (await make_person(session, name)).person_id)
        await organizations.add_member(session, lab, person, Role.READ, by=OPERATOR)
        people.append(await principals.for_person(session, person))
    safety = replace(SAFETY, organization=Budget(3, 10_000, 10))
    await admitted(session, people[0], place, images=2, safety=safety)
    with pytest.raises(TooMany, match=f"The people of {lab.name} may make 3 images on this hub"):
        await admitted(session, people[1], place, images=2, safety=safety)
    await admitted(session, people[1], place, safety=safety)
    await admitted(session, await make_person(session), place, images=4, safety=safety)


async def test_an_administrator_s_change_replaces_and_raises_and_is_recorded(
    session: AsyncSession, ada: Principal, place: tuple[Repo, str]
) -> None:
    person = await session.get_one(Person, ada.person_id)
    await generation.change_quota(session, person, Change(images_per_day=8), reason="A study.", by=OPERATOR)
    await order(session, ada, place, images=4)
    assert (await order(session, ada, place, images=4)).settings["weight"] == 1.0
    with pytest.raises(TooMany):
        await order(session, ada, place)
    await generation.change_quota(session, person, Change(weight=3), reason="She teaches.", by=OPERATOR)
    change = (await quota_changes.changes_for(session, ada))[person.id]
    assert quota_changes.weight_of(change, replace(LEVEL, weight=2.0)) == 6.0
    assert quota_changes.weight_of(change, replace(LEVEL, weight=9.0)) == 10.0
    await generation.change_quota(session, person, Change(), reason="It is over.", by=OPERATOR)
    assert not (await generation.list_changes(session)).items
    first, _, last = await events(session, "generation:quota:change")
    assert (first.body["before"], first.body["after"]["images_per_day"]) == (None, 8)
    assert (last.body["before"]["weight"], last.body["after"]) == (3, None)
    with pytest.raises(Invalid):
        await generation.change_quota(session, person, Change(images_per_day=-1), reason="x", by=OPERATOR)
    with pytest.raises(Invalid):
        await generation.change_quota(session, person, Change(images_per_day=1), reason=" ", by=OPERATOR)


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
        assert (await stand(session, ada, place[0])).images == 6
