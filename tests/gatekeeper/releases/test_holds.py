from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.releases import Ladder, Release, Stage
from tests.gatekeeper.licensing.builders import events

pytestmark = pytest.mark.anyio


async def test_hold_and_resume(session: AsyncSession, owner: Principal, release: Release) -> None:
    held = await releases.hold(session, release, by=owner, reason=" Odd images. ")
    assert held.held_at is not None
    assert held.hold_reason == "Odd images."
    with pytest.raises(Conflict):
        await releases.hold(session, held, by=owner, reason="Again.")
    free = await releases.resume(session, held, by=owner)
    assert (free.held_at, free.hold_reason, free.stage) == (None, "", Stage.DRAFT)
    with pytest.raises(Conflict):
        await releases.resume(session, free, by=owner)
    [event] = await events(session, "releases:release:hold")
    assert (event.body["before"]["is_held"], event.body["after"]["is_held"]) == (False, True)
    assert "Odd" not in str(event.body)
    assert len(await events(session, "releases:release:resume")) == 1


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2_001])
async def test_every_way_down_needs_a_reason(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder, reason: str
) -> None:
    for act in (
        releases.hold(session, release, by=owner, reason=reason),
        releases.withdraw(session, release, by=owner, reason=reason),
        releases.demote(session, release, Stage.DRAFT, by=owner, reason=reason, ladder=ladder),
        releases.embargo(session, release, now() + timedelta(days=1), by=owner, reason=reason),
    ):
        with pytest.raises(Invalid):
            await act


async def test_demotion_goes_down_only(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder
) -> None:
    release.stage = Stage.GATED
    await session.flush()
    for target in (Stage.GATED, Stage.OPEN):
        with pytest.raises(Invalid, match="not below"):
            await releases.demote(session, release, target, by=owner, reason="Why.", ladder=ladder)
    lower = await releases.demote(session, release, Stage.INTERNAL, by=owner, reason="Bias found.", ladder=ladder)
    assert lower.stage is Stage.INTERNAL
    [event] = await events(session, "releases:release:demote")
    assert (event.body["before"]["stage"], event.body["after"]["stage"]) == ("gated", "internal")


async def test_withdrawn_release_stays_withdrawn(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder
) -> None:
    gone = await releases.withdraw(session, release, by=owner, reason="Trained on stolen data.")
    assert gone.withdrawn_at is not None
    assert gone.hold_reason == "Trained on stolen data."
    for act in (
        releases.withdraw(session, gone, by=owner, reason="Again."),
        releases.hold(session, gone, by=owner, reason="Again."),
        releases.resume(session, gone, by=owner),
        releases.demote(session, gone, Stage.DRAFT, by=owner, reason="Again.", ladder=ladder),
        releases.embargo(session, gone, None, by=owner, reason="Again."),
    ):
        with pytest.raises(Conflict, match="for good"):
            await act


async def test_embargo_is_lengthened_or_lifted_not_shortened(
    session: AsyncSession, owner: Principal, release: Release
) -> None:
    at = now()
    with time_machine.travel(at, tick=False):
        with pytest.raises(Conflict, match="not under embargo"):
            await releases.embargo(session, release, None, by=owner, reason="Lift.")
        with pytest.raises(Invalid, match="past"):
            await releases.embargo(session, release, at, by=owner, reason="Now.")
        release = await releases.embargo(session, release, at + timedelta(days=5), by=owner, reason="Paper.")
        with pytest.raises(Invalid, match="not shortened"):
            await releases.embargo(session, release, at + timedelta(days=4), by=owner, reason="Sooner.")
        release = await releases.embargo(session, release, at + timedelta(days=6), by=owner, reason="Delay.")
        assert release.embargoed_until == at + timedelta(days=6)
    release = await releases.embargo(session, release, None, by=owner, reason="Printed.")
    assert release.embargoed_until is None
    assert len(await events(session, "releases:release:lift")) == 1
