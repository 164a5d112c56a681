"""Xet: every hash as the public client computes it, and no claim believed."""

import hashlib
import struct
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import lz4.frame
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.accounts.tables import Namespace, Person
from gatekeeper.db import Database
from gatekeeper.errors import GatekeeperError, Invalid, NotAllowed, NotSignedIn, TooLarge, Unavailable
from gatekeeper.repos import (
    AddLfs,
    Repo,
    RepoKind,
    RepoObject,
    Store,
    catalogue,
    commit,
    lfs,
    resolve_revision,
    verify,
    xet,
)
from gatekeeper.repos.storage import object_key, xorb_key
from gatekeeper.repos.tables import RepoXorb, StoredXorb, XetChunk, XetFile, XetPart
from gatekeeper.repos.xet import hashes, shard
from gatekeeper.repos.xet.xorb import Verifier, decode_chunk

pytestmark = pytest.mark.anyio

STREAM = b"".join(hashlib.sha256(struct.pack("<Q", number)).digest() for number in range(31_250))
STREAM_LENGTHS = [15495, 82104, 50556, 55540, 34273, 28823, 97633, 30202, 26568, 86955, 75209, 81714, 14339, 131013,
                  58655, 10126, 30276, 90519]  # fmt: skip
LIMIT = 10**8


def cut(data: bytes, lengths: Sequence[int]) -> list[bytes]:
    ends = np.cumsum(lengths)
    return [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def children(chunks: Sequence[bytes]) -> list[hashes.Child]:
    return [(hashes.chunk_hash(chunk), len(chunk)) for chunk in chunks]


def stored_chunk(raw: bytes, scheme: int) -> bytes:
    data = raw
    if scheme == 2:
        data = b"".join(raw[place::4] for place in range(4))
    if scheme:
        data = lz4.frame.compress(data)
    return b"\0" + len(data).to_bytes(3, "little") + bytes([scheme]) + len(raw).to_bytes(3, "little") + data


def xorb_of(chunks: Sequence[bytes], schemes: Sequence[int] = (0,)) -> tuple[str, bytes]:
    """Printed hash and body, with the schemes in turn."""
    body = b"".join(stored_chunk(raw, schemes[at % len(schemes)]) for at, raw in enumerate(chunks))
    return hashes.printed(hashes.xorb_hash(children(chunks))), body


def verified(name: str, body: bytes, step: int = 1000) -> bytes:
    verifier = Verifier()
    kept = b"".join(verifier.feed(body[at : at + step]) for at in range(0, len(body), step))
    verifier.finish(hashes.parse_printed(name) or b"")
    return kept


@dataclass(frozen=True)
class Told:
    """What a shard says about one file made of whole runs of one xorb's chunks."""

    file_hash: bytes
    sha256: bytes
    terms: tuple[tuple[bytes, int, int, int, bytes], ...]  # xorb hash, raw bytes, first, end, range hash
    flags: int = 0xC0000000


def told(xorb: str, chunks: Sequence[bytes], *runs: tuple[int, int]) -> Told:
    runs = runs or ((0, len(chunks)),)
    picked = [chunk for first, end in runs for chunk in chunks[first:end]]
    raw = hashes.parse_printed(xorb)
    assert raw is not None
    terms = tuple(
        (
            raw,
            sum(len(chunk) for chunk in chunks[first:end]),
            first,
            end,
            hashes.range_hash(hashes.chunk_hash(chunk) for chunk in chunks[first:end]),
        )
        for first, end in runs
    )
    return Told(hashes.file_hash(children(picked)), hashlib.sha256(b"".join(picked)).digest(), terms)


def shard_of(*files: Told) -> bytes:
    made = bytearray(shard.TAG + struct.pack("<QQ", 2, 0))
    for file in files:
        made += file.file_hash + struct.pack("<IIQ", file.flags, len(file.terms), 0)
        for xorb, size, first, end, _ in file.terms:
            made += xorb + struct.pack("<IIII", 0, size, first, end)
        for *_, proof in file.terms:
            made += proof + bytes(16)
        made += b"".join(word[::-1] for word in cut(file.sha256, [8] * 4)) + bytes(16)
    return bytes(made) + b"\xff" * 32 + bytes(16) + b"\xff" * 32 + bytes(16)


VECTORS = {
    "abc": (
        [b"abc"],
        "55b9df318a7c45f470d57b04d8ca79a15b0637ffe94b25041a58d00c3528afff",
        "a8803506f7aff014f19aa9e9b79dc6455c49672570f96156071329698dd0284e",
    ),
    "zeros": (
        cut(bytes(10**6), [131072] * 7 + [82496]),
        "c0c85185f4307d40facfd366573176e54fc9c76041e44e32d52489780a6d1eaa",
        "66df762464541c4b4525314f0cb292f49017a961ce8c95b5a2ced973fdbf7527",
    ),
    "stream": (
        cut(STREAM, STREAM_LENGTHS),
        "821f3082696957442edc1152ff335f9107b9195661bbd39b7805e162c1284db9",
        "01e9ddefaa73d6201b697240073d4e690f3fee44949c65082a75a2b838914d1f",
    ),
    "empty": ([], "0" * 64, "0" * 64),
}


@pytest.mark.parametrize(("chunks", "file", "xorb"), VECTORS.values(), ids=VECTORS.keys())
def test_hashes_are_those_of_the_public_client(chunks: list[bytes], file: str, xorb: str) -> None:
    assert hashes.printed(hashes.file_hash(children(chunks))) == file
    assert hashes.printed(hashes.xorb_hash(children(chunks))) == xorb


def test_the_public_client_agrees_on_a_large_tree(tmp_path: object) -> None:
    hf_xet = pytest.importorskip("hf_xet")
    chunks = [bytes(131072)] * 300 + [b"x" * 5000]
    path = f"{tmp_path}/zeros"
    with open(path, "wb") as file:  # noqa: PTH123
        file.writelines(chunks)
    [info] = hf_xet.hash_files([path])
    assert hashes.printed(hashes.file_hash(children(chunks))) == info.hash


@given(st.binary(min_size=32, max_size=32))
def test_a_printed_hash_is_read_back(raw: bytes) -> None:
    assert hashes.parse_printed(hashes.printed(raw)) == raw


@pytest.mark.parametrize("text", ["", "0" * 63, "G" * 64, "A" * 64, "0" * 64 + "\n", "../" + "0" * 61])
def test_other_text_is_no_hash(text: str) -> None:
    assert hashes.parse_printed(text) is None


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6), st.integers(1, 60))
def test_a_xorb_is_verified_however_it_arrives(chunks: list[bytes], step: int) -> None:
    name, body = xorb_of(chunks, [0, 1, 2])
    assert verified(name, body, step) == body
    footer = b"XETBLOB\x01" + b"anything"
    assert verified(name, body + footer, step) == body


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 4096, 131071])
@pytest.mark.parametrize("scheme", [0, 1, 2])
def test_every_scheme_gives_the_raw_bytes_back(length: int, scheme: int) -> None:
    raw = STREAM[:length]
    assert decode_chunk(stored_chunk(raw, scheme)[8:], scheme, length) == raw


