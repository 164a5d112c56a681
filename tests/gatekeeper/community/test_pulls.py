from collections.abc import Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Principal
from gatekeeper.community import Discussion, Status, acts, diffs, proposals, pulls
from gatekeeper.errors import Conflict, Invalid, RevisionNotFound
from gatekeeper.repos import AddFile, CopyFile, DeletePath, Operation, Repo, Store, history

pytestmark = pytest.mark.anyio


async def opened(session: AsyncSession, repo: Repo, by: Principal) -> Discussion:
    base = await history.resolve_revision(session, repo, "main")
    return await pulls.open_pull(session, repo, title="A change", text="Because.", by=by, base=base)


async def added(
    session: AsyncSession, repo: Repo, pull: Discussion, operations: Sequence[Operation], by: Principal, store: Store
) -> str:
    return await pulls.commit(session, repo, pull, operations, summary="Change it", by=by, store=store, may_write=False)


async def content(session: AsyncSession, repo: Repo, path: str, revision: str = "main") -> bytes:
    commit = await history.resolve_revision(session, repo, revision)
    return await history.read_blob(session, repo, (await history.entry(session, repo, commit, path)).oid)


async def test_merging_joins_what_both_sides_changed(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    await added(session, repo, pull, [AddFile("folder/b.txt", b"b2\n"), DeletePath("a.txt")], bob, store)
    await added(session, repo, pull, [AddFile("deep/er/new.txt", b"new\n")], bob, store)
    await history.commit(session, repo, "main", [AddFile("folder/c.txt", b"c2\n")], summary="Mine", by=ada)
    before = await history.resolve_revision(session, repo, "main")
    made = await pulls.merge(session, repo, pull.num, by=ada)
    merged = await history.require_commit(session, repo, made)
    assert (merged.parents, merged.title) == ((before,), "A change (#1)")
    assert merged.message.count("Change it") == 2
    assert "Co-authored-by: bob <bob@" in merged.message
    files = [row.path for row in await history.tree(session, repo, made, recursive=True) if row.type == "file"]
    assert files == [".gitattributes", "deep/er/new.txt", "folder/b.txt", "folder/c.txt"]
    assert await content(session, repo, "folder/b.txt") == b"b2\n"
    assert await content(session, repo, "folder/c.txt") == b"c2\n"
    assert (pull.status, pull.merge_commit) == (Status.MERGED, made)


async def test_a_squashed_pull_request_is_a_proposal_that_merges_as_before(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    await added(session, repo, pull, [AddFile("b.txt", b"b\n"), DeletePath("a.txt")], bob, store)
    await added(session, repo, pull, [AddFile("c.txt", b"c\n")], bob, store)
    await history.commit(session, repo, "main", [AddFile("d.txt", b"d\n")], summary="Mine", by=ada)
    await pulls.squash(session, repo, "refs/pr/1", message="All in one", by=ada)
    [only] = await history.commits(session, repo, "refs/pr/1")
    assert only.title == "All in one"
    proposed = await proposals.find(session, repo.id, only.oid)
    assert proposed is not None
    assert proposed.base == pull.base_commit
    made = await pulls.merge(session, repo, pull.num, by=ada)
    assert [row.path for row in await history.tree(session, repo, made)] == [
        ".gitattributes",
        "b.txt",
        "c.txt",
        "d.txt",
        "folder",
    ]
    with pytest.raises(Conflict, match="merged"):
        await pulls.squash(session, repo, "refs/pr/1", message="Again", by=ada)


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ([AddFile("a.txt", b"x")], [AddFile("a.txt", b"y")], ("a.txt",)),
        ([AddFile("a.txt", b"x")], [DeletePath("a.txt")], ("a.txt",)),
        ([DeletePath("a.txt")], [AddFile("a.txt", b"y")], ("a.txt",)),
        ([AddFile("new", b"x")], [AddFile("new/file.txt", b"y")], ("new/file.txt",)),
        ([AddFile("new/file.txt", b"x")], [AddFile("new", b"y")], ("new",)),
        ([AddFile("a.txt", b"x")], [AddFile("a.txt", b"x"), AddFile("b.txt", b"y")], ()),
        ([DeletePath("a.txt")], [DeletePath("a.txt"), AddFile("b.txt", b"y")], ()),
    ],
    ids=["both change", "theirs is gone", "mine is gone", "file or folder", "folder or file", "same", "both gone"],
)
async def test_conflicts_are_what_both_sides_changed_differently(
    session: AsyncSession,
    repo: Repo,
    ada: Principal,
    bob: Principal,
    store: Store,
    mine: list[Operation],
    theirs: list[Operation],
    expected: tuple[str, ...],
) -> None:
    pull = await opened(session, repo, bob)
    await added(session, repo, pull, theirs, bob, store)
    await history.commit(session, repo, "main", mine, summary="Mine", by=ada)
    plan = await pulls.planned(session, repo, pull)
    assert plan is not None
    assert plan.conflicts == expected
    if not expected:
        await pulls.merge(session, repo, pull.num, by=ada)
        return
    before = await history.resolve_revision(session, repo, "main")
    with pytest.raises(Conflict) as refused:
        await pulls.merge(session, repo, pull.num, by=ada)
    assert refused.value.details["files"] == list(expected)
    assert await history.resolve_revision(session, repo, "main") == before


