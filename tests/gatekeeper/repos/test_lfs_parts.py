"""Files in parts: joined only when whole and true, taken up where they broke off, and cleaned away when nobody does."""

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Person
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotAllowed, NotFound, RepoNotFound, TooLarge
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo, RepoKind, catalogue, garbage, lfs, lfs_parts
from gatekeeper.repos.lfs_parts import Offer, PartClaim
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import Upload, UploadPart

pytestmark = pytest.mark.anyio

LINKS = b"k" * 32
MIB = 2**20
CONTENT = os.urandom(2 * MIB + 5)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Sender:
    """ada, who sends `CONTENT` to a repository in parts of 1 MiB."""

    db: Database
    store: Store
    repo: Repo
    ada: Principal

    async def ask(self, *, part_bytes: int = MIB, sha256: str = SHA256) -> Offer:
        async with self.db.write() as s:
            wanted = [lfs.Wanted(sha256, len(CONTENT))]
            [plan] = await lfs.plan_upload(s, self.repo, wanted, by=self.ada, limit_bytes=10**9)
            assert not plan.is_stored
            return await lfs_parts.offer(s, LINKS, self.repo, plan, by=self.ada, part_bytes=part_bytes, instant=now())

    async def send(self, signed: str, content: bytes) -> str:
        """What the door does with the body of a PUT."""
        claim = lfs_parts.verify_part(LINKS, signed, instant=now())
        digest = await lfs_parts.receive(self.store, claim, body(content))
        async with self.db.write() as s:
            replaced = await lfs_parts.register(s, claim, digest)
        await lfs_parts.remove(self.store, [replaced] if replaced else [])
        return digest

    async def known(self, signed: str) -> str | None:
        async with self.db.read() as s:
            return await lfs_parts.known(s, lfs_parts.verify_part(LINKS, signed, instant=now()))

    async def complete(self, offer: Offer, etags: list[str]) -> None:
        upload_id, whole = lfs_parts.verify_completion(LINKS, offer.completion, instant=now())
        async with self.db.read() as s:
            parts = await lfs_parts.told(s, upload_id, whole, dict(enumerate(etags, 1)))
        await lfs_parts.join(self.store, whole, parts)
        async with self.db.write() as s:
            gone = await lfs_parts.finish(s, upload_id, whole)
        await lfs_parts.remove(self.store, gone)

    async def parts(self) -> int:
        """How many lie in the store."""
        return len([lying async for lying in self.store.listing("parts")])


def pieces_of(content: bytes = CONTENT) -> list[bytes]:
    return [content[at : at + MIB] for at in range(0, len(content), MIB)]


async def body(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 300_000):
        yield content[at : at + 300_000]


@pytest.fixture
async def sender(database: Database, any_store: Store) -> Sender:
    async with database.write() as s:
        person = Person(name="ada", name_key="ada", email="a@example.org", email_key="a@example.org")
        s.add(person)
        await s.flush()
        s.add(Namespace(key="ada", name="ada", skeleton="ada", person_id=person.id))
        await s.flush()
        ada = Principal(person_id=person.id, name="ada")
        return Sender(database, any_store, await catalogue.create(s, RepoKind.MODEL, "ada", "demo", by=ada), ada)


async def test_parts_sent_in_any_order_become_the_file(sender: Sender) -> None:
    offer = await sender.ask()
    assert (offer.part_bytes, len(offer.parts)) == (MIB, 3)
    pairs = list(enumerate(zip(offer.parts, pieces_of(), strict=True)))
    etags = {at: await sender.send(signed, piece) for at, (signed, piece) in reversed(pairs)}
    async with sender.db.read() as s:
        assert not await lfs.has(s, sender.repo, SHA256)  # parts prove nothing

    await sender.complete(offer, [etags[at] for at in sorted(etags)])

    async with sender.db.read() as s:
        assert await lfs.has(s, sender.repo, SHA256)
        assert await s.scalar(sa.select(sa.func.count()).select_from(UploadPart)) == 0
    assert await sender.store.digest(object_key(SHA256)) == SHA256
    assert await sender.parts() == 0


async def test_an_upload_is_taken_up_with_the_parts_that_arrived(sender: Sender) -> None:
    first = await sender.ask()
    digest = await sender.send(first.parts[0], pieces_of()[0])

    again = await sender.ask(part_bytes=2 * MIB)  # the setting was changed meanwhile

    assert (again.part_bytes, len(again.parts)) == (MIB, 3)
    assert [await sender.known(signed) for signed in again.parts] == [digest, None, None]
    etags = [digest, *[await sender.send(s, p) for s, p in zip(again.parts[1:], pieces_of()[1:], strict=True)]]
    await sender.complete(again, etags)
    async with sender.db.read() as s:
        assert await lfs.has(s, sender.repo, SHA256)


async def test_a_part_sent_again_takes_the_place_of_the_first(sender: Sender) -> None:
    offer = await sender.ask()
    await sender.send(offer.parts[2], b"wrong")
    etags = [await sender.send(signed, piece) for signed, piece in zip(offer.parts, pieces_of(), strict=True)]
    assert await sender.parts() == 3
    await sender.complete(offer, etags)


