"""Giving out by Xet: what is to be fetched for any range, addresses that open nothing else, and keyed answers."""

import struct
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.errors import Invalid, NotAllowed
from gatekeeper.repos import Repo, RepoKind, catalogue, xet
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import RepoObject, RepoXorb, StoredObject, StoredXorb, XetChunk, XetFile, XetPart
from gatekeeper.repos.xet import dedup, hashes
from gatekeeper.repos.xet.fetches import SPANS_AN_ADDRESS
from gatekeeper.repos.xet.files import Run, pack, unpack
from gatekeeper.repos.xet.reach import Reach
from gatekeeper.repos.xet.reconstruction import merged
from gatekeeper.repos.xet.xorb import Table

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = b"k" * 32
ROW = struct.Struct("<32sII")


def chunk(xorb: int, number: int) -> bytes:
    """Raw bytes of a chunk, of a length that tells it from the others."""
    return bytes([xorb * 16 + number]) * (10 + 3 * xorb + number)


def table_of(xorb: int, count: int = 6) -> Table:
    """The table of a xorb whose chunks are stored with 8 bytes before each."""
    end, packed = 0, b""
    for number in range(count):
        raw = chunk(xorb, number)
        end += 8 + len(raw)
        packed += ROW.pack(hashes.chunk_hash(raw), len(raw), end)
    return Table(packed)


def xorb_name(xorb: int, count: int = 6) -> bytes:
    return hashes.xorb_hash((digest, length) for digest, length, _ in table_of(xorb, count).rows())


def run_of(xorb: int, first: int, end: int) -> Run:
    return Run(xorb_name(xorb), first, end, sum(len(chunk(xorb, number)) for number in range(first, end)))


def content_of(*runs: tuple[int, int, int]) -> bytes:
    return b"".join(chunk(xorb, number) for xorb, first, end in runs for number in range(first, end))


RUNS = ((0, 1, 4), (1, 0, 6), (0, 4, 6), (0, 0, 1), (2, 2, 3))
CONTENT = content_of(*RUNS)
FILE = xet.Found("f" * 64, "5" * 64, len(CONTENT), tuple(run_of(*run) for run in RUNS), ("w.bin",))


@pytest.fixture
async def filled(session: AsyncSession, repo: Repo) -> Repo:
    for xorb in range(3):
        table = table_of(xorb)
        name = hashes.printed(xorb_name(xorb))
        session.add(StoredXorb(xorb_hash=name, place="shared", size_bytes=table.offset(6), chunks=table.packed))
        await session.flush()
        session.add(RepoXorb(repo_id=repo.id, xorb_hash=name))
    await session.flush()
    return repo


async def register(session: AsyncSession, repo: Repo, *runs: Run, letter: str = "f") -> None:
    """Let the repository have a file made of `runs`, whose first chunk clients may ask about."""
    sha256, name = "5" * 64, letter * 64
    await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": 1}])
    await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])
    session.add(XetFile(repo_id=repo.id, file_hash=name, sha256=sha256, size_bytes=1, terms=pack(runs)))
    await session.flush()
    for xorb in {hashes.printed(run.xorb_hash) for run in runs}:
        session.add(XetPart(repo_id=repo.id, file_hash=name, xorb_hash=xorb))
    await session.flush()


async def know_chunk(session: AsyncSession, repo: Repo, chunk_hash: str, xorb_hash: str, *, letter: str = "f") -> None:
    row = {"repo_id": repo.id, "chunk_hash": chunk_hash, "xorb_hash": xorb_hash, "file_hash": letter * 64}
    await insert_missing(session, XetChunk, [row])


def sender(*repos: Repo) -> xet.Sender:
    """Somebody who may download from these repositories, besides what they send to."""
    ids = [repo.id for repo in repos]

    async def may_download(session: AsyncSession, files: Collection[xet.FileOf]) -> set[xet.FileOf]:
        return {file for file in files if file[0] in ids}

    return xet.Sender(col(Repo.id).in_(ids), may_download)


