import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing, releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.releases import Ladder, Release, Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import LICENSE, commit_files, events, make_person, make_repo

pytestmark = pytest.mark.anyio

LADDER = Ladder.load()


async def promote(session: AsyncSession, repo: Repo, commit: str, stage: Stage, by: Principal) -> Release:
    proposal = await releases.propose(session, repo, commit, stage, by=by, ladder=LADDER)
    return await releases.promote(session, proposal, by=by, ladder=LADDER)


@pytest.mark.parametrize(("license_id", "told"), [("creativeml-openrail-m", 1), ("openrail++", 0)])
async def test_holders_are_told_once_where_the_license_asks_for_the_latest_version(
    session: AsyncSession, license_id: str, told: int
) -> None:
    await licensing.add_license(session, license_id, LICENSE, title="A RAIL text")
    owner = await make_person(session)
    repo, first = await make_repo(session, owner, is_staged=True)
    await promote(session, repo, first, Stage.INTERNAL, owner)
    assert await events(session, "licensing:version:newer") == []
    second = await commit_files(session, repo, {"a.txt": b"newer"}, by=owner)
    await promote(session, repo, second, Stage.INTERNAL, owner)
    third = await commit_files(session, repo, {"a.txt": b"not released"}, by=owner)
    await releases.ensure(session, repo, third, by=owner)
    found = await events(session, "licensing:version:newer")
    assert [(event.body["commit"], event.body["licenses"]) for event in found] == [(second, [license_id])] * told
