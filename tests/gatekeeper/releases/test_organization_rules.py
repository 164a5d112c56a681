"""An organization asks for more than the hub does, never for less; and what time and testers count."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger, releases
from gatekeeper.accounts import organizations
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.releases import Ladder, Stage
from tests.gatekeeper.licensing.builders import events, make_person
from tests.gatekeeper.releases.test_promotion import make_organization

pytestmark = pytest.mark.anyio


async def test_more_is_asked_for_and_less_changes_nothing(session: AsyncSession, ladder: Ladder) -> None:
    repo, _, (first, *_) = await make_organization(session, 1)
    organization = await organizations.find(session, repo.namespace)
    assert organization is not None
    await releases.set_rule(session, organization, Stage.GATED, by=first, ladder=ladder, approvals=3, soak_days=7)
    await releases.set_rule(session, organization, Stage.OPEN, by=first, ladder=ladder, criteria=["testers"])
    own = await releases.ladder_for(session, repo, ladder)
    assert (own.rule(Stage.GATED).approvals, own.rule(Stage.GATED).soak_days) == (3, 7)
    assert own.rule(Stage.OPEN).approvals == ladder.rule(Stage.OPEN).approvals
    assert set(own.rule(Stage.OPEN).criteria) == {*ladder.rule(Stage.OPEN).criteria, "testers"}
    assert own.rule(Stage.INTERNAL) == ladder.rule(Stage.INTERNAL)
    await releases.set_rule(session, organization, Stage.GATED, by=first, ladder=ladder, sole_maintainer=False)
    own = await releases.ladder_for(session, repo, ladder)
    assert own.rule(Stage.GATED).approvals == ladder.rule(Stage.GATED).approvals
    assert own.rule(Stage.GATED).sole_maintainer is False
    assert len(await events(session, "releases:ladder:change")) == 3


@pytest.mark.parametrize("wrong", [{"approvals": -1}, {"approvals": 21}, {"soak_days": 4000}, {"criteria": ["magic"]}])
async def test_what_cannot_be_meant_is_refused(session: AsyncSession, ladder: Ladder, wrong: dict[str, object]) -> None:
    repo, _, (first,) = await make_organization(session, 1)
    organization = await organizations.find(session, repo.namespace)
    assert organization is not None
    with pytest.raises(Invalid):
        await releases.set_rule(session, organization, Stage.GATED, by=first, ladder=ladder, **wrong)  # type: ignore[arg-type]


async def test_a_promotion_waits_for_its_time_and_its_testers(session: AsyncSession, ladder: Ladder) -> None:
    repo, release, (first, second) = await make_organization(session, 2)
    organization = await organizations.find(session, repo.namespace)
    assert organization is not None
    await releases.set_rule(
        session, organization, Stage.INTERNAL, by=first, ladder=ladder, approvals=1, soak_days=2, testers=2
    )
    proposal = await releases.propose(session, repo, release.commit_id, Stage.INTERNAL, by=first, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=second)
    with pytest.raises(Conflict, match=r"0 of 2 days.*0 of 2 different people"):
        await releases.promote(session, proposal, by=first, ladder=ladder)
    tester = await make_person(session)
    fetched = {"action": "download", "path": "unet/model.safetensors", "digest": "a" * 64}
    with time_machine.travel(release.staged_at + timedelta(days=2), tick=False):
        for actor, body in ((first, fetched), (tester, {**fetched, "action": "read_card"})):
            await ledger.record(
                session,
                "repos:file:download",
                actor=actor.person_id,
                repo=repo.id,
                subject=release.commit_id,
                body=body,
            )
        await session.flush()
        with pytest.raises(Conflict, match="1 of 2 different people"):  # reading the card is not testing
            await releases.promote(session, proposal, by=first, ladder=ladder)
        await ledger.record(
            session,
            "generation:order:submit",
            actor=tester.person_id,
            repo=repo.id,
            subject="order",
            body={"commit": release.commit_id},
        )
        await session.flush()
        promoted = await releases.promote(session, proposal, by=first, ladder=ladder)
    assert promoted.stage is Stage.INTERNAL
    [holder] = await releases.holders(session, release)
    assert (holder.person_id, holder.files) == (first.person_id, (("unet/model.safetensors", "a" * 64),))
