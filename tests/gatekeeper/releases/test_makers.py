"""Whose files a release has is known behind a squash, a rewrite and a merge, so that they do not approve their own."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts import Organization
from gatekeeper.accounts.principal import Principal
from gatekeeper.community import pulls
from gatekeeper.errors import Conflict
from gatekeeper.releases import Act, Ladder, Quorum, Stage
from gatekeeper.repos import AddFile, Repo, commit, history
from gatekeeper.repos.storage import DirectoryStore
from tests.gatekeeper.releases.test_promotion import make_organization
from tests.gatekeeper.releases.test_rewriting import large

pytestmark = pytest.mark.anyio


async def standing(
    session: AsyncSession, repo: Repo, oid: str, ladder: Ladder, *, proposer: Principal, approver: Principal
) -> Quorum:
    proposal = await releases.propose(session, repo, oid, Stage.GATED, by=proposer, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=approver)
    _, count = await releases.standing_of(session, proposal, ladder=ladder)
    return count


@pytest.mark.parametrize("squashed_by", ["the uploader", "another maintainer"])
async def test_who_uploaded_what_was_squashed_does_not_count(
    session: AsyncSession, ladder: Ladder, squashed_by: str
) -> None:
    repo, _, [uploader, second] = await make_organization(session, 2)
    by = uploader if squashed_by == "the uploader" else second
    for message in ("One", "One again"):
        made = await releases.squash(session, repo, "main", message=message, by=by)
    count = await standing(session, repo, made, ladder, proposer=second, approver=uploader)
    assert (set(count.eligible), count.is_reached) == ({second.person_id}, False)


@pytest.mark.parametrize("is_head", [True, False])
async def test_who_uploaded_what_was_written_anew_does_not_count(
    session: AsyncSession, ladder: Ladder, is_head: bool
) -> None:
    repo, _, [uploader, second] = await make_organization(session, 2)
    _, sha256 = await large(session, repo, uploader, "w.bin", b"weights")
    made = await commit(session, repo, "main", [AddFile("a.txt", b"a")], summary="After", by=uploader)
    if not is_head:
        await commit(session, repo, "main", [AddFile("b.txt", b"b")], summary="Later", by=second)
    renamed = await releases.delete_files(session, repo, [sha256], rewrite_history=True, by=second)
    count = await standing(session, repo, renamed[made], ladder, proposer=second, approver=uploader)
    assert (set(count.eligible), count.is_reached) == ({second.person_id}, False)


async def merged(
    session: AsyncSession, repo: Repo, author: Principal, by: Principal, folder: Path, *, second: str = ""
) -> str:
    """A commit of `author` that came through a pull request, in which `by` did `second`."""
    store = DirectoryStore(folder / "files")
    store.prepare()
    base = await history.resolve_revision(session, repo, "main")
    pull = await pulls.open_pull(session, repo, title="A change", text="Because.", by=author, base=base)
    changes = [AddFile("a.txt", b"a")]
    await pulls.commit(session, repo, pull, changes, summary="Change it", by=author, store=store, may_write=True)
    if second == "commits":
        more = [AddFile("b.txt", b"b")]
        await pulls.commit(session, repo, pull, more, summary="More", by=by, store=store, may_write=True)
    elif second == "squashes":
        await pulls.squash(session, repo, pulls.ref_of(pull), message="One", by=by)
    return await pulls.merge(session, repo, pull.num, by=by)


async def test_the_author_of_a_pull_request_counts_no_more_than_who_merged_it(
    session: AsyncSession, ladder: Ladder, tmp_path: Path
) -> None:
    repo, _, [author, merger, third] = await make_organization(session, 3)
    made = await merged(session, repo, author, merger, tmp_path)
    count = await standing(session, repo, made, ladder, proposer=author, approver=author)
    assert (set(count.eligible), count.is_reached) == ({third.person_id}, False)


async def test_of_two_maintainers_who_merged_the_others_work_approves_it(
    session: AsyncSession, ladder: Ladder, tmp_path: Path
) -> None:
    repo, _, [author, merger] = await make_organization(session, 2)
    made = await merged(session, repo, author, merger, tmp_path)
    count = await standing(session, repo, made, ladder, proposer=merger, approver=merger)
    assert (set(count.eligible), count.is_reached, count.is_self_approved) == ({merger.person_id}, True, False)


async def test_who_only_squashed_a_pull_request_is_no_author(
    session: AsyncSession, ladder: Ladder, tmp_path: Path
) -> None:
    repo, _, [author, merger] = await make_organization(session, 2)
    made = await merged(session, repo, author, merger, tmp_path, second="squashes")
    count = await standing(session, repo, made, ladder, proposer=author, approver=merger)
    assert (set(count.eligible), count.is_reached) == ({merger.person_id}, True)


async def test_where_every_maintainer_is_an_author_the_way_up_is_closed_and_the_way_down_is_not(
    session: AsyncSession, ladder: Ladder, tmp_path: Path
) -> None:
    repo, _, [author, merger] = await make_organization(session, 2)
    made = await merged(session, repo, author, merger, tmp_path, second="commits")
    up = await standing(session, repo, made, ladder, proposer=author, approver=merger)
    assert (up.eligible, up.is_reached) == (frozenset(), False)
    release = await releases.stage_of(session, repo, made)
    assert release is not None
    release.stage = Stage.OPEN
    change = await releases.ask_change(session, release, Act.WITHDRAW, by=author, ladder=ladder, reason="Stolen.")
    with pytest.raises(Conflict, match="0 of 1 approvals"):
        await releases.carry_out(session, change, by=author, ladder=ladder)
    await releases.approve_proposal(session, change, by=merger)
    gone = await releases.carry_out(session, change, by=author, ladder=ladder)
    assert gone.withdrawn_at is not None


async def test_a_way_down_needs_no_more_people_than_there_are(session: AsyncSession, ladder: Ladder) -> None:
    repo, release, [uploader, second] = await make_organization(session, 2)
    release.stage = Stage.OPEN
    organization = await session.get_one(Organization, repo.owner_organization_id)
    await releases.set_rule(session, organization, Stage.OPEN, by=uploader, ladder=ladder, approvals=3)
    change = await releases.ask_change(session, release, Act.WITHDRAW, by=uploader, ladder=ladder, reason="Stolen.")
    count = await releases.change_quorum(session, change, ladder=ladder)
    assert (count.needed, count.counted, count.is_reached) == (2, 1, False)
    await releases.approve_proposal(session, change, by=second)
    assert (await releases.carry_out(session, change, by=second, ladder=ladder)).withdrawn_at is not None


async def test_the_only_maintainer_is_alone_whoever_wrote_what_they_merged(
    session: AsyncSession, repo: Repo, owner: Principal, ladder: Ladder, tmp_path: Path
) -> None:
    _, _, [outsider] = await make_organization(session, 1)
    made = await merged(session, repo, outsider, owner, tmp_path)
    count = await standing(session, repo, made, ladder, proposer=owner, approver=owner)
    assert (count.is_reached, count.is_self_approved) == (True, True)
