import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts import organizations, people, principals
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.accounts.tables import Role
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.releases import Ladder, Proposal, ProposalState, Release, Stage
from gatekeeper.repos import Repo, RepoKind, catalogue
from tests.gatekeeper.licensing.builders import LICENSE, commit_files, events, make_person, make_repo
from tests.gatekeeper.releases.conftest import CARD, safetensors

pytestmark = pytest.mark.anyio

FILES = {"README.md": CARD, "LICENSE": LICENSE, "unet/model.safetensors": safetensors()}


async def raised(
    session: AsyncSession, repo: Repo, release: Release, target: Stage, by: Principal, ladder: Ladder
) -> Proposal:
    return await releases.propose(session, repo, release.commit_id, target, by=by, ladder=ladder)


async def make_organization(session: AsyncSession, size: int) -> tuple[Repo, Release, list[Principal]]:
    """A staged repository of an organization with `size` administrators; the first of them uploaded it."""
    names = [(await make_person(session)).name for _ in range(size)]
    first = await people.find(session, names[0])
    assert first is not None
    organization = await organizations.create(
        session, f"org-{names[0]}", by=await principals.for_person(session, first)
    )
    founder = await principals.for_person(session, first)
    for name in names[1:]:
        person = await people.find(session, name)
        assert person is not None
        await organizations.add_member(session, organization, person, Role.ADMIN, by=founder)
    await session.flush()
    admins = []
    for name in names:
        person = await people.find(session, name)
        assert person is not None
        admins.append(await principals.for_person(session, person))
    repo = await catalogue.create(session, RepoKind.MODEL, organization.name, "model", by=admins[0])
    await commit_files(session, repo, FILES, by=admins[0])
    release = await releases.enable_staging(session, repo, by=admins[0])
    return repo, release, admins