def joined(plan: xet.Plan) -> bytes:
    """What a client makes of a plan: only from the spans it may fetch, each run within one of them."""
    numbers = {hashes.printed(xorb_name(xorb)): xorb for xorb in range(3)}
    spans = {fetch.xorb_hash: fetch.spans for fetch in plan.xorbs}
    made = b""
    for run in plan.runs:
        name = hashes.printed(run.xorb_hash)
        table, xorb = table_of(numbers[name]), numbers[name]
        [span] = [span for span in spans[name] if span.first <= run.first and run.end <= span.end]
        assert (span.first_byte, span.end_byte) == (table.offset(span.first), table.offset(span.end))
        part = content_of((xorb, run.first, run.end))
        assert len(part) == run.raw_bytes
        made += part
    return made[plan.skip :][: plan.end - plan.start]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
async def test_any_range_is_put_together_from_as_little_as_possible(
    session: AsyncSession, filled: Repo, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(CONTENT) - 1))
    end = data.draw(st.integers(start + 1, len(CONTENT)))
    plan = await xet.plan(session, FILE, start, end)
    assert plan is not None
    assert joined(plan) == CONTENT[start:end]
    assert plan.skip < 32  # within the first chunk
    assert sum(run.raw_bytes for run in plan.runs) < end - start + 2 * 32


async def test_the_whole_file_is_asked_once_for_each_neighbouring_span(session: AsyncSession, filled: Repo) -> None:
    plan = await xet.plan(session, FILE, 0, FILE.size)
    assert plan is not None
    assert joined(plan) == CONTENT
    spans = [[(span.first, span.end) for span in fetch.spans] for fetch in plan.xorbs]
    assert spans == [[(0, 6)], [(0, 6)], [(2, 3)]]


async def test_a_file_whose_xorb_is_gone_has_no_plan(session: AsyncSession, filled: Repo) -> None:
    await session.execute(sa.delete(RepoXorb))
    await session.execute(sa.delete(StoredXorb).where(col(StoredXorb.xorb_hash) == hashes.printed(xorb_name(1))))
    assert await xet.plan(session, FILE, 0, FILE.size) is None
    assert await xet.plan(session, FILE, 0, 3) is not None


def test_runs_are_read_back() -> None:
    assert unpack(pack(FILE.runs)) == FILE.runs


def test_spans_that_touch_or_overlap_become_one() -> None:
    spans = [xet.Span(5, 6, 50, 60), xet.Span(0, 2, 0, 20), xet.Span(2, 3, 20, 30), xet.Span(1, 3, 10, 30)]
    assert merged(spans) == (xet.Span(0, 3, 0, 30), xet.Span(5, 6, 50, 60))


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=10-", (10, 100)),
        ("bytes=99-5000", (99, 100)),
        ("bytes=100-", 416),
        ("bytes=100-200", 416),
        ("bytes=5-4", 400),
        ("bytes=-5", 400),
        ("bytes=0-1,3-4", 400),
        ("chunks=0-1", 400),
        ("bytes=١-٢", 400),
    ],
)
def test_a_range_of_a_file(value: str | None, answer: tuple[int, int] | int) -> None:
    if isinstance(answer, tuple):
        assert xet.wanted(value, 100) == answer
        return
    with pytest.raises(Invalid) as refused:
        xet.wanted(value, 100)
    assert refused.value.status == answer


GRANT = xet.XetGrant("r" * 26, 1, "read", "p" * 26, "t" * 26, 0, "c" * 40)
STORED = xet.StoredXorb("a" * 64, 1000, (xet.Span(0, 1, 0, 100), xet.Span(5, 6, 500, 600)))


def _repo() -> Repo:
    return Repo(id="r" * 26, namespace="ada", name="demo", key=None)