GOOD_NAME, GOOD_BODY = xorb_of([b"first" * 50, b"second" * 50], [1, 0])
BOMB = lz4.frame.compress(bytes(50_000_000))


def header(stored: int, scheme: int, raw: int, version: int = 0) -> bytes:
    return bytes([version]) + stored.to_bytes(3, "little") + bytes([scheme]) + raw.to_bytes(3, "little")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        GOOD_BODY[:-1],
        GOOD_BODY[: len(stored_chunk(b"first" * 50, 1))],
        GOOD_BODY + b"\0",
        GOOD_BODY + b"\x01" * 8,
        GOOD_BODY.replace(b"second", b"secind", 1),
        GOOD_BODY + stored_chunk(b"more", 0),
        header(5, 3, 5) + b"abcde",
        header(5, 0, 6) + b"abcde",
        header(0, 0, 0),
        header(2**24 - 1, 0, 5) + b"x" * 2_000_000,
        header(131073, 0, 131073) + b"x" * 131073,
        header(5, 1, 5) + b"abcde",
        header(200_000, 1, 131072) + BOMB[:200_000],
        header(131_000, 1, 131072) + BOMB[:131_000],
        header(len(lz4.frame.compress(bytes(10**6))), 1, 5) + lz4.frame.compress(bytes(10**6)),
        stored_chunk(b"abc", 1)[:-4] + b"\0\0\0\0",
    ],
)
def test_a_xorb_that_is_not_what_it_says_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        verified(GOOD_NAME, body)
    assert refused.value.status == 400