@pytest.mark.parametrize("length", [0, MIB - 1, MIB + 1])
async def test_a_part_of_another_length_is_refused(sender: Sender, length: int) -> None:
    offer = await sender.ask()
    with pytest.raises((Invalid, TooLarge)):
        await sender.send(offer.parts[0], b"x" * length)
    assert await sender.parts() == 0
    assert await sender.known(offer.parts[0]) is None


async def test_a_whole_that_is_not_what_was_announced_is_not_kept(sender: Sender) -> None:
    offer = await sender.ask()
    wrong = [b"X" + piece[1:] for piece in pieces_of()]
    etags = [await sender.send(signed, piece) for signed, piece in zip(offer.parts, wrong, strict=True)]
    with pytest.raises(Invalid, match="SHA-256"):
        await sender.complete(offer, etags)
    async with sender.db.read() as s:
        assert not await lfs.has(s, sender.repo, SHA256)
    assert [lying async for lying in sender.store.listing("sha256")] == []


async def test_only_the_parts_that_arrived_can_be_named(sender: Sender) -> None:
    offer = await sender.ask()
    etags = [await sender.send(signed, piece) for signed, piece in zip(offer.parts, pieces_of(), strict=True)]
    for told in [etags[:2], [*etags[:2], "0" * 64], etags[::-1], [*etags, etags[0]], []]:
        with pytest.raises(Invalid, match="parts arrived"):
            await sender.complete(offer, told)


async def test_an_address_is_for_one_purpose_and_ends(sender: Sender) -> None:
    offer = await sender.ask()
    part, later = offer.parts[0], now() + timedelta(seconds=lfs.ADDRESS_SECONDS)
    for signed in (offer.completion, part[:-2], part + "A", part.replace(".", "A.", 1)):
        with pytest.raises(NotAllowed):
            lfs_parts.verify_part(LINKS, signed, instant=now())
    for signed in (part, offer.completion[:-2]):
        with pytest.raises(NotAllowed):
            lfs_parts.verify_completion(LINKS, signed, instant=now())
    with pytest.raises(NotAllowed):
        lfs.verify_address(LINKS, part, instant=now())
    with pytest.raises(NotAllowed):
        lfs_parts.verify_part(LINKS, part, instant=later)
    with pytest.raises(NotAllowed):
        lfs_parts.verify_completion(LINKS, offer.completion, instant=later)


async def test_parts_of_another_file_or_person_are_another_upload(sender: Sender) -> None:
    mine = lfs_parts.verify_part(LINKS, (await sender.ask()).parts[0], instant=now())
    other = lfs_parts.verify_part(LINKS, (await sender.ask(sha256="a" * 64)).parts[0], instant=now())
    assert isinstance(mine, PartClaim)
    assert mine.upload_id != other.upload_id


async def test_a_finished_upload_takes_no_more_parts(sender: Sender) -> None:
    offer = await sender.ask()
    etags = [await sender.send(signed, piece) for signed, piece in zip(offer.parts, pieces_of(), strict=True)]
    await sender.complete(offer, etags)
    with pytest.raises(NotFound):
        await sender.known(offer.parts[0])
    with pytest.raises(NotFound):
        await sender.send(offer.parts[0], pieces_of()[0])


async def test_nothing_is_finished_for_a_repository_that_was_deleted(sender: Sender) -> None:
    offer = await sender.ask()
    etags = [await sender.send(signed, piece) for signed, piece in zip(offer.parts, pieces_of(), strict=True)]
    async with sender.db.write() as s:
        found = await catalogue.by_id(s, sender.repo.id)
        assert found is not None
        await catalogue.delete(s, found, by=sender.ada)
    with pytest.raises(RepoNotFound):
        await sender.complete(offer, etags)


async def test_parts_that_nobody_goes_on_with_are_cleaned_away(sender: Sender) -> None:
    offer = await sender.ask()
    await sender.send(offer.parts[0], pieces_of()[0])
    assert await lfs_parts.clean_up(sender.db, sender.store) == 0
    soon = now() + timedelta(days=1)
    assert await lfs_parts.clean_up(sender.db, sender.store, instant=soon) == 0
    later = now() + timedelta(days=lfs_parts.KEPT_DAYS, seconds=5)
    assert await lfs_parts.clean_up(sender.db, sender.store, instant=later) == 1
    assert await lfs_parts.clean_up(sender.db, sender.store, instant=later) == 0
    assert await sender.parts() == 0
    with pytest.raises(NotFound):
        await sender.send(offer.parts[0], pieces_of()[0])
    async with sender.db.read() as s:
        event = await s.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "repos:upload:expire"))
        assert event is not None
        assert event.subject_id == SHA256
    assert len((await sender.ask()).parts) == 3  # and may be begun again


async def test_cleaning_the_store_takes_parts_without_a_row_and_no_others(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = await sender.ask()
    await sender.send(offer.parts[0], pieces_of()[0])
    claim = lfs_parts.verify_part(LINKS, offer.parts[1], instant=now())
    await lfs_parts.receive(sender.store, claim, body(pieces_of()[1]))  # and the hub was killed
    monkeypatch.setattr(garbage, "_FRESH_SECONDS", 0.0)  # as if a day had gone by
    swept = await garbage.collect(sender.db, sender.store)
    assert (swept.staged, await sender.parts()) == (1, 1)
    async with sender.db.write() as s:
        await s.execute(sa.delete(Upload))  # as cleaning does with what a deleted repository had
        assert await s.scalar(sa.select(sa.func.count()).select_from(UploadPart)) == 0
