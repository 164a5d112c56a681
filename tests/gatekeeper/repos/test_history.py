"""Commits, folders and revisions; every id is one that Git itself computes."""

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, EntryNotFound, Invalid, RevisionNotFound, Stale, TooLarge
from gatekeeper.repos import (
    AddFile,
    AddLfs,
    CopyFile,
    DeleteFolder,
    DeletePath,
    Repo,
    RepoKind,
    Store,
    catalogue,
    history,
)
from gatekeeper.repos import commits as committing
from gatekeeper.repos.objects import parse_pointer, pointer_text
from gatekeeper.repos.tables import GitObject, GitRef

pytestmark = pytest.mark.anyio

Stored = Callable[[Repo, bytes], Awaitable[str]]


async def change(session: AsyncSession, repo: Repo, by: Principal, *operations: history.Operation, **more: str) -> str:
    options = {"summary": "Change", "description": "", **more}
    return await history.commit(session, repo, "main", operations, by=by, **options)  # type: ignore[arg-type]


async def paths(session: AsyncSession, repo: Repo, commit: str) -> list[str]:
    found = await history.tree(session, repo, commit, recursive=True)
    return [entry.path for entry in found if entry.type == "file" and entry.path != ".gitattributes"]


async def export(session: AsyncSession, repo: Repo, folder: Path) -> None:
    """Write every object and reference into a bare repository of the `git` command; git computes the ids itself."""
    git(folder, "init", "--bare", "--quiet", ".")
    for row in await session.scalars(sa.select(GitObject).where(col(GitObject.repo_id) == repo.id)):
        made = git(folder, "hash-object", "-w", "--stdin", "-t", row.kind, data=row.content)
        assert made == row.object_id
    for ref in await session.scalars(sa.select(GitRef).where(col(GitRef.repo_id) == repo.id)):
        git(folder, "update-ref", ref.name, ref.object_id)


def git(folder: Path, *arguments: str, data: bytes = b"") -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, input=data, capture_output=True, check=True)
    return done.stdout.decode().strip()


async def test_git_itself_agrees_with_every_id(
    session: AsyncSession, repo: Repo, ada: Principal, tmp_path: Path, stored: Stored
) -> None:
    sha256 = await stored(repo, b"weights")
    await change(session, repo, ada, AddFile("README.md", b"# Demo\n"), AddFile("a/b/c.txt", b"c"), AddFile("a.b", b""))
    await change(session, repo, ada, AddLfs("unet/model.bin", sha256), AddFile("a/é b", b"x"), description="Why.\nSo.")
    head = await change(session, repo, ada, DeletePath("a/b/c.txt"), summary="Löschen")
    (tmp_path / "git").mkdir()
    await export(session, repo, tmp_path / "git")

    assert git(tmp_path / "git", "fsck", "--strict", "--no-dangling") == ""
    assert git(tmp_path / "git", "rev-parse", "main") == head
    listed = git(tmp_path / "git", "-c", "core.quotepath=off", "ls-tree", "-r", "-t", "main").splitlines()
    assert {(line.split()[2], line.split("\t")[1]) for line in listed} == {
        (entry.oid, entry.path) for entry in await history.tree(session, repo, head, recursive=True)
    }
    assert git(tmp_path / "git", "log", "--format=%s|%b|%an|%ae", "main").splitlines()[0] == (
        "Löschen||ada|ada@users.noreply.gatekeeper.invalid"
    )
    [_, second, _, _] = await history.commits(session, repo, "main")
    assert (second.title, second.message) == ("Change", "Why.\nSo.")


async def test_a_listing_holds_folders_and_the_sizes_a_reader_gets(
    session: AsyncSession, repo: Repo, ada: Principal, stored: Stored
) -> None:
    sha256 = await stored(repo, b"x" * 1000)
    head = await change(session, repo, ada, AddLfs("unet/model.bin", sha256), AddFile("unet/config.json", b"{}"))

    [folder] = [entry for entry in await history.tree(session, repo, head) if entry.path == "unet"]
    assert (folder.type, folder.size) == ("directory", 0)
    config, model = await history.tree(session, repo, head, "unet")
    assert (config.path, config.size, config.lfs) == ("unet/config.json", 2, None)
    assert model.lfs is not None
    pointer = pointer_text(sha256, 1000)
    assert (model.size, model.lfs.sha256, model.lfs.size, model.lfs.pointer_size) == (1000, sha256, 1000, len(pointer))
    assert await history.read_blob(session, repo, model.oid) == pointer
    recursive = await history.tree(session, repo, head, recursive=True)
    assert [entry.path for entry in recursive] == [".gitattributes", "unet", "unet/config.json", "unet/model.bin"]
    assert await history.entries(session, repo, head, ["nope", "unet/config.json", "unet", "../x"]) == [config, folder]