@pytest.mark.parametrize("change", ["short", "tag", "version", "endless", "count", "no range hashes", "no sha256"])
def test_a_malformed_shard_is_refused(change: str) -> None:
    file = told(GOOD_NAME, [b"first" * 50, b"second" * 50])
    body = shard_of(file)
    match change:
        case "short":
            body = body[:40]
        case "tag":
            body = b"X" + body[1:]
        case "version":
            body = body[:32] + struct.pack("<Q", 1) + body[40:]
        case "endless":
            body = body[:-96]
        case "count":
            body = body[:84] + struct.pack("<I", 2**32 - 1) + body[88:]
        case "no range hashes":
            body = shard_of(replace(file, flags=0x40000000))
        case "no sha256":
            body = shard_of(replace(file, flags=0x80000000))
    with pytest.raises(Invalid) as refused:
        shard.parse(body)
    assert refused.value.status == 400


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_shard_or_refused(tail: bytes) -> None:
    try:
        shard.parse(shard.TAG + struct.pack("<QQ", 2, 0) + tail)
    except Invalid:
        return


# The flow, with transactions of its own.


def reader(*repos: Repo) -> xet.Sender:
    """Somebody who may download every file of these repositories, and of no other than the one they send to."""
    ids = {repo.id for repo in repos}

    async def may_download(session: AsyncSession, files: Collection[xet.FileOf]) -> set[xet.FileOf]:
        return {file for file in files if file[0] in ids}

    return xet.Sender(col(Repo.id).in_(ids), may_download)


@dataclass(frozen=True)
class House:
    """A database with one person and two repositories, and a store."""

    db: Database
    store: Store
    ada: Principal
    repo: Repo
    other: Repo

    async def send_xorb(self, name: str, body: bytes, repo: Repo | None = None, step: int = 70_000) -> bool:
        target = repo or self.repo

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), step):
                yield body[at : at + step]

        async with (
            xet.receive_xorb(self.store, name, pieces()) as received,
            self.db.write() as session,
        ):
            return await xet.register_xorb(session, self.store, target, received)

    async def send_shard(
        self, body: bytes, repo: Repo | None = None, limit: int = LIMIT, sender: xet.Sender | None = None
    ) -> list[xet.Progress]:
        accepted = xet.accept_shard(
            self.db,
            self.store,
            repo or self.repo,
            body,
            sender=sender or reader(),
            person_id=self.ada.person_id,
            limit_bytes=limit,
            room_bytes=3 * limit,
        )
        return [progress async for progress in accepted]

    async def epoch(self, repo: Repo) -> int:
        async with self.db.read() as session:
            found = await catalogue.by_id(session, repo.id)
            assert found is not None
            return found.xet_epoch

    async def has(self, data: bytes, repo: Repo | None = None) -> bool:
        async with self.db.read() as session:
            return await lfs.has(session, repo or self.repo, hashlib.sha256(data).hexdigest())

    def files(self) -> set[str]:
        return {path.parts[-4] for path in self.store.root.rglob("*") if path.is_file()}


@pytest.fixture
async def house(database: Database, store: Store) -> House:
    async with database.write() as session:
        person = Person(name="ada", name_key="ada", email="a@example.org", email_key="a@example.org")
        session.add(person)
        await session.flush()
        session.add(Namespace(key="ada", name="ada", skeleton="ada", person_id=person.id))
        await session.flush()
        ada = Principal(person_id=person.id, name="ada")
        one = await catalogue.create(session, RepoKind.MODEL, "ada", "one", by=ada)
        two = await catalogue.create(session, RepoKind.MODEL, "ada", "two", by=ada)
    return House(database, store, ada, one, two)


CHUNKS = cut(STREAM, STREAM_LENGTHS)
NAME, BODY = xorb_of(CHUNKS, [0, 1, 2])


async def test_a_file_sent_in_chunks_is_rebuilt_and_may_be_committed(house: House) -> None:
    assert await house.send_xorb(NAME, BODY) is True
    assert await house.send_xorb(NAME, BODY) is False
    progress = await house.send_shard(shard_of(told(NAME, CHUNKS)))

    sha256 = hashlib.sha256(STREAM).hexdigest()
    assert house.store.path(object_key(sha256)).read_bytes() == STREAM
    assert await house.has(STREAM)
    assert not await house.has(STREAM, house.other)
    assert progress[-1] == xet.Progress(len(STREAM), len(STREAM))
    async with house.db.read() as session:
        file = (await session.scalars(sa.select(XetFile))).one()
        assert (file.file_hash, file.sha256, file.size_bytes) == (VECTORS["stream"][1], sha256, len(STREAM))
        assert (await session.get(RepoObject, (house.repo.id, sha256))).uploaded_by == house.ada.person_id  # type: ignore[union-attr]
        assert (await verify(session, house.store)).is_sound
    assert await house.send_shard(shard_of(told(NAME, CHUNKS)))  # again, as a retry does


