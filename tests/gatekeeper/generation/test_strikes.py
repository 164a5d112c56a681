"""What safety stopped is kept, makes safety stricter, leads to a review, and is appealed."""

from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import generation
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.generation import (
    Generation,
    GenerationState,
    Safety,
    Standing,
    Strike,
    StrikeKind,
    StrikeState,
    strikes,
)
from gatekeeper.generation.demands import under_license
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Catalogue
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from inference.contract import SldLevel
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio

SAFETY = Safety.load()
POLICY = SAFETY.strikes
CATALOGUE = Catalogue.load(bundled_dir("policies"))
LEVEL = SAFETY.at(Stage.GATED)


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session)


@pytest.fixture
async def grace(session: AsyncSession) -> Principal:
    return await make_person(session)


@pytest.fixture
async def place(session: AsyncSession, grace: Principal) -> tuple[Repo, str]:
    return await make_repo(session, grace)


async def strike(
    session: AsyncSession, person: Principal, place: tuple[Repo, str], kind: StrikeKind = StrikeKind.HARD_RULE
) -> Strike:
    made = Generation(
        person_id=person.person_id,
        repo_id=place[0].id,
        commit_id=place[1],
        state=GenerationState.REFUSED,
        prompt="a secret",
        prompt_sha256="0" * 64,
        expires_at=now() + timedelta(days=1),
    )
    session.add(made)
    await session.flush()
    await strikes.record(session, made, kind, fired=["weapons.explosives"], reason="Bombs are not made here.")
    await session.flush()
    return (await generation.own_strikes(session, person))[0]


async def test_strikes_make_safety_stricter_and_then_orders_wait_for_people(
    session: AsyncSession, ada: Principal, grace: Principal, place: tuple[Repo, str]
) -> None:
    async def demanded() -> generation.SafetyLevel:
        return await generation.demanded(session, ada, [], LEVEL, safety=SAFETY)

    free = await demanded()
    first = await strike(session, ada, place)
    strict = await demanded()
    others = [await strike(session, ada, place) for _ in range(2)]
    with pytest.raises(NotAllowed, match="3 of your orders") as waiting:
        await demanded()
    await generation.review(session, first, by=grace, is_upheld=False)
    after_one = await demanded()
    for other in others:
        await generation.review(session, other, by=grace, is_upheld=True)
    after_all = await demanded()

    assert (free.sld_level, free.margin) == (SldLevel.MEDIUM, 0.0)
    assert (strict.sld_level, strict.lowest_sld, strict.margin) == (SldLevel.STRONG, SldLevel.STRONG, POLICY.margin)
    assert (free.demand()["sld_must_act"], strict.demand()["sld_must_act"]) == (False, True)
    assert waiting.value.code == "SafetyReview"
    assert after_one.sld_level is SldLevel.STRONG
    assert after_all.sld_level is SldLevel.STRONG  # upheld ones go on counting, but nobody waits any more


async def test_flagged_images_alone_make_safety_stricter_and_no_order_wait(
    session: AsyncSession, ada: Principal, grace: Principal, place: tuple[Repo, str]
) -> None:
    policy = replace(POLICY, strict_points=2, review_points=2)
    for _ in range(3):
        await strike(session, ada, place, StrikeKind.IMAGE_FLAGGED)
    flagged = await generation.standing(session, ada.person_id or "", policy)
    for _ in range(2):
        await strike(session, ada, place, StrikeKind.PROMPT_RULE)

    assert flagged == Standing(open=3, is_strict=True, needs_review=False)
    assert (await generation.standing(session, ada.person_id or "", policy)).needs_review


