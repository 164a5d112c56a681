"""Whose files a release has is known behind a squash, a rewrite and a merge, so that they do not approve their own."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.community import pulls
from gatekeeper.releases import Ladder, Quorum, Stage
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
    assert (count.eligible, count.is_reached) == ({second.person_id}, False)


async def test_who_uploaded_what_was_written_anew_does_not_count(session: AsyncSession, ladder: Ladder) -> None:
    repo, _, [uploader, second] = await make_organization(session, 2)
    _, sha256 = await large(session, repo, uploader, "w.bin", b"weights")
    await commit(session, repo, "main", [AddFile("a.txt", b"a")], summary="After", by=uploader)
    await releases.delete_files(session, repo, [sha256], rewrite_history=True, by=second)
    head = await history.resolve_revision(session, repo, "main")
    count = await standing(session, repo, head, ladder, proposer=second, approver=uploader)
    assert (count.eligible, count.is_reached) == ({second.person_id}, False)


async def merged(session: AsyncSession, repo: Repo, author: Principal, by: Principal, folder: Path) -> str:
    """A commit of `author` that came through a pull request."""
    store = DirectoryStore(folder / "files")
    store.prepare()
    base = await history.resolve_revision(session, repo, "main")
    pull = await pulls.open_pull(session, repo, title="A change", text="Because.", by=author, base=base)
    changes = [AddFile("a.txt", b"a")]
    await pulls.commit(session, repo, pull, changes, summary="Change it", by=author, store=store, may_write=True)
    return await pulls.merge(session, repo, pull.num, by=by)


async def test_the_author_of_a_pull_request_counts_no_more_than_who_merged_it(
    session: AsyncSession, ladder: Ladder, tmp_path: Path
) -> None:
    repo, _, [author, merger, third] = await make_organization(session, 3)
    made = await merged(session, repo, author, merger, tmp_path)
    count = await standing(session, repo, made, ladder, proposer=author, approver=author)
    assert (count.eligible, count.is_reached) == ({third.person_id}, False)


async def test_of_two_maintainers_who_merged_the_others_work_approves_it(
    session: AsyncSession, ladder: Ladder, tmp_path: Path
) -> None:
    repo, _, [author, merger] = await make_organization(session, 2)
    made = await merged(session, repo, author, merger, tmp_path)
    count = await standing(session, repo, made, ladder, proposer=merger, approver=merger)
    assert (count.eligible, count.is_reached, count.is_self_approved) == ({merger.person_id}, True, False)


async def test_the_only_maintainer_is_alone_whoever_wrote_what_they_merged(
    session: AsyncSession, repo: Repo, owner: Principal, ladder: Ladder, tmp_path: Path
) -> None:
    _, _, [outsider] = await make_organization(session, 1)
    made = await merged(session, repo, outsider, owner, tmp_path)
    count = await standing(session, repo, made, ladder, proposer=owner, approver=owner)
    assert (count.is_reached, count.is_self_approved) == (True, True)