async def test_a_folder_gives_way_to_a_file_of_its_name(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    gone: list[Operation] = [DeletePath("folder/b.txt"), DeletePath("folder/c.txt")]
    await added(session, repo, pull, gone, bob, store)
    await added(session, repo, pull, [AddFile("folder", b"now a file")], bob, store)
    await pulls.merge(session, repo, pull.num, by=ada)
    assert await content(session, repo, "folder") == b"now a file"


async def test_what_is_closed_or_merged_changes_no_more(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    await added(session, repo, pull, [AddFile("b.txt", b"b")], bob, store)
    await acts.set_status(session, repo, 1, "closed", by=bob, moderates=False)
    for act in (
        pulls.merge(session, repo, 1, by=ada),
        added(session, repo, pull, [AddFile("c.txt", b"c")], bob, store),
    ):
        with pytest.raises(Conflict, match="closed"):
            await act
    await acts.set_status(session, repo, 1, "open", by=bob, moderates=False)
    await pulls.merge(session, repo, 1, by=ada)
    with pytest.raises(Conflict, match="merged"):
        await pulls.merge(session, repo, 1, by=ada)


async def test_a_pull_request_names_a_branch_and_a_reference_that_are_there(
    session: AsyncSession, repo: Repo, bob: Principal
) -> None:
    base = await history.resolve_revision(session, repo, "main")
    for target in ("refs/heads/gone", "refs/pr/1", "refs/tags/v1"):
        with pytest.raises(RevisionNotFound):
            await pulls.open_pull(session, repo, title="A change", text="", by=bob, base=base, target=target)
    await opened(session, repo, bob)
    for ref in ("refs/pr/2", "refs/pr/01", "refs/pr/1/x", "main"):
        with pytest.raises(RevisionNotFound):
            await pulls.of_ref(session, repo, ref)


async def test_an_outsider_copies_only_within_the_proposal(
    session: AsyncSession, repo: Repo, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    with pytest.raises(Invalid):
        await added(session, repo, pull, [CopyFile("x.txt", "a.txt", "main")], bob, store)
    await added(session, repo, pull, [CopyFile("x.txt", "a.txt")], bob, store)
    assert await content(session, repo, "x.txt", "refs/pr/1") == b"one\ntwo\nthree\n"


async def test_a_commit_is_its_authors_as_long_as_nobody_else_added_to_it(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    authors = []
    for number, by in enumerate((bob, bob, ada, bob)):
        made = await added(session, repo, pull, [AddFile(f"{number}.txt", b"x")], by, store)
        proposed = await proposals.find(session, repo.id, made)
        assert proposed is not None
        assert proposed.base == pull.base_commit
        authors.append(proposed.author_id)
    assert authors == [bob.person_id, bob.person_id, None, None]


async def test_a_diff_shows_texts_and_sums_up_the_rest(
    session: AsyncSession, repo: Repo, bob: Principal, store: Store
) -> None:
    pull = await opened(session, repo, bob)
    operations: list[Operation] = [
        AddFile("a.txt", b"one\n2\nthree\n"),
        AddFile("picture.dat", b"\0\1\2"),
        AddFile("long.txt", b"line\n" * 40_000),
        AddFile("secret.txt", b"hidden"),
        DeletePath("folder/b.txt"),
    ]
    await added(session, repo, pull, operations, bob, store)
    _, changes = await pulls.changes(session, repo, pull)
    files = await diffs.diff(session, repo, changes, may_read=lambda path, _: path != "secret.txt")
    text = diffs.text_of(files, count=len(changes))
    assert "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n" in text
    assert "--- a/folder/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n" in text
    assert "# binary files differ" in text
    assert "# too long to compare" in text
    assert "you may not read this file" in text
    assert "hidden" not in text
    assert "more files" in diffs.text_of(files, count=len(files) + 1)