async def test_points_end_with_their_days_and_are_ones_own(
    session: AsyncSession, ada: Principal, grace: Principal, place: tuple[Repo, str]
) -> None:
    await strike(session, ada, place)
    await strike(session, ada, place, StrikeKind.IMAGE_FLAGGED)

    here = await generation.standing(session, ada.person_id or "", POLICY)
    with time_machine.travel(now() + timedelta(days=POLICY.days, minutes=1), tick=False):
        later = await generation.standing(session, ada.person_id or "", POLICY)
    lenient = await generation.standing(session, ada.person_id or "", replace(POLICY, hard_rule=0))

    assert here == Standing(open=2, is_strict=True, needs_review=False)
    assert later == Standing()
    assert lenient.is_strict is False
    assert await generation.standing(session, grace.person_id or "", POLICY) == Standing()


async def test_an_appeal_shows_the_prompt_only_if_asked_and_until_it_was_reviewed(
    session: AsyncSession, ada: Principal, grace: Principal, place: tuple[Repo, str]
) -> None:
    silent, open_ = await strike(session, ada, place), await strike(session, ada, place)

    await generation.appeal(session, ada, silent.id, text="A false alarm.")
    await generation.appeal(session, ada, open_.id, text="A bath bomb.", shows_prompt=True)
    condition = col(Repo.id) == place[0].id
    shown = [prompt for _, _, prompt in await generation.strikes_to_review(session, condition)]
    with time_machine.travel(now() + timedelta(days=2), tick=False):
        late = [prompt for _, _, prompt in await generation.strikes_to_review(session, condition)]
    await generation.review(session, open_, by=grace, is_upheld=False, note=" Sorry. ")

    assert shown == ["", "a secret"]
    assert late == ["", ""]
    assert (open_.state, open_.note, open_.shows_prompt) == (StrikeState.DISMISSED, "Sorry.", False)
    kinds = [event.kind for event in await events(session, "generation:strike:appeal")]
    assert len(kinds) == 2
    assert "secret" not in str([event.body for event in await events(session, "generation:strike:record")])


async def test_only_ones_own_open_strike_is_appealed_once_and_nobody_reviews_their_own(
    session: AsyncSession, ada: Principal, grace: Principal, place: tuple[Repo, str]
) -> None:
    made = await strike(session, ada, place)

    with pytest.raises(NotFound):
        await generation.appeal(session, grace, made.id, text="Not mine.")
    with pytest.raises(Invalid):
        await generation.appeal(session, ada, made.id, text="  ")
    with pytest.raises(NotAllowed):
        await generation.review(session, made, by=ada, is_upheld=False)
    await generation.appeal(session, ada, made.id, text="Wrong.")
    with pytest.raises(Conflict):
        await generation.appeal(session, ada, made.id, text="Again.")
    await generation.review(session, made, by=grace, is_upheld=True)
    with pytest.raises(Conflict):
        await generation.review(session, made, by=grace, is_upheld=False)


def test_a_license_raises_the_level_and_switches_its_rules_on() -> None:
    rail = CATALOGUE.licenses["creativeml-openrail-m"]
    weak = replace(LEVEL, sld_level=SldLevel.WEAK, lowest_sld=SldLevel.WEAK)
    adjusted = replace(weak, lowest_sld=SldLevel.OFF)

    assert under_license(weak, SAFETY, []) == weak
    assert under_license(weak, SAFETY, [CATALOGUE.licenses["mit"]]).sld_level is SldLevel.WEAK
    bound = under_license(weak, SAFETY, [rail])
    assert (bound.sld_level, bound.lowest_sld) == (SldLevel.MEDIUM, SldLevel.MEDIUM)
    assert bound.demand()["restrictions"] == list(rail.restrictions)
    assert under_license(adjusted, SAFETY, [rail]).lowest_sld is SldLevel.OFF
    unlisted = under_license(weak, SAFETY, [None])
    assert (unlisted.sld_level, unlisted.restrictions) == (SldLevel.MEDIUM, ())
    strong = replace(LEVEL, sld_level=SldLevel.MAX, lowest_sld=SldLevel.MAX)
    assert under_license(strong, SAFETY, [rail]).sld_level is SldLevel.MAX