def test_an_address_says_what_it_is_for_and_ends() -> None:
    [(path, spans)] = xet.addresses(KEY, GRANT, STORED, instant=NOW)
    signed = path.removeprefix("/cas/x/")
    fetch = xet.verify_fetch(KEY, signed, instant=NOW + timedelta(seconds=119))
    assert spans == STORED.spans
    assert (fetch.repo_id, fetch.commit, fetch.xorb_hash) == (GRANT.repo_id, GRANT.commit, STORED.xorb_hash)
    assert (fetch.person_id, fetch.token_id, fetch.size) == (GRANT.person_id, GRANT.token_id, 1000)
    assert fetch.spans == ((0, 100), (500, 600))
    token, _ = xet.issue(KEY, _repo(), by=ANONYMOUS, scope="read", instant=NOW, commit="c" * 40)
    for text, key, instant in (
        (signed, KEY, NOW + timedelta(seconds=120)),
        (signed, b"x" * 32, NOW),
        (f"A{signed}", KEY, NOW),
        (signed[:-1], KEY, NOW),
        (token, KEY, NOW),
        ("", KEY, NOW),
    ):
        with pytest.raises(NotAllowed):
            xet.verify_fetch(key, text, instant=instant)


def test_many_spans_are_spread_over_addresses_that_stay_short() -> None:
    spans = tuple(xet.Span(at, at + 1, at * 10**6, at * 10**6 + 5 * 10**5) for at in range(60))
    made = list(xet.addresses(KEY, GRANT, replace(STORED, spans=spans, size=6 * 10**7), instant=NOW))
    assert [len(some) for _, some in made] == [SPANS_AN_ADDRESS, SPANS_AN_ADDRESS, 60 - 2 * SPANS_AN_ADDRESS]
    assert all(len(path) < 1_900 for path, _ in made)
    for path, some in made:
        fetch = xet.verify_fetch(KEY, path.removeprefix("/cas/x/"), instant=NOW)
        assert fetch.spans == tuple((span.first_byte, span.end_byte) for span in some)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("bytes=0-99", [(0, 100)]),
        ("bytes=500-599", [(500, 600)]),
        ("bytes=10-19", [(10, 20)]),
        ("bytes=0-99,500-599", [(0, 100), (500, 600)]),
        ("bytes=0-99, 500-599", [(0, 100), (500, 600)]),
        ("bytes=0-100", NotAllowed),
        ("bytes=99-500", NotAllowed),
        ("bytes=600-600", NotAllowed),
        ("bytes=0-99,0-99,0-99", NotAllowed),
        ("bytes=0-", Invalid),
        ("bytes=-1", Invalid),
        ("bytes=9-1", Invalid),
        ("bytes=", Invalid),
        ("bytes=" + "0-0," * 200 + "0-0", Invalid),
        (None, Invalid),
    ],
)
def test_an_address_gives_its_own_bytes_only(value: str | None, answer: object) -> None:
    fetch = xet.Fetch("r", "c", "x", 1000, ((0, 100), (500, 600)), None, None, 0)
    if isinstance(answer, list):
        assert xet.asked(fetch, value) == answer
        return
    with pytest.raises(answer):  # type: ignore[call-overload]
        xet.asked(fetch, value)


def test_an_answer_about_chunks_is_a_shard_under_a_key() -> None:
    tables = [(hashes.printed(xorb_name(xorb)), table_of(xorb)) for xorb in range(3)]
    key = bytes(range(32))
    made = dedup.keyed_shard(tables, Reach(frozenset(name for name, _ in tables)), key=key, instant=NOW)

    footer = struct.unpack("<Q", made[-8:])[0]
    assert len(made) - footer == 200
    assert struct.unpack_from("<QQ", made, 32) == (2, 200)
    version, files_at, xorbs_at, *lookups = struct.unpack_from("<9Q", made, footer)
    assert (version, files_at, xorbs_at, lookups) == (1, 48, 96, [footer, 0] * 3)
    assert made[footer + 72 : footer + 104] == key
    assert struct.unpack_from("<QQ", made, footer + 104) == (NOW.timestamp(), NOW.timestamp() + 86_400)
    assert made[48:80] == b"\xff" * 32  # no files
    at, seen = xorbs_at, []
    while made[at : at + 32] != b"\xff" * 32:
        name, _, count, raw, stored = struct.unpack_from("<32sIIII", made, at)
        rows = [struct.unpack_from("<32sIIII", made, at + 48 * (1 + row)) for row in range(count)]
        seen.append(name)
        xorb = next(number for number in range(3) if xorb_name(number) == name)
        plain = [hashes.chunk_hash(chunk(xorb, number)) for number in range(6)]
        assert [row[0] for row in rows] == [blake3(digest, key=key).digest() for digest in plain]
        assert [row[2] for row in rows] == [len(chunk(xorb, number)) for number in range(6)]
        assert (sum(row[2] for row in rows), stored) == (raw, table_of(xorb).offset(6))
        assert not any(digest in made for digest in plain)  # those prove possession
        at += 48 * (1 + count)
    assert seen == sorted(seen)
    assert len(seen) == 3
    assert at + 48 == footer


