"""Receiving packs and checking pushes, with packs that no git would send."""

import hashlib
import io
import subprocess
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import GatekeeperError, Invalid, Stale, TooLarge
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo, RepoKind, Store, catalogue, git, history
from gatekeeper.repos.git import pktline, unpack
from gatekeeper.repos.git.graph import Node, Tip, cut, depths, reach
from gatekeeper.repos.git.unpack import Unpacked
from gatekeeper.repos.objects import pointer_text
from gatekeeper.repos.tables import GitObject

pytestmark = pytest.mark.anyio

Stored = Callable[[Repo, bytes], Awaitable[str]]
NOTHING = "0" * 40


def head(kind: int, size: int) -> bytes:
    byte, size, made = (kind << 4) | (size & 15), size >> 4, b""
    while size:
        made, byte, size = made + bytes((byte | 0x80,)), size & 0x7F, size >> 7
    return made + bytes((byte,))


def pack(*rows: bytes, count: int | None = None) -> bytes:
    body = b"PACK" + (2).to_bytes(4, "big") + (len(rows) if count is None else count).to_bytes(4, "big")
    body += b"".join(rows)
    return body + hashlib.sha1(body).digest()


def row(made: ShaFile) -> bytes:
    content = made.as_raw_string()
    return head(made.type_num, len(content)) + zlib.compress(content)


def blob_row(content: bytes, *, size: int | None = None) -> bytes:
    return head(3, len(content) if size is None else size) + zlib.compress(content)


def on_disk(tmp_path: Path, content: bytes) -> io.BufferedReader:
    path = tmp_path / "pack"
    path.write_bytes(content)
    return path.open("rb")


@pytest.fixture
def unpacked(tmp_path: Path) -> Iterator[Unpacked]:
    made = Unpacked(tmp_path)
    yield made
    made.close()


def commit_of(tree: Tree, *parents: str, message: bytes = b"by hand\n", author: bytes = b"A <a@example.org>") -> Commit:
    made = Commit()
    made.tree = tree.id
    made.parents = [ObjectID(parent.encode()) for parent in parents]
    made.author = made.committer = author
    made.author_time = made.commit_time = 1_700_000_000
    made.author_timezone = made.commit_timezone = 0
    made.message = message
    return made


def tree_of(**rows: ShaFile) -> Tree:
    made = Tree()
    for name, item in rows.items():
        made.add(name.replace("__", ".").encode(), 0o040000 if isinstance(item, Tree) else 0o100644, item.id)
    return made


def request(*commands: tuple[str, str, str], objects: tuple[bytes, ...] = ()) -> bytes:
    lines = [f"{old} {new} {ref}".encode() for old, new, ref in commands]
    lines[0] += b"\0report-status"
    return b"".join(map(pktline.line, lines)) + pktline.FLUSH + pack(*objects)


class Sender:
    """Pushes by hand-made requests to one repository."""

    def __init__(self, session: AsyncSession, repo: Repo, store: Store, by: Principal, folder: Path) -> None:
        self.session, self.repo, self.store, self.by, self.folder = session, repo, store, by, folder

    async def head(self) -> str:
        return await history.resolve_revision(self.session, self.repo, "main")

    async def push(self, made: Commit, *objects: ShaFile | bytes, ref: str = "refs/heads/main", old: str = "") -> str:
        rows = [item if isinstance(item, bytes) else row(item) for item in (made, *objects)]
        content = request((old or await self.head(), made.id.decode(), ref), objects=tuple(rows))
        with on_disk(self.folder, content) as file:
            push = git.read_push(file, folder=self.folder)
        try:
            checked = await git.check(self.session, self.repo, push, store=self.store)
            await git.apply(self.session, self.repo, push, checked, by=self.by)
        finally:
            push.unpacked.close()
        return made.id.decode()


@pytest.fixture
def sender(session: AsyncSession, repo: Repo, store: Store, ada: Principal, tmp_path: Path) -> Sender:
    return Sender(session, repo, store, ada, tmp_path)


async def ids(session: AsyncSession, repo: Repo) -> set[str]:
    return set(await session.scalars(sa.select(col(GitObject.object_id)).where(col(GitObject.repo_id) == repo.id)))