async def test_what_a_file_is_made_of_is_kept_and_found_in_its_commits_only(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS, (0, 9), (9, 18))))
    sha256, file_hash = hashlib.sha256(STREAM).hexdigest(), VECTORS["stream"][1]
    async with house.db.write() as session:
        repo = await catalogue.by_id(session, house.repo.id)
        before = await resolve_revision(session, repo, "main")
        head = await commit(session, repo, "main", [AddLfs("d/w.bin", sha256)], summary="add", by=house.ada)
    async with house.db.read() as session:
        found = await xet.in_commit(session, house.repo, str(getattr(head, "oid", head)), file_hash)
        assert found is not None
        assert (found.sha256, found.size, found.paths) == (sha256, len(STREAM), ("d/w.bin",))
        assert [(run.first, run.end) for run in found.runs] == [(0, 9), (9, 18)]
        assert await xet.in_commit(session, house.repo, before, file_hash) is None
        assert await xet.hashes_of(session, house.repo.id, [sha256, "0" * 64]) == {sha256: file_hash}
        assert await xet.hashes_of(session, house.other.id, [sha256]) == {}
        first = (await session.scalars(sa.select(XetChunk))).all()
        assert hashes.printed(hashes.chunk_hash(CHUNKS[0])) in {row.chunk_hash for row in first}


async def test_a_file_registered_without_terms_gets_them_when_it_is_sent_again(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS)))
    async with house.db.write() as session:
        await session.execute(sa.update(XetFile).values(terms=None))
    sha256 = hashlib.sha256(STREAM).hexdigest()
    async with house.db.read() as session:
        assert await xet.hashes_of(session, house.repo.id, [sha256]) == {}
    await house.send_shard(shard_of(told(NAME, CHUNKS)))
    async with house.db.read() as session:
        assert sha256 in await xet.hashes_of(session, house.repo.id, [sha256])


async def test_bytes_and_table_of_a_xorb_belong_together_whoever_sends_it_again(house: House) -> None:
    name, other_body = xorb_of(CHUNKS, [1])
    assert name == NAME
    assert other_body != BODY

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        yield body

    async with xet.receive_xorb(house.store, NAME, pieces(other_body)) as second:
        await house.send_xorb(NAME, BODY)  # comes first to its end
        async with house.db.write() as session:
            assert await xet.register_xorb(session, house.store, house.repo, second) is False
    assert house.store.path(xorb_key("shared", NAME)).read_bytes() == BODY
    await house.send_shard(shard_of(told(NAME, CHUNKS)))


async def test_an_upload_that_relies_on_what_was_cleaned_up_is_asked_to_start_again(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS)))
    accepted = xet.accept_shard(
        house.db,
        house.store,
        house.repo,
        shard_of(told(NAME, CHUNKS)),
        sender=reader(),
        person_id=None,
        limit_bytes=LIMIT,
        room_bytes=LIMIT,
    )
    assert await anext(accepted) == xet.Progress(0, len(STREAM))  # it has seen that the file is known
    async with house.db.write() as session:
        await session.execute(sa.delete(RepoObject))
    with pytest.raises(Unavailable, match="cleaned up"):
        await anext(accepted)