async def test_only_registered_chunks_of_this_repository_are_known(
    session: AsyncSession, filled: Repo, ada: Principal
) -> None:
    asked, nobody = hashes.printed(hashes.chunk_hash(chunk(1, 0))), sender()
    assert await xet.dedup_answer(session, filled.id, asked, sender=nobody, instant=NOW) is None
    await register(session, filled, *FILE.runs)
    await know_chunk(session, filled, asked, hashes.printed(xorb_name(1)))
    first, second = [await xet.dedup_answer(session, filled.id, asked, sender=nobody, instant=NOW) for _ in range(2)]
    assert first is not None
    assert xorb_name(1) in first
    assert first != second  # another key each time
    assert await xet.dedup_answer(session, "another", asked, sender=nobody, instant=NOW) is None
    assert await xet.dedup_answer(session, filled.id, "not a hash", sender=nobody, instant=NOW) is None


async def test_another_repository_is_told_of_what_its_writer_may_download_and_of_nothing_beside(
    session: AsyncSession, filled: Repo, ada: Principal
) -> None:
    other = await catalogue.create(session, RepoKind.MODEL, "ada", "other", by=ada)
    await register(session, filled, run_of(0, 1, 3), run_of(1, 0, 6))
    await register(session, filled, run_of(0, 3, 6), letter="a")
    # The second file's content is known to nobody but the writers of its own repository.
    await session.execute(sa.update(XetFile).where(col(XetFile.file_hash) == "a" * 64).values(sha256="6" * 64))
    asked = hashes.printed(hashes.chunk_hash(chunk(0, 1)))
    await know_chunk(session, filled, asked, hashes.printed(xorb_name(0)))

    assert await xet.dedup_answer(session, other.id, asked, sender=sender(), instant=NOW) is None
    told = await xet.dedup_answer(session, other.id, asked, sender=sender(filled), instant=NOW)
    assert told is not None
    key = told[-128:-96]
    shown = {
        (xorb, number)
        for xorb in range(3)
        for number in range(6)
        if blake3(hashes.chunk_hash(chunk(xorb, number)), key=key).digest() in told
    }
    assert shown == {(0, 1), (0, 2), *((1, number) for number in range(6))}
    records = [told[at : at + 48] for at in range(96, len(told) - 200, 48)]
    [at] = [at for at, record in enumerate(records) if record[:32] == xorb_name(0)]
    count = struct.unpack_from("<I", records[at], 36)[0]
    lengths = [struct.unpack_from("<I", record, 36)[0] for record in records[at + 1 : at + 1 + count]]
    assert lengths == [1, len(chunk(0, 1)), len(chunk(0, 2))]  # neither how long the others are, nor how many follow


async def test_a_xorb_of_one_chunk_is_never_told_about(session: AsyncSession, repo: Repo) -> None:
    # Its hash is the chunk's own, by which possession could be feigned.
    table, name = table_of(1, 1), xorb_name(1, 1)
    assert name == hashes.chunk_hash(chunk(1, 0))
    printed = hashes.printed(name)
    session.add(StoredXorb(xorb_hash=printed, place="shared", size_bytes=9, chunks=table.packed))
    await session.flush()
    await register(session, repo, Run(name, 0, 1, 13))
    await know_chunk(session, repo, printed, printed)
    assert await xet.dedup_answer(session, repo.id, printed, sender=sender(), instant=NOW) is None
