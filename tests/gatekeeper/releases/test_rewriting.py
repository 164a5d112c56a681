import hashlib

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict
from gatekeeper.releases import Ladder, Release, Stage
from gatekeeper.repos import AddFile, AddLfs, DeletePath, Repo, RepoObject, StoredObject, commit, history, large_files
from gatekeeper.repos.rows import insert_missing

pytestmark = pytest.mark.anyio


async def large(session: AsyncSession, repo: Repo, owner: Principal, path: str, content: bytes) -> tuple[str, str]:
    """Commit an LFS file to main; returns the commit and the file's digest."""
    sha256 = hashlib.sha256(content).hexdigest()
    await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": len(content)}])
    await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])
    return await commit(session, repo, "main", [AddLfs(path, sha256)], summary=f"Add {path}", by=owner), sha256


async def released(session: AsyncSession, repo: Repo, oid: str, owner: Principal, ladder: Ladder) -> Release:
    proposal = await releases.propose(session, repo, oid, Stage.GATED, by=owner, ladder=ladder)
    found = await releases.stage_of(session, repo, oid)
    assert found is not None
    assert proposal.release_id == found.id
    return found


async def test_drafts_may_be_squashed_and_the_result_is_a_draft(
    session: AsyncSession, repo: Repo, owner: Principal
) -> None:
    await commit(session, repo, "main", [AddFile("a.txt", b"a")], summary="a", by=owner)
    made = await releases.squash(session, repo, "main", message="One", by=owner)
    assert [row.oid for row in await history.commits(session, repo, "main")] == [made]
    draft = await releases.stage_of(session, repo, made)
    assert draft is not None
    assert draft.stage is Stage.DRAFT


async def test_a_squash_that_would_lose_a_release_is_refused_by_its_name(
    session: AsyncSession, repo: Repo, release: Release, owner: Principal, ladder: Ladder
) -> None:
    await released(session, repo, release.commit_id, owner, ladder)
    head = await commit(session, repo, "main", [AddFile("a.txt", b"a")], summary="a", by=owner)
    with pytest.raises(Conflict, match=release.id):
        await releases.squash(session, repo, "main", message="One", by=owner)
    assert await history.resolve_revision(session, repo, "main") == head


async def test_another_branch_may_be_squashed_while_main_keeps_the_release(
    session: AsyncSession, repo: Repo, release: Release, owner: Principal, ladder: Ladder
) -> None:
    await released(session, repo, release.commit_id, owner, ladder)
    await history.create_branch(session, repo, "side", start=None, by=owner)
    made = await releases.squash(session, repo, "side", message="One", by=owner)
    assert await history.resolve_revision(session, repo, "side") == made
    assert await history.resolve_revision(session, repo, "main") == release.commit_id


async def test_files_of_a_release_are_not_deleted_even_where_no_branch_has_them(
    session: AsyncSession, repo: Repo, owner: Principal, ladder: Ladder
) -> None:
    oid, sha256 = await large(session, repo, owner, "w.bin", b"weights")
    release = await released(session, repo, oid, owner, ladder)
    await commit(session, repo, "main", [DeletePath("w.bin")], summary="Remove", by=owner)
    for rewrite in (True, False):
        with pytest.raises(Conflict, match=release.id):
            await releases.delete_files(session, repo, [sha256], rewrite_history=rewrite, by=owner)
    assert [row.sha256 for row in await large_files.listing(session, repo)] == [sha256]


async def test_a_release_above_a_commit_that_would_change_is_not_rewritten(
    session: AsyncSession, repo: Repo, owner: Principal, ladder: Ladder
) -> None:
    _, sha256 = await large(session, repo, owner, "w.bin", b"weights")
    oid = await commit(session, repo, "main", [DeletePath("w.bin")], summary="Remove", by=owner)
    release = await released(session, repo, oid, owner, ladder)
    with pytest.raises(Conflict, match=release.id):
        async with session.begin_nested():
            await releases.delete_files(session, repo, [sha256], rewrite_history=True, by=owner)
    await session.refresh(repo)
    assert await history.resolve_revision(session, repo, "main") == oid
    await releases.delete_files(session, repo, [sha256], rewrite_history=False, by=owner)
    assert await history.resolve_revision(session, repo, "main") == oid
    assert await large_files.listing(session, repo) == []


async def test_rewriting_keeps_what_lies_below_and_messages_and_makes_a_draft_of_the_head(
    session: AsyncSession, repo: Repo, release: Release, owner: Principal
) -> None:
    _, sha256 = await large(session, repo, owner, "sub/w.bin", b"weights")
    await commit(session, repo, "main", [AddFile("a.txt", b"a")], summary="After", by=owner)
    await history.create_tag(session, repo, "v1", target="main", by=owner)
    await releases.delete_files(session, repo, [sha256], rewrite_history=True, by=owner)
    rows = await history.commits(session, repo, "main")
    assert [row.title for row in rows[:2]] == ["After", "Add sub/w.bin"]
    assert rows[2].oid == release.commit_id
    paths = {entry.path for entry in await history.tree(session, repo, rows[0].oid, recursive=True)}
    assert "a.txt" in paths
    assert not any(path.startswith("sub") for path in paths)
    assert await history.resolve_revision(session, repo, "v1") == rows[0].oid
    assert await releases.stage_of(session, repo, rows[0].oid) is not None