async def test_one_shard_may_hold_files_made_of_runs_in_any_order(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    small, second_name = [b"abc"], xorb_of([b"abc"])
    await house.send_xorb(*second_name)
    mixed = told(NAME, CHUNKS, (5, 9), (0, 2), (17, 18), (5, 6))
    await house.send_shard(shard_of(mixed, told(second_name[0], small)))
    data = b"".join([*CHUNKS[5:9], *CHUNKS[0:2], CHUNKS[17], CHUNKS[5]])
    assert await house.has(data)
    assert await house.has(b"abc")


def forged() -> Iterator[tuple[str, Told]]:
    honest = told(NAME, CHUNKS, (0, 3))
    xorb, size, first, end, proof = honest.terms[0]
    stranger = hashes.parse_printed(GOOD_NAME) or b""
    yield "unknown xorb", replace(honest, terms=((stranger, size, first, end, proof),))
    yield "range hash", replace(honest, terms=((xorb, size, first, end, bytes(32)),))
    yield "longer run", replace(honest, terms=((xorb, size, first, end + 1, proof),))
    yield "beyond the xorb", replace(honest, terms=((xorb, size, first, 19, proof),))
    yield "empty run", replace(honest, terms=((xorb, 0, 1, 1, proof),))
    yield "backward run", replace(honest, terms=((xorb, size, 3, 0, proof),))
    yield "length", replace(honest, terms=((xorb, size + 1, first, end, proof),))
    yield "file hash", replace(honest, file_hash=bytes(range(32)))
    yield "sha256", replace(honest, sha256=hashlib.sha256(b"other").digest())
    yield "no terms", replace(honest, terms=())


@pytest.mark.parametrize("claim", [claim for _, claim in forged()], ids=[name for name, _ in forged()])
async def test_a_forged_shard_is_refused_and_leaves_nothing(house: House, claim: Told) -> None:
    await house.send_xorb(NAME, BODY)
    with pytest.raises(Invalid) as refused:
        await house.send_shard(shard_of(told(NAME, CHUNKS), claim))
    assert refused.value.status == 400
    assert not await house.has(STREAM)  # the honest file beside it is not registered either
    async with house.db.read() as session:
        assert (await session.scalars(sa.select(XetFile))).all() == []
    assert not list((house.store.root / "staging").iterdir())


async def test_a_xorb_of_another_repository_is_named_only_where_its_file_may_be_downloaded(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS)))
    with pytest.raises(Invalid, match="was not uploaded to this repository"):
        await house.send_shard(shard_of(told(NAME, CHUNKS)), house.other)
    assert not await house.has(STREAM, house.other)

    await house.send_shard(shard_of(told(NAME, CHUNKS)), house.other, sender=reader(house.repo))
    assert await house.has(STREAM, house.other)
    async with house.db.read() as session:
        assert await xet.was_sent(session, house.other.id, NAME) is False  # only the chunks of that file, by that file
        assert {row.repo_id for row in await session.scalars(sa.select(XetPart))} == {house.repo.id, house.other.id}


async def test_chunks_beside_a_file_that_may_be_downloaded_cannot_be_named(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS, (2, 9))))
    sender = reader(house.repo)
    for run in ((1, 3), (8, 10), (0, 18), (12, 13)):
        with pytest.raises(Invalid, match="was not uploaded to this repository"):
            await house.send_shard(shard_of(told(NAME, CHUNKS, run)), house.other, sender=sender)
    await house.send_shard(shard_of(told(NAME, CHUNKS, (3, 5), (7, 9), (2, 4))), house.other, sender=sender)
    # What it has now it may go on with, whoever sends, and no more than that.
    await house.send_shard(shard_of(told(NAME, CHUNKS, (7, 8))), house.other)
    with pytest.raises(Invalid, match="was not uploaded to this repository"):
        await house.send_shard(shard_of(told(NAME, CHUNKS, (5, 7))), house.other)


async def test_possession_is_proved_for_chunks_of_another_repository_too(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS)))
    honest = told(NAME, CHUNKS, (0, 3))
    xorb, size, first, end, _ = honest.terms[0]
    forged = replace(honest, terms=((xorb, size, first, end, bytes(32)),))
    with pytest.raises(Invalid, match="does not prove"):
        await house.send_shard(shard_of(forged), house.other, sender=reader(house.repo))


