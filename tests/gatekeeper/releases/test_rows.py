import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing, releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.releases import Release, Stage
from gatekeeper.repos import Repo, history, manifests
from tests.gatekeeper.licensing.builders import commit_files, events, make_person, make_repo

pytestmark = pytest.mark.anyio


async def test_staging_makes_the_head_a_draft_bound_to_files_and_terms(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release
) -> None:
    terms = await licensing.terms_for(session, repo, release.commit_id)
    assert terms is not None
    assert (release.stage, release.bundle_sha256) == (Stage.DRAFT, terms.sha256)
    assert release.manifest_sha256 == (await manifests.manifest(session, repo, release.commit_id)).sha256
    [staged] = await events(session, "releases:repo:stage")
    assert staged.body == {"before": {"is_private": False, "gate": "manual"}, "after": {"is_staged": True}}
    [draft] = await events(session, "releases:release:draft")
    assert (draft.body["before"], draft.body["after"]["stage"]) == (None, "draft")
    with pytest.raises(Conflict, match="already"):
        await releases.enable_staging(session, repo, by=owner)


async def test_ensuring_twice_makes_one_release(session: AsyncSession, repo: Repo, release: Release) -> None:
    again = await releases.ensure(session, repo, release.commit_id)
    assert again.id == release.id
    assert len(await events(session, "releases:release:draft")) == 1


async def test_each_commit_is_a_release_of_its_own(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release
) -> None:
    second = await commit_files(session, repo, {"notes.txt": b"more"}, by=owner)
    assert await releases.stage_of(session, repo, second) is None
    made = await releases.ensure(session, repo, second, by=owner)
    assert made.manifest_sha256 != release.manifest_sha256
    assert [one.commit_id for one in await releases.list_for(session, repo)] == [second, release.commit_id]


async def test_unknown_release_is_not_found(session: AsyncSession) -> None:
    with pytest.raises(NotFound):
        await releases.get(session, "nothing")


async def test_timeline_tells_what_happened_in_order(session: AsyncSession, owner: Principal, release: Release) -> None:
    release = await releases.hold(session, release, by=owner, reason="Look at this.")
    await releases.resume(session, release, by=owner)
    await session.flush()
    kinds = [event.kind.rpartition(":")[2] for event in await releases.timeline(session, release)]
    assert kinds == ["draft", "hold", "resume"]


async def test_second_of_two_changes_at_once_is_told(database: Database) -> None:
    async with database.write() as session:
        owner = await make_person(session)
        repo, _ = await make_repo(session, owner)
        release = await releases.enable_staging(session, repo, by=owner)
    async with database.read() as session:
        seen = await releases.get(session, release.id)
    async with database.write() as session:
        await releases.hold(session, release, by=owner, reason="First.")
    with pytest.raises(Conflict, match="on hold"):
        async with database.write() as session:
            await releases.withdraw(session, seen, by=owner, reason="Second.")
    async with database.read() as session:
        now_there = await releases.get(session, release.id)
    assert (now_there.hold_reason, now_there.withdrawn_at, now_there.version) == ("First.", None, 1)


async def test_a_new_commit_on_main_becomes_a_draft_and_on_another_branch_does_not(
    session: AsyncSession, owner: Principal, repo: Repo
) -> None:
    [first] = await releases.list_for(session, repo)
    change = [history.AddFile("notes.txt", b"new")]
    await history.create_branch(session, repo, "side", start="main", by=owner)
    aside = await history.commit(session, repo, "side", change, summary="Aside", by=owner)
    await releases.take_note(session, repo, aside, branch="side", by=owner)
    assert await releases.stage_of(session, repo, aside) is None

    made = await history.commit(session, repo, "main", change, summary="More", by=owner)
    await releases.take_note(session, repo, made, branch="main", by=owner)

    draft = await releases.stage_of(session, repo, made)
    assert draft is not None
    assert draft.id != first.id
    assert draft.stage is Stage.DRAFT
