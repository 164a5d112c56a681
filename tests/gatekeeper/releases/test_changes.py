"""Demotion, withdrawal and changed embargoes take as many people as their stage demands."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.errors import Conflict, Invalid, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.releases import Act, Ladder, ProposalState, Release, Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import events
from tests.gatekeeper.releases.test_promotion import make_organization

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def test_a_sole_maintainer_takes_a_release_back_and_it_is_recorded_as_self_approved(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder
) -> None:
    release.stage = Stage.GATED
    await session.flush()
    change = await releases.ask_change(session, release, Act.WITHDRAW, by=owner, ladder=ladder, reason="Stolen data.")
    gone = await releases.carry_out(session, change, by=owner, ladder=ladder)
    assert gone.withdrawn_at is not None
    assert gone.hold_reason == "Stolen data."
    [event] = await events(session, "releases:release:withdraw")
    assert event.body["is_self_approved"] is True
    assert event.body["approved_by"] == [owner.person_id]
    assert (await releases.get_proposal(session, change.id)).state is ProposalState.EFFECTIVE


async def test_where_there_are_two_maintainers_one_does_not_suffice(session: AsyncSession, ladder: Ladder) -> None:
    _, release, (first, second) = await make_organization(session, 2)
    release.stage = Stage.OPEN
    await session.flush()
    change = await releases.ask_change(
        session, release, Act.DEMOTE, by=first, ladder=ladder, reason="Bias.", target=Stage.INTERNAL
    )
    with pytest.raises(Conflict, match="0 of 1 approvals"):
        await releases.carry_out(session, change, by=first, ladder=ladder)
    await releases.approve_proposal(session, change, by=second)
    lower = await releases.carry_out(session, change, by=first, ladder=ladder)
    assert lower.stage is Stage.INTERNAL
    with pytest.raises(Conflict, match="effective already"):
        await releases.carry_out(session, change, by=first, ladder=ladder)


async def test_what_makes_no_sense_is_refused_when_it_is_asked_for(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder
) -> None:
    def ask(act: Act, **more: object):  # type: ignore[no-untyped-def]
        return releases.ask_change(session, release, act, by=owner, ladder=ladder, reason="Why.", **more)  # type: ignore[arg-type]

    with pytest.raises(Invalid, match="not below"):
        await ask(Act.DEMOTE, target=Stage.OPEN)
    with pytest.raises(Invalid, match="not below"):
        await ask(Act.DEMOTE)
    with pytest.raises(Conflict, match="not under embargo"):
        await ask(Act.LIFT)
    with pytest.raises(Invalid, match="promotion is proposed"):
        await ask(Act.PROMOTE)
    with pytest.raises(Invalid, match="needs a reason"):
        await releases.ask_change(session, release, Act.WITHDRAW, by=owner, ladder=ladder, reason=" ")
    change = await ask(Act.WITHDRAW)
    with pytest.raises(Conflict, match="asked for already"):
        await ask(Act.WITHDRAW)
    with pytest.raises(Invalid, match="not a promotion"):
        await releases.promote(session, change, by=owner, ladder=ladder)
    await releases.close_proposal(session, change, by=owner, reason="Not after all.")
    await ask(Act.WITHDRAW)


async def test_a_promotion_may_stay_open_beside_a_change(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    promotion = await releases.propose(session, repo, release.commit_id, Stage.GATED, by=owner, ladder=ladder)
    await releases.ask_change(session, release, Act.WITHDRAW, by=owner, ladder=ladder, reason="Why.")
    assert (await releases.open_proposal(session, release)) == promotion
    assert [change.act for change in await releases.changes_of(session, release)] == [Act.WITHDRAW]


async def test_an_embargo_that_is_over_opens_only_if_everything_is_green(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder
) -> None:
    release.stage = Stage.GATED
    await session.flush()
    at = now()
    with time_machine.travel(at, tick=False):
        release = await releases.embargo(session, release, at + DAY, by=owner, reason="Paper.")
        assert await releases.due(session) == []
        same = await releases.open_or_hold(session, release.id, ladder=ladder)
        assert same.embargoed_until == at + DAY
    with time_machine.travel(at + DAY, tick=False):
        assert await releases.due(session) == [release.id]
        opened = await releases.open_or_hold(session, release.id, ladder=ladder)
        assert (opened.embargoed_until, opened.held_at) == (None, None)
        assert await releases.due(session) == []
    assert len(await events(session, "releases:release:open")) == 1


async def test_a_red_criterion_at_the_instant_holds_it_and_lifting_the_hold_checks_again(
    session: AsyncSession, owner: Principal, release: Release, ladder: Ladder
) -> None:
    release.stage = Stage.GATED
    terms, release.bundle_sha256 = release.bundle_sha256, "d" * 64  # its license text changed meanwhile
    await session.flush()
    at = now()
    with time_machine.travel(at, tick=False):
        release = await releases.embargo(session, release, at + DAY, by=owner, reason="Paper.")
    with time_machine.travel(at + DAY, tick=False):
        held = await releases.open_or_hold(session, release.id, ladder=ladder)
        assert held.held_at is not None
        assert "terms have changed" in held.hold_reason
        assert held.embargoed_until is not None
        assert await releases.due(session) == []
        again = await releases.resume(session, held, by=owner)
        again = await releases.open_or_hold(session, again.id, ladder=ladder)
        assert again.held_at is not None
        again = await releases.resume(session, again, by=owner)
        again.bundle_sha256 = terms
        await session.flush()
        opened = await releases.open_or_hold(session, again.id, ladder=ladder)
        assert (opened.held_at, opened.embargoed_until) == (None, None)


async def test_a_hold_by_the_hub_is_lifted_by_the_hub(
    session: AsyncSession, owner: Principal, release: Release
) -> None:
    held = await releases.hold(session, release, by=OPERATOR, reason="Reported.")
    with pytest.raises(NotAllowed, match="administrators of this hub"):
        await releases.resume(session, held, by=owner)
    free = await releases.resume(session, held, by=OPERATOR)
    assert (free.held_at, free.is_hub_hold) == (None, False)


async def test_a_deprecation_is_told_and_taken_back(session: AsyncSession, owner: Principal, release: Release) -> None:
    old = await releases.deprecate(session, release, by=owner, reason="A better one is there.")
    assert old.deprecated_at is not None
    assert (await releases.deprecate(session, old, by=owner, reason="It was not.")).deprecated_at is None
    kinds = [event.kind for event in await releases.timeline(session, release)]
    assert kinds[-2:] == ["releases:release:deprecate", "releases:release:undeprecate"]
