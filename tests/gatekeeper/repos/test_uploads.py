"""Which files go to the store, which into Git, and what is there already."""

import hashlib
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos import AddFile, AddLfs, Repo, history, uploads
from gatekeeper.repos.uploads import Announced, is_binary

pytestmark = pytest.mark.anyio


async def modes(session: AsyncSession, repo: Repo, *files: Announced, git_ignore: str | None = None) -> list[str]:
    head = await history.resolve_revision(session, repo, "main")
    planned = await uploads.plan(session, repo, head, files, git_ignore=git_ignore)
    return ["ignored" if plan.is_ignored else plan.mode for plan in planned]


async def test_name_size_and_content_decide_where_a_file_goes(session: AsyncSession, repo: Repo) -> None:
    assert await modes(
        session,
        repo,
        Announced("README.md", 100, b"# Title"),
        Announced("model.safetensors", 100, b"text"),
        Announced("big.txt", 11 * 2**20, b"text"),
        Announced("picture.png", 100, b"\x89PNG\r\n\x1a\n\0"),
        Announced("empty.bin", 0, b""),
    ) == ["regular", "lfs", "lfs", "lfs", "regular"]


async def test_what_lies_there_is_named_so_that_it_is_not_sent_again(
    session: AsyncSession, repo: Repo, ada: Principal, stored: Callable[[Repo, bytes], Awaitable[str]]
) -> None:
    sha256 = await stored(repo, b"weights")
    operations = [AddFile("a.txt", b"text"), AddLfs("w.bin", sha256)]
    head = await history.commit(session, repo, "main", operations, summary="x", by=ada)
    files = [Announced("a.txt", 4, b"text"), Announced("w.bin", 7, b"w"), Announced("new", 1, b"x")]
    planned = await uploads.plan(session, repo, head, files)
    blob = hashlib.sha1(b"blob 4\0text").hexdigest()
    assert [plan.oid for plan in planned] == [blob, sha256, None]


async def test_ignored_files_are_marked(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await history.commit(session, repo, "main", [AddFile(".gitignore", b"*.log\n")], summary="x", by=ada)
    log, tmp = Announced("d/a.log", 1, b"x"), Announced("a.tmp", 1, b"x")
    assert await modes(session, repo, log, tmp) == ["ignored", "regular"]
    assert await modes(session, repo, log, tmp, git_ignore="*.tmp") == ["regular", "ignored"]


async def test_an_announcement_that_can_never_be_committed_is_refused(session: AsyncSession, repo: Repo) -> None:
    for file in (Announced("../x", 1, b""), Announced("x", -1, b"")):
        with pytest.raises(Invalid):
            await modes(session, repo, file)
    with pytest.raises(TooLarge):
        await modes(session, repo, *(Announced(str(number), 1, b"") for number in range(1001)))


@pytest.mark.parametrize(
    ("sample", "binary"),
    [(b"", False), (b"text\r\n", False), ("é".encode() * 9, False), ("é".encode()[:1], False), (b"a\0b", True),
     (b"\xff\xfe", True), (b"\xc3(", True), ("日".encode()[:2], False), ("日".encode()[:2] + b"x", True)],
)  # fmt: skip
def test_text_is_told_from_binary(sample: bytes, binary: bool) -> None:
    assert is_binary(sample) is binary
