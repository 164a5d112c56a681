"""An approval is of what its giver saw: what changes afterwards is approved anew."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict
from gatekeeper.releases import Act, Ladder, ProposalState, Release, Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import commit_files, events
from tests.gatekeeper.releases.test_promotion import make_organization, raised

pytestmark = pytest.mark.anyio


async def test_an_old_approval_does_not_carry_a_demoted_release_back_up(session: AsyncSession, ladder: Ladder) -> None:
    repo, release, [uploader, second] = await make_organization(session, 2)
    release.stage = Stage.TRUSTED_TEST
    await session.flush()
    proposal = await raised(session, repo, release, Stage.GATED, uploader, ladder)
    await releases.approve_proposal(session, proposal, by=second)
    lower = await releases.demote(session, release, Stage.INTERNAL, by=second, reason="Bias found.", ladder=ladder)
    with pytest.raises(Conflict, match="taken back"):
        await releases.promote(session, proposal, by=uploader, ladder=ladder)
    assert (await releases.get_proposal(session, proposal.id)).state is ProposalState.WITHDRAWN
    [event] = await events(session, "releases:proposal:withdraw")
    assert (event.subject_id, event.body["because"]) == (proposal.id, "demote")
    again = await raised(session, repo, lower, Stage.GATED, uploader, ladder)
    with pytest.raises(Conflict, match=r"0 of 1 approvals are given\.$"):
        await releases.promote(session, again, by=uploader, ladder=ladder)


async def test_a_withdrawal_ends_what_would_have_promoted(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    proposal = await raised(session, repo, release, Stage.GATED, owner, ladder)
    await releases.withdraw(session, release, by=owner, reason="Stolen data.")
    assert (await releases.get_proposal(session, proposal.id)).state is ProposalState.WITHDRAWN


async def test_an_approval_from_before_a_hold_counts_no_more_once_it_is_lifted(
    session: AsyncSession, ladder: Ladder
) -> None:
    repo, release, [uploader, second] = await make_organization(session, 2)
    proposal = await raised(session, repo, release, Stage.GATED, uploader, ladder)
    await releases.approve_proposal(session, proposal, by=second)
    held = await releases.hold(session, release, by=second, reason="Something is wrong.")
    await releases.resume(session, held, by=uploader)
    with pytest.raises(Conflict, match=r"0 of 1 approvals are given\. Earlier ones count no more"):
        await releases.promote(session, proposal, by=uploader, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=second)
    promoted = await releases.promote(session, proposal, by=uploader, ladder=ladder)
    assert promoted.stage is Stage.GATED


async def test_a_waiver_is_approved_by_somebody_who_saw_it(session: AsyncSession, ladder: Ladder) -> None:
    repo, _, [uploader, second] = await make_organization(session, 2)
    commit = await commit_files(session, repo, {"extra.bin": b"x"}, by=uploader)
    proposal = await releases.propose(session, repo, commit, Stage.GATED, by=uploader, ladder=ladder)
    release = await releases.get(session, proposal.release_id)
    seen = releases.standing_at(proposal, release)
    await releases.approve_proposal(session, proposal, by=second, seen=seen)
    proposal = await releases.waive(session, proposal, "safetensors_only", by=uploader, reason="It is fine.")
    [event] = await events(session, "releases:proposal:waive")
    assert event.body["lapsed"] == [second.person_id]
    with pytest.raises(Conflict, match="0 of 1 approvals"):
        await releases.promote(session, proposal, by=uploader, ladder=ladder)
    with pytest.raises(Conflict, match="since you read it"):
        await releases.approve_proposal(session, proposal, by=second, seen=seen)
    await releases.approve_proposal(session, proposal, by=second, seen=releases.standing_at(proposal, release))
    assert (await releases.promote(session, proposal, by=uploader, ladder=ladder)).stage is Stage.GATED


async def test_a_way_down_that_was_agreed_to_survives_a_hold(session: AsyncSession, ladder: Ladder) -> None:
    _, release, [first, second] = await make_organization(session, 2)
    release.stage = Stage.GATED
    await session.flush()
    change = await releases.ask_change(session, release, Act.WITHDRAW, by=first, ladder=ladder, reason="Stolen data.")
    await releases.approve_proposal(session, change, by=second)
    await releases.hold(session, release, by=first, reason="Until it is gone.")
    assert (await releases.carry_out(session, change, by=first, ladder=ladder)).withdrawn_at is not None