@pytest.mark.parametrize("path", ["nope", "README.md/x", "a/../README.md", "", "/README.md", "a\0", "\ud800"])
async def test_a_missing_entry_is_not_found(session: AsyncSession, repo: Repo, ada: Principal, path: str) -> None:
    head = await change(session, repo, ada, AddFile("README.md", b"x"))
    with pytest.raises(EntryNotFound):
        await history.entry(session, repo, head, path)


async def test_a_file_is_no_folder_to_list(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    head = await change(session, repo, ada, AddFile("README.md", b"x"))
    with pytest.raises(EntryNotFound):
        await history.tree(session, repo, head, "README.md")


async def test_an_old_commit_keeps_its_listing(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    first = await change(session, repo, ada, AddFile("a", b"1"), AddFile("d/b", b"2"))
    before = await history.tree(session, repo, first, recursive=True)
    await change(session, repo, ada, AddFile("a", b"3"), DeletePath("d"))
    assert await history.tree(session, repo, first, recursive=True) == before


async def test_only_changed_folders_are_written(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await change(session, repo, ada, *(AddFile(f"d{number}/f", b"x") for number in range(20)))
    count = sa.select(sa.func.count()).select_from(GitObject).where(col(GitObject.kind) == "tree")
    before = await session.scalar(count) or 0
    await change(session, repo, ada, AddFile("d3/f", b"y"))
    assert await session.scalar(count) == before + 2  # the root and d3


async def test_operations_apply_in_order(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await change(session, repo, ada, AddFile("a", b"1"), AddFile("d/x", b"2"), AddFile("d/e/y", b"3"))
    head = await change(session, repo, ada, DeletePath("a"), AddFile("a/now/folder", b"1"), DeleteFolder("d"))
    assert await paths(session, repo, head) == ["a/now/folder"]
    head = await change(session, repo, ada, CopyFile("copy", "a/now/folder"), DeletePath("a"))
    assert await paths(session, repo, head) == ["copy"]


async def test_deleting_everything_leaves_an_empty_tree(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    head = await change(session, repo, ada, DeletePath(".gitattributes"))
    assert await history.tree(session, repo, head, recursive=True) == []
    head = await change(session, repo, ada, AddFile("a", b"1"))
    assert await paths(session, repo, head) == ["a"]


@pytest.mark.parametrize("operation", [DeletePath("nope"), DeletePath("a/b"), DeleteFolder("a"), CopyFile("b", "nope")])
async def test_deleting_or_copying_what_is_not_there_is_not_found(
    session: AsyncSession, repo: Repo, ada: Principal, operation: history.Operation
) -> None:
    await change(session, repo, ada, AddFile("a", b"1"))
    with pytest.raises(EntryNotFound):
        await change(session, repo, ada, operation)


@pytest.mark.parametrize(
    "operations", [[AddFile("d", b"")], [AddFile("f/x", b"")], [AddFile("n", b""), AddFile("n/x", b"")]]
)
async def test_a_file_never_silently_replaces_a_folder(
    session: AsyncSession, repo: Repo, ada: Principal, operations: list[history.Operation]
) -> None:
    await change(session, repo, ada, AddFile("d/x", b"1"), AddFile("f", b"1"))
    with pytest.raises(Invalid) as refused:
        await change(session, repo, ada, *operations)
    assert refused.value.status == 422


async def test_a_commit_that_changes_nothing_is_the_head(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    head = await change(session, repo, ada, AddFile("a", b"1"))
    assert await change(session, repo, ada, AddFile("a", b"1")) == head


async def test_a_commit_on_a_stale_parent_is_refused(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    first = await history.resolve_revision(session, repo, "main")
    second = await change(session, repo, ada, AddFile("a", b"1"), parent=first)
    with pytest.raises(Stale, match="The branch was updated since you opened this page"):
        await change(session, repo, ada, AddFile("a", b"2"), parent=first)
    assert await history.resolve_revision(session, repo, "main") == second
    assert await change(session, repo, ada, AddFile("a", b"2"), parent=second[:7])


@pytest.mark.parametrize("branch", ["nope", "refs/tags/v1", "refs/heads/nope", "refs/pr/7", "", "a\0", "\ud800"])
async def test_a_commit_needs_a_branch(session: AsyncSession, repo: Repo, ada: Principal, branch: str) -> None:
    await history.create_tag(session, repo, "v1", target="main", by=ada)
    with pytest.raises(RevisionNotFound):
        await history.commit(session, repo, branch, [AddFile("a", b"1")], summary="x", by=ada)


@pytest.mark.parametrize("summary", ["", "  ", "a\0b", "\ud800"])
async def test_a_commit_needs_a_summary_that_git_can_hold(
    session: AsyncSession, repo: Repo, ada: Principal, summary: str
) -> None:
    with pytest.raises(Invalid):
        await change(session, repo, ada, AddFile("a", b"1"), summary=summary)


async def test_too_much_in_one_commit_is_refused(
    session: AsyncSession, repo: Repo, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "MAX_INLINE_BYTES", 10)
    monkeypatch.setattr(committing, "MAX_OPERATIONS", 2)
    with pytest.raises(TooLarge):
        await change(session, repo, ada, AddFile("a", b"x" * 11))
    with pytest.raises(TooLarge):
        await change(session, repo, ada, *(AddFile(str(number), b"") for number in range(3)))


async def test_bytes_in_the_store_may_be_named_only_where_they_were_uploaded(
    session: AsyncSession, repo: Repo, ada: Principal, grace: Principal, stored: Stored
) -> None:
    sha256 = await stored(repo, b"secret weights")
    other = await catalogue.create(session, RepoKind.MODEL, "grace", "thief", by=grace)
    pointer = pointer_text(sha256, len(b"secret weights"))
    for claim in (AddLfs("model.bin", sha256), AddLfs("model.bin", sha256, 14), AddFile("model.bin", pointer)):
        with pytest.raises(Invalid) as refused:
            await change(session, other, grace, claim)
        assert refused.value.code == "LfsObjectMissing"
    for sent in ("", "x" * 64, sha256.upper()):
        with pytest.raises(Invalid):
            await change(session, repo, ada, AddLfs("model.bin", sent))
    with pytest.raises(Invalid):
        await change(session, repo, ada, AddLfs("model.bin", sha256, 15))
    head = await change(session, repo, ada, AddFile("model.bin", pointer))
    assert (await history.entry(session, repo, head, "model.bin")).size == 14


async def test_a_copy_reaches_no_other_repository(
    session: AsyncSession, repo: Repo, ada: Principal, grace: Principal
) -> None:
    head = await change(session, repo, ada, AddFile("a", b"1"))
    other = await catalogue.create(session, RepoKind.MODEL, "grace", "thief", by=grace)
    with pytest.raises(RevisionNotFound):
        await change(session, other, grace, CopyFile("a", "a", head))


async def test_a_copy_meets_the_checks_of_what_it_becomes(
    session: AsyncSession, repo: Repo, ada: Principal, stored: Stored, store: Store
) -> None:
    sha256 = await stored(repo, b"not safetensors")
    await change(session, repo, ada, AddLfs("a.bin", sha256), AddFile("card.txt", b"---\nlicense: [\n---\n"))
    for copy in (CopyFile("a.safetensors", "a.bin"), CopyFile("README.md", "card.txt"), CopyFile("../x", "a.bin")):
        with pytest.raises(Invalid):
            await history.commit(session, repo, "main", [copy], summary="x", by=ada, store=store)
    head = await change(session, repo, ada, CopyFile("b.bin", "a.bin"))
    assert (await history.entry(session, repo, head, "b.bin")).size == len(b"not safetensors")


async def test_large_files_outside_the_patterns_are_named_in_gitattributes(
    session: AsyncSession, repo: Repo, ada: Principal, stored: Stored, tmp_path: Path
) -> None:
    sha256 = await stored(repo, b"picture")
    head = await change(
        session, repo, ada, AddLfs("model.bin", sha256), AddLfs("a [b] c.png", sha256), AddLfs("d/x.png", sha256)
    )
    attributes = await history.entry(session, repo, head, ".gitattributes")
    lines = (await history.read_blob(session, repo, attributes.oid)).decode().splitlines()
    (tmp_path / ".gitattributes").write_text("\n".join(lines))
    git(tmp_path, "init", "--quiet", ".")
    for path in ("a [b] c.png", "d/x.png", "model.bin"):
        assert git(tmp_path, "check-attr", "filter", path).endswith("filter: lfs")
    for path in ("e/a [b] c.png", "a b c.png", "x.png", "d/y.png"):
        assert git(tmp_path, "check-attr", "filter", path).endswith("filter: unspecified")
    assert not [line for line in lines if line.startswith("model.bin")]


@pytest.mark.parametrize("name", ["main", "refs/heads/main", "v1", "refs/tags/v1", "refs/pr/1", "deep/branch"])
async def test_a_revision_is_found_by_any_of_its_names(
    session: AsyncSession, repo: Repo, ada: Principal, name: str
) -> None:
    head = await change(session, repo, ada, AddFile("a", b"1"))
    await history.create_tag(session, repo, "v1", target="main", by=ada)
    await history.create_branch(session, repo, "deep/branch", start=None, by=ada)
    session.add(GitRef(repo_id=repo.id, name="refs/pr/1", object_id=head))
    await session.flush()
    assert await history.resolve_revision(session, repo, name) == head
    assert await history.resolve_revision(session, repo, head) == head
    assert await history.resolve_revision(session, repo, head[:7]) == head


async def test_a_revision_that_is_not_there_is_not_found(
    session: AsyncSession, repo: Repo, ada: Principal, grace: Principal
) -> None:
    head = await change(session, repo, ada, AddFile("a", b"1"))
    other = await catalogue.create(session, RepoKind.MODEL, "grace", "other", by=grace)
    blob = (await history.entry(session, repo, head, "a")).oid
    for name in ("nope", "", "0" * 40, head[:6], "f" * 7, blob, blob[:7], "refs/heads/x", "a\0b", "x" * 5000, "\ud800"):
        with pytest.raises(RevisionNotFound):
            await history.resolve_revision(session, repo, name)
    for name in (head, head[:7]):  # somebody else's commit
        with pytest.raises(RevisionNotFound):
            await history.resolve_revision(session, other, name)


async def test_branches_and_tags_follow_the_rules_of_the_public_hub(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    head = await history.resolve_revision(session, repo, "main")
    await history.create_branch(session, repo, "dev", start=head[:7], by=ada)
    await history.create_tag(session, repo, "dev", target="main", by=ada)  # a tag of that name is no obstacle
    with pytest.raises(Conflict, match="Reference refs/heads/dev already exists"):
        await history.create_branch(session, repo, "dev", start=None, by=ada)
    with pytest.raises(Conflict):
        await history.create_branch(session, repo, "dev/below", start=None, by=ada)
    with pytest.raises(Invalid, match="Cannot delete refs/heads/main"):
        await history.delete_branch(session, repo, "main", by=ada)
    with pytest.raises(Invalid, match="Invalid rev id"):
        await history.delete_branch(session, repo, "nope", by=ada)
    with pytest.raises(RevisionNotFound):
        await history.delete_tag(session, repo, "main", by=ada)
    assert [ref.name for ref in await history.refs(session, repo)] == [
        "refs/heads/dev", "refs/heads/main", "refs/tags/dev"
    ]  # fmt: skip
    await history.delete_branch(session, repo, "dev", by=ada)
    await history.delete_tag(session, repo, "dev", by=ada)
    assert [ref.name for ref in await history.refs(session, repo)] == ["refs/heads/main"]


async def test_commits_are_listed_newest_first_and_in_pages(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    made = [await change(session, repo, ada, AddFile("a", str(number).encode())) for number in range(5)]
    listed = [commit.oid for commit in await history.commits(session, repo, "main")]
    assert listed[:5] == made[::-1]
    page = await history.commits(session, repo, "main", limit=2, offset=3)
    assert [commit.oid for commit in page] == listed[3:5]


async def test_each_entry_knows_the_last_commit_that_changed_it(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    first = await change(session, repo, ada, AddFile("a", b"1"), AddFile("d/x", b"1"))
    second = await change(session, repo, ada, AddFile("d/x", b"2"), AddFile("d/e/y", b"1"))
    third = await change(session, repo, ada, DeletePath("a"), AddFile("a/was/a/file", b"1"))
    paths = ["a/was/a/file", "a", "d", "d/x", "d/e", "d/e/y", ".gitattributes"]
    last = await history.last_commits(session, repo, third, paths)
    made = [third, third, second, second, second, second]
    assert [last[path].oid for path in paths[:-1]] == made
    assert last[".gitattributes"].title == "initial commit"
    assert (await history.last_commits(session, repo, second, ["a"]))["a"].oid == first


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\n",
        pointer_text("a" * 64, 5) + b"x",
        pointer_text("a" * 64, 5)[:-1],
        pointer_text("A" * 64, 5),
        pointer_text("a" * 64, 5).replace(b"size 5", b"size 05"),
    ],
)
def test_only_the_exact_form_is_a_pointer(text: bytes) -> None:
    assert parse_pointer(text) is None


def test_a_pointer_is_read_as_it_was_written() -> None:
    pointer = parse_pointer(pointer_text("a" * 64, 5))
    assert pointer is not None
    assert (pointer.sha256, pointer.size) == ("a" * 64, 5)