async def test_a_right_that_ends_while_a_file_is_decoded_counts_no_more(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    await house.send_shard(shard_of(told(NAME, CHUNKS)))
    answers = [True, False]

    async def may_download(session: AsyncSession, files: Collection[xet.FileOf]) -> set[xet.FileOf]:
        return set(files) if answers.pop(0) else set()

    with pytest.raises(Unavailable):
        await house.send_shard(shard_of(told(NAME, CHUNKS)), house.other, sender=xet.Sender(sa.true(), may_download))
    assert not await house.has(STREAM, house.other)


async def test_a_xorb_sent_to_two_repositories_is_stored_once_and_nobody_is_told(house: House) -> None:
    other_body = xorb_of(CHUNKS, [1])[1]
    assert await house.send_xorb(NAME, BODY) is True
    assert await house.send_xorb(NAME, other_body, house.other) is True  # "inserted", as if nobody had had it
    lying = [path for path in (house.store.root / "xorbs").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in lying] == [BODY]
    async with house.db.read() as session:
        assert len((await session.scalars(sa.select(RepoXorb))).all()) == 2
        assert (await verify(session, house.store)).is_sound
    await house.send_shard(shard_of(told(NAME, CHUNKS)), house.other)
    assert await house.has(STREAM, house.other)


async def test_a_client_that_names_what_is_gone_starts_afresh_once(house: House) -> None:
    body = shard_of(told(NAME, CHUNKS))
    for _ in range(2):
        with pytest.raises(Invalid) as refused:
            await house.send_shard(body)
        assert "Start it again" in refused.value.sentence
    assert await house.epoch(house.repo) == 2  # both spoke to the first address
    assert await house.epoch(house.other) == 1


async def test_a_xorb_need_not_be_sent_where_all_of_it_may_be_named(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    anyone, friend = reader(), reader(house.repo)
    async with house.db.read() as session:
        assert await xet.is_within_reach(session, house.repo.id, NAME, anyone)
        assert not await xet.is_within_reach(session, house.other.id, NAME, friend)  # no file is made of it yet
    await house.send_shard(shard_of(told(NAME, CHUNKS, (0, 17))))
    async with house.db.read() as session:
        assert not await xet.is_within_reach(session, house.other.id, NAME, friend)
    await house.send_shard(shard_of(told(NAME, CHUNKS, (17, 18))))
    async with house.db.read() as session:
        assert await xet.is_within_reach(session, house.other.id, NAME, friend)
        assert not await xet.is_within_reach(session, house.other.id, NAME, anyone)
        assert not await xet.is_within_reach(session, house.other.id, "x", friend)


async def test_a_shard_cannot_multiply_a_xorb_beyond_the_limit(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    for times, limit in ((5, 4 * len(STREAM)), (4, len(STREAM))):
        with pytest.raises(TooLarge, match="You may send at most"):
            await house.send_shard(shard_of(told(NAME, CHUNKS, *[(0, 18)] * times)), limit=limit)


async def test_a_broken_or_cut_off_xorb_is_not_kept(house: House) -> None:
    for body in (BODY[:-1], BODY[:100_000], BODY[:-1] + b"x", b""):
        with pytest.raises(GatekeeperError):
            await house.send_xorb(NAME, body)
    with pytest.raises(Invalid):
        await house.send_xorb("0" * 64, BODY)
    with pytest.raises(Invalid):
        await house.send_xorb("../../" + "0" * 58, BODY)
    assert [path for path in house.store.root.rglob("*") if path.is_file()] == []
    async with house.db.read() as session:
        assert (await session.scalars(sa.select(StoredXorb))).all() == []


async def test_damage_to_a_stored_xorb_is_found(house: House) -> None:
    await house.send_xorb(NAME, BODY)
    path = house.store.path(xorb_key("shared", NAME))
    path.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    async with house.db.read() as session:
        assert (await verify(session, house.store)).damaged == [f"xorb {NAME}"]
    path.unlink()
    async with house.db.read() as session:
        assert (await verify(session, house.store)).missing == [f"xorb {NAME}"]


async def test_a_token_is_for_one_repository_epoch_scope_and_time(house: House) -> None:
    key, now = b"k" * 32, datetime(2026, 11, 22, tzinfo=UTC)
    token, expires_at = xet.issue(key, house.repo, by=house.ada, scope="write", instant=now)
    here = {"repo_id": house.repo.id, "epoch": house.repo.xet_epoch}

    grant = xet.check(key, token, **here, scope="write", instant=now)
    assert (grant.person_id, grant.expires_at) == (house.ada.person_id, expires_at)
    assert xet.check(key, token, **here, scope="read", instant=now)
    assert xet.check(key, token, repo_id=house.repo.id, epoch=0, scope="write", instant=now)  # began before the epoch
    assert xet.cas_path(house.repo) == f"/cas/e/1/{house.repo.id}"
    reader, _ = xet.issue(key, house.repo, by=ANONYMOUS, scope="read", instant=now)
    refusals = [
        (token, {**here, "epoch": 2}, now, NotAllowed),
        (token, {**here, "epoch": -1}, now, NotAllowed),
        (token, {**here, "repo_id": house.other.id}, now, NotAllowed),
        (reader, here, now, NotAllowed),
        (token, here, now + timedelta(minutes=15), NotSignedIn),
        (token[:-3] + "AAA", here, now, NotSignedIn),
        ("", here, now, NotSignedIn),
    ]
    for text, place, instant, error in refusals:
        with pytest.raises(error):
            xet.check(key, text, **place, scope="write", instant=instant)  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        xet.issue(key, house.repo, by=ANONYMOUS, scope="write", instant=now)