async def test_sole_maintainer_takes_a_good_release_up_and_it_is_recorded_as_self_approved(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    proposal = await raised(session, repo, release, Stage.GATED, owner, ladder)
    assert all(row["is_met"] for row in proposal.criteria)
    with pytest.raises(Conflict, match="0 of 1 approvals"):
        await releases.promote(session, proposal, by=owner, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=owner)
    proposal = await releases.get_proposal(session, proposal.id)
    release = await releases.promote(session, proposal, by=owner, ladder=ladder)
    assert release.stage is Stage.GATED
    assert (await releases.get_proposal(session, proposal.id)).state is ProposalState.EFFECTIVE
    assert await releases.open_proposal(session, release) is None
    [event] = await events(session, "releases:release:promote")
    assert (event.body["before"]["stage"], event.body["after"]["stage"]) == ("draft", "gated")
    assert event.body["is_self_approved"] is True
    assert event.body["approved_by"] == [owner.person_id]
    assert len(await events(session, "releases:proposal:propose")) == 1
    assert len(await events(session, "releases:proposal:approve")) == 1
    with pytest.raises(Conflict, match="effective already"):
        await releases.promote(session, proposal, by=owner, ladder=ladder)


async def test_first_step_needs_no_approval(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    proposal = await raised(session, repo, release, Stage.INTERNAL, owner, ladder)
    assert (await releases.promote(session, proposal, by=OPERATOR, ladder=ladder)).stage is Stage.INTERNAL


async def test_uploader_does_not_count_where_another_maintainer_is(session: AsyncSession, ladder: Ladder) -> None:
    repo, release, [uploader, second] = await make_organization(session, 2)
    proposal = await raised(session, repo, release, Stage.GATED, uploader, ladder)
    await releases.approve_proposal(session, proposal, by=uploader)
    with pytest.raises(Conflict, match="0 of 1 approvals"):
        await releases.promote(session, proposal, by=uploader, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=second)
    promoted = await releases.promote(session, proposal, by=uploader, ladder=ladder)
    assert promoted.stage is Stage.GATED
    [event] = await events(session, "releases:release:promote")
    assert event.body["approved_by"] == [second.person_id]
    assert event.body["is_self_approved"] is False


async def test_proposer_does_not_count_while_others_are_there(session: AsyncSession, ladder: Ladder) -> None:
    repo, release, [_, second, third] = await make_organization(session, 3)
    proposal = await raised(session, repo, release, Stage.GATED, second, ladder)
    await releases.approve_proposal(session, proposal, by=second)
    _, count = await releases.standing_of(session, proposal, ladder=ladder)
    assert count.eligible == {third.person_id}
    assert not count.is_reached


async def test_proposer_who_did_not_upload_is_the_second_pair_of_eyes_of_two(
    session: AsyncSession, ladder: Ladder
) -> None:
    repo, release, [_, second] = await make_organization(session, 2)
    proposal = await raised(session, repo, release, Stage.GATED, second, ladder)
    await releases.approve_proposal(session, proposal, by=second)
    _, count = await releases.standing_of(session, proposal, ladder=ladder)
    assert count.is_reached


async def test_approval_of_somebody_who_is_no_maintainer_does_not_count(
    session: AsyncSession, repo: Repo, release: Release, owner: Principal, ladder: Ladder
) -> None:
    proposal = await raised(session, repo, release, Stage.GATED, owner, ladder)
    await releases.approve_proposal(session, proposal, by=await make_person(session))
    _, count = await releases.standing_of(session, proposal, ladder=ladder)
    assert (count.counted, count.needed) == (0, 1)


async def test_approval_counts_no_more_when_its_giver_is_disabled(session: AsyncSession, ladder: Ladder) -> None:
    repo, release, [uploader, second, third] = await make_organization(session, 3)
    proposal = await raised(session, repo, release, Stage.GATED, third, ladder)
    await releases.approve_proposal(session, proposal, by=second)
    person = await people.find(session, second.name)
    assert person is not None
    person.is_disabled = True
    await session.flush()
    _, count = await releases.standing_of(session, proposal, ladder=ladder)
    assert not count.is_reached
    assert uploader.person_id not in count.eligible


@pytest.mark.parametrize(
    ("files", "unmet"),
    [
        ({"LICENSE": b""}, "license_text"),
        ({"README.md": b"---\nlicense: mit\n---\nShort."}, "card_complete"),
        ({"README.md": b"no metadata at all"}, "card_complete"),
        ({"weights/pytorch_model.bin": b"x"}, "safetensors_only"),
        ({"old.CKPT": b"x"}, "safetensors_only"),
        ({"pipeline.py": b"import os"}, "safetensors_only"),
    ],
    ids=["no license", "short card", "bare card", "pickle", "checkpoint", "code"],
)
async def test_unmet_criterion_stops_the_promotion_and_says_why(
    session: AsyncSession, owner: Principal, ladder: Ladder, files: dict[str, bytes], unmet: str
) -> None:
    wanted = {path: content for path, content in (FILES | files).items() if content}
    repo, commit = await make_repo(session, owner, files=wanted)
    await releases.enable_staging(session, repo, by=owner)
    proposal = await releases.propose(session, repo, commit, Stage.GATED, by=owner, ladder=ladder)
    assert [row["id"] for row in proposal.criteria if not row["is_met"]] == [unmet]
    await releases.approve_proposal(session, proposal, by=owner)
    with pytest.raises(Conflict) as refused:
        await releases.promote(session, proposal, by=owner, ladder=ladder)
    row = next(row for row in refused.value.details["criteria"] if row["id"] == unmet)
    assert row["detail"] in refused.value.message
    release = await releases.stage_of(session, repo, commit)
    assert release is not None
    assert release.stage is Stage.DRAFT


async def test_waiver_lets_pass_with_name_and_reason(
    session: AsyncSession, owner: Principal, repo: Repo, ladder: Ladder
) -> None:
    commit = await commit_files(session, repo, {"extra.bin": b"x"}, by=owner)
    proposal = await releases.propose(session, repo, commit, Stage.GATED, by=owner, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=owner)
    with pytest.raises(Invalid):
        await releases.waive(session, proposal, "safetensors_only", by=owner, reason=" ")
    for criterion in ("not_held", "below_target", "unknown"):
        with pytest.raises(Invalid, match="cannot be waived"):
            await releases.waive(session, proposal, criterion, by=owner, reason="Because.")
    with pytest.raises(Conflict, match="is met"):
        await releases.waive(session, proposal, "license_text", by=owner, reason="Because.")
    proposal = await releases.waive(session, proposal, "safetensors_only", by=owner, reason="A vocabulary file.")
    await releases.approve_proposal(session, proposal, by=owner)
    release = await releases.promote(session, proposal, by=owner, ladder=ladder)
    assert release.stage is Stage.GATED
    kept = (await releases.get_proposal(session, proposal.id)).criteria
    waived = next(row for row in kept if row["id"] == "safetensors_only")
    assert (waived["waived_by"], waived["waiver"]) == (owner.person_id, "A vocabulary file.")
    [event] = await events(session, "releases:release:promote")
    assert event.body["waived"] == ["safetensors_only"]
    assert len(await events(session, "releases:proposal:waive")) == 1


async def test_held_release_does_not_go_up(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    proposal = await raised(session, repo, release, Stage.INTERNAL, owner, ladder)
    await releases.hold(session, release, by=owner, reason="Wait.")
    with pytest.raises(Conflict, match="on hold"):
        await releases.promote(session, proposal, by=owner, ladder=ladder)


async def test_one_proposal_at_a_time_and_only_up(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    with pytest.raises(Invalid, match="not below"):
        await raised(session, repo, release, Stage.DRAFT, owner, ladder)
    proposal = await raised(session, repo, release, Stage.INTERNAL, owner, ladder)
    with pytest.raises(Conflict, match="proposed already"):
        await raised(session, repo, release, Stage.GATED, owner, ladder)
    closed = await releases.close_proposal(session, proposal, by=owner, reason="Too early.")
    assert closed.state is ProposalState.WITHDRAWN
    other = await raised(session, repo, release, Stage.GATED, owner, ladder)
    refused = await releases.close_proposal(session, other, by=OPERATOR, reason="Not yet.")
    assert refused.state is ProposalState.REFUSED
    for act in (
        releases.approve_proposal(session, refused, by=owner),
        releases.waive(session, refused, "license_text", by=owner, reason="Because."),
        releases.promote(session, refused, by=owner, ladder=ladder),
        releases.close_proposal(session, refused, by=owner, reason="Again."),
    ):
        with pytest.raises(Conflict, match="was refused"):
            await act
    assert [one.id for one in await releases.proposals_of(session, release)] == [other.id, proposal.id]


async def test_repository_without_stages_has_no_proposals(
    session: AsyncSession, owner: Principal, ladder: Ladder
) -> None:
    repo, commit = await make_repo(session, owner)
    with pytest.raises(Invalid, match="not released in stages"):
        await releases.propose(session, repo, commit, Stage.OPEN, by=owner, ladder=ladder)


async def test_bad_words_are_refused(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, ladder: Ladder
) -> None:
    with pytest.raises(Invalid, match="2,001 characters"):
        await releases.propose(session, repo, release.commit_id, Stage.OPEN, by=owner, ladder=ladder, note="x" * 2_001)
    proposal = await raised(session, repo, release, Stage.OPEN, owner, ladder)
    with pytest.raises(Invalid, match="2,001 characters"):
        await releases.approve_proposal(session, proposal, by=owner, note="x" * 2_001)
    with pytest.raises(NotAllowed):
        await releases.approve_proposal(session, proposal, by=OPERATOR)
    await releases.approve_proposal(session, proposal, by=owner)
    with pytest.raises(Conflict, match="approved this promotion already"):
        await releases.approve_proposal(session, proposal, by=owner)
    with pytest.raises(NotFound):
        await releases.get_proposal(session, "nothing")


async def test_of_two_promotions_at_once_one_wins(database: Database, ladder: Ladder) -> None:
    async with database.write() as session:
        owner = await make_person(session)
        repo, commit = await make_repo(session, owner, files=FILES)
        await releases.enable_staging(session, repo, by=owner)
        proposal = await releases.propose(session, repo, commit, Stage.INTERNAL, by=owner, ladder=ladder)
    async with database.read() as session:
        seen = await releases.get_proposal(session, proposal.id)
    async with database.write() as session:
        await releases.promote(session, proposal, by=owner, ladder=ladder)
    with pytest.raises(Conflict):
        async with database.write() as session:
            await releases.promote(session, seen, by=owner, ladder=ladder)
    async with database.read() as session:
        count = await session.scalar(
            sa.text("SELECT count(*) FROM ledger_event WHERE kind = 'releases:release:promote'")
        )
    assert count == 1


async def test_two_approvals_at_once_both_count_and_none_comes_after_the_end(
    database: Database, ladder: Ladder
) -> None:
    async with database.write() as session:
        repo, release, [first, second, third] = await make_organization(session, 3)
        proposal = await raised(session, repo, release, Stage.GATED, first, ladder)
    async with database.read() as session:
        seen = await releases.get_proposal(session, proposal.id)
    for by in (second, third):
        async with database.write() as session:
            await releases.approve_proposal(session, seen, by=by)
    async with database.write() as session:
        mine = await releases.get_proposal(session, proposal.id)
        _, count = await releases.standing_of(session, mine, ladder=ladder)
        assert count.counted == 2
        await releases.promote(session, mine, by=first, ladder=ladder)
    with pytest.raises(Conflict, match="effective already"):
        async with database.write() as session:
            await releases.approve_proposal(session, seen, by=first)