def test_packs_of_git_with_deltas_give_the_ids_of_git(tmp_path: Path, unpacked: Unpacked) -> None:
    def run(*words: str, data: bytes = b"") -> bytes:
        env = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/bin:/bin"}
        name = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        done = subprocess.run(
            ["git", *name, *words], cwd=tmp_path, env=env, input=data, capture_output=True, check=True
        )
        return done.stdout

    run("init", "-q", ".")
    for number in range(5):
        (tmp_path / "long.txt").write_text(
            "\n".join(f"line {line} {number if line == 70 else ''}" for line in range(200))
        )
        run("add", "long.txt")
        run("commit", "-qm", f"commit {number}")
    wanted = run("rev-list", "--objects", "--no-object-names", "--all").split()
    for options in (["--delta-base-offset"], []):
        made = run("pack-objects", "--stdout", "-q", *options, data=b"\n".join(wanted) + b"\n")
        assert len(made) < 3_000, "there are deltas in it"
        fresh = Unpacked(tmp_path)
        with on_disk(tmp_path, made) as file:
            unpack.unpack(file, fresh)
        assert sorted(fresh.objects) == sorted(oid.decode() for oid in wanted)
        fresh.close()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (pack(blob_row(b"x" * 100_000, size=10)), Invalid),
        (pack(blob_row(b"x", size=10)), Invalid),
        (pack(head(3, 2**50) + zlib.compress(b"x")), TooLarge),
        (pack(count=300_000), TooLarge),
        (pack(count=3), Invalid),
        (pack(blob_row(b"x")) + b"more", Invalid),
        (pack(blob_row(b"x"), b"behind it", count=1), Invalid),
        (b"PACK", Invalid),
        (pack(blob_row(b"x"))[:-1] + b"\0", Invalid),
        (pack(head(7, 3) + b"\1" * 20 + zlib.compress(b"abc")), Invalid),
        (pack(head(6, 3) + b"\x05" + zlib.compress(b"abc")), Invalid),
        (pack(blob_row(b"abc"), head(6, 4) + bytes((len(blob_row(b"abc")),)) + zlib.compress(b"\3\7\x90\7")), Invalid),
        (pack(head(5, 1) + zlib.compress(b"x")), Invalid),
        (pack(b"\xff" * 20), Invalid),
    ],
)
def test_broken_and_greedy_packs_are_refused(
    tmp_path: Path, unpacked: Unpacked, content: bytes, error: type[GatekeeperError]
) -> None:
    with on_disk(tmp_path, content) as file, pytest.raises(error):
        unpack.unpack(file, unpacked)


async def test_a_push_writes_what_it_needs_and_nothing_else(sender: Sender, session: AsyncSession, repo: Repo) -> None:
    used, smuggled = Blob.from_string(b"used"), Blob.from_string(b"smuggled")
    made = await sender.push(commit_of(tree := tree_of(a=used), await sender.head()), tree, used, smuggled)
    assert await sender.head() == made
    assert smuggled.id.decode() not in await ids(session, repo)
    kinds = await session.execute(
        sa.select(col(LedgerEvent.kind), col(LedgerEvent.actor_id)).where(col(LedgerEvent.subject_id) == made)
    )
    assert {kind for kind, actor in kinds if actor == sender.by.person_id} == {
        "repos:branch:commit",
        "repos:branch:push",
    }


async def test_a_card_is_checked_where_it_becomes_one(sender: Sender) -> None:
    card = Blob.from_string(b"---\nlicense: [\n---\n")
    folder = tree_of(README__md=card)
    first = await sender.push(commit_of(above := tree_of(docs=folder), await sender.head()), above, folder, card)
    with pytest.raises(Invalid, match=r"README\.md cannot be used"):
        await sender.push(commit_of(folder, first))


async def test_a_commit_in_the_middle_is_checked_too(sender: Sender) -> None:
    pointer = Blob.from_string(pointer_text("a" * 64, 4))
    fine = Blob.from_string(b"fine")
    middle = commit_of(bad := tree_of(w__bin=pointer), await sender.head())
    last = commit_of(good := tree_of(a=fine), middle.id.decode())
    with pytest.raises(Invalid, match=r"w\.bin"):
        await sender.push(last, middle, bad, good, pointer, fine)


async def test_a_pointer_counts_only_where_the_bytes_were_sent(
    sender: Sender, session: AsyncSession, ada: Principal, stored: Stored, repo: Repo
) -> None:
    other = await catalogue.create(session, RepoKind.MODEL, "ada", "other", by=ada)
    digest = await stored(other, b"weights")
    pointer = Blob.from_string(pointer_text(digest, 7))
    made = commit_of(tree := tree_of(w__bin=pointer), await sender.head())
    with pytest.raises(Invalid, match="was not uploaded to this repository"):
        await sender.push(made, tree, pointer)
    await stored(repo, b"weights")
    assert await sender.push(made, tree, pointer) == await sender.head()


FORM, PATH, WHOLE = "not in the form", "cannot be used", "leaves out"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"100644 a\0" + b"\1" * 20 + b"100644 a\0" + b"\2" * 20, FORM),
        (b"100644 b\0" + b"\1" * 20 + b"100644 a\0" + b"\2" * 20, FORM),
        (b"100644 a/b\0" + b"\1" * 20, FORM),
        (b"0100644 a\0" + b"\1" * 20, FORM),
        (b"100644 .git\0" + b"\1" * 20, PATH),
        (b"100644 ..\0" + b"\1" * 20, PATH),
        (b"100644 \xff\0" + b"\1" * 20, PATH),
        (b"120000 a\0" + b"\1" * 20, "is a link"),
        (b"160000 a\0" + b"\1" * 20, "is a submodule"),
        (b"100644 a\0" + b"\1" * 20, WHOLE),
        (b"40000 a\0" + b"\1" * 20, WHOLE),
        (b"100644 a\0" + b"\1" * 7, FORM),
    ],
)
async def test_folders_that_git_would_not_write_are_refused(sender: Sender, rows: bytes, said: str) -> None:
    oid = hashlib.sha1(b"tree %d\0%s" % (len(rows), rows)).hexdigest()
    made = commit_of(Tree(), await sender.head())
    made.tree = ObjectID(oid.encode())
    with pytest.raises(Invalid, match=said):
        await sender.push(made, head(2, len(rows)) + zlib.compress(rows))


async def test_commits_that_lean_on_nothing_or_cannot_be_read_are_refused(sender: Sender) -> None:
    blob = Blob.from_string(b"x")
    tree = tree_of(a=blob)
    here = await sender.head()
    with pytest.raises(Invalid, match="leans on commits"):
        await sender.push(commit_of(tree, "1" * 40), tree, blob)
    with pytest.raises(Invalid, match="leaves out"):
        await sender.push(commit_of(tree, here), tree)
    with pytest.raises(Invalid, match="not in the form"):
        await sender.push(commit_of(tree, here, message=b"a\0b"), tree, blob)
    late = commit_of(tree, here)
    late.author_time = 10**15
    with pytest.raises(Invalid, match="not in the form"):
        await sender.push(late, tree, blob)


async def test_references_move_only_from_where_the_client_saw_them(sender: Sender) -> None:
    blob = Blob.from_string(b"x")
    tree = tree_of(a=blob)
    start = await sender.head()
    first = await sender.push(commit_of(tree, start), tree, blob)
    with pytest.raises(Stale):
        await sender.push(commit_of(tree, first, message=b"late\n"), tree, old=start)
    with pytest.raises(Invalid, match="only goes forward"):
        await sender.push(commit_of(tree, start, message=b"beside\n"), tree)
    for ref in ("refs/pr/1", "refs/heads/a..b", "refs/heads/" + "a" * 40, "HEAD", "refs/heads/refs/x"):
        with pytest.raises(Invalid):
            await sender.push(commit_of(tree, first, message=b"odd\n"), tree, ref=ref, old=NOTHING)


GRAPH = {
    name: Node(f"tree-{name}", tuple(parents), 0) for name, parents in {"a": "", "b": "a", "c": "b", "d": "ca"}.items()
}


def test_history_ends_before_what_may_not_leave() -> None:
    tips = [Tip("refs/heads/main", "d", "d"), Tip("refs/tags/old", "b", "b")]
    served = cut(GRAPH, tips, frozenset("dca"))
    assert [tip.name for tip in served.tips] == ["refs/heads/main"]
    assert served.commits == frozenset("dca")
    assert served.boundary == frozenset("c")
    assert cut(GRAPH, tips, None).boundary == frozenset()


def test_depth_and_reach_stop_where_they_are_told() -> None:
    everything = frozenset(GRAPH)
    assert depths(GRAPH, ["d"], 2, within=everything) == {"d": 1, "c": 2, "a": 2}
    assert reach(GRAPH, ["d"], stop_at=frozenset("c")) == {"d", "c", "a"}


async def test_nothing_but_the_missing_objects_is_sent(
    sender: Sender, session: AsyncSession, database: Database, repo: Repo, tmp_path: Path
) -> None:
    old, new = Blob.from_string(b"old"), Blob.from_string(b"new")
    first = await sender.push(commit_of(tree := tree_of(a=old), await sender.head()), tree, old)
    second = await sender.push(commit_of(more := tree_of(a=old, b=new), first), more, new)
    graph = await git.load_graph(session, repo)
    served = cut(graph, await git.tips(session, repo), None)
    await session.commit()
    asked = git.Wanted((second,), (first,), is_done=True)
    answer = b"".join([piece async for piece in await git.answer(database, repo, graph, served, asked)])
    said = pktline.line(f"ACK {first}\n".encode())
    assert answer.startswith(said)
    fresh = Unpacked(tmp_path)
    with on_disk(tmp_path, answer.removeprefix(said)) as file:
        unpack.unpack(file, fresh)
    assert set(fresh.objects) == {second, more.id.decode(), new.id.decode()}
    fresh.close()
