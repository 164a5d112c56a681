"""What can be given out was certified and is on record, whatever fails while it is made, marked, signed and written."""

import base64
import random
from collections.abc import Mapping
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from gatekeeper import generation
from gatekeeper.db import Database
from gatekeeper.errors import NotFound
from gatekeeper.generation import Certifier, Generation, GenerationState, ImageFolder
from gatekeeper.generation.client import WorkerLost
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.provenance import Certified, ImageRecord
from inference.contract import Done, ErrorCode, Failed, ImageOrder, Preview, Started
from tests.gatekeeper.generation.stub import StubWorker, image, withheld
from tests.gatekeeper.generation.test_studio import SECRETS, tell
from tests.gatekeeper.provenance.builders import NOTARY

pytestmark = pytest.mark.anyio

ORDERS = 40


class Chance(random.Random):
    """Fails at random."""

    def fail(self, share: float) -> None:
        if self.random() < share:
            raise OSError("injected")


class FaultyNotary:
    """Fails before and after it certified, and keeps what it did: by the file's digest, what its signature says."""

    def __init__(self, chance: Chance) -> None:
        self.certified: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._chance = chance

    def certify(self, content: bytes, number: int, facts: Mapping[str, Any], **options: Any) -> Certified:
        self._chance.fail(0.05)
        certified = NOTARY.certify(content, number, facts, **options)
        self._chance.fail(0.05)
        self.certified[certified.sha256] = number, facts
        return certified


class FaultyFolder(ImageFolder):
    """Fails before, between and after it wrote, named and deleted files."""

    def __init__(self, root: Path, chance: Chance) -> None:
        super().__init__(root)
        self._chance = chance

    async def delete(self, generation_ids: list[str]) -> int:
        self._chance.fail(0.5)
        return await super().delete(generation_ids)

    def keep(self, made: Generation, parts: list[Path]) -> None:
        for part in parts:
            super().keep(made, [part])
            self._chance.fail(0.1)

    def _write(self, path: Path, content: bytes) -> None:
        self._chance.fail(0.05)
        super()._write(path, content[: len(content) // 2] if self._chance.random() < 0.05 else content)
        if path.stat().st_size < len(content):
            raise OSError("injected")


async def test_over_a_random_load_with_faults_in_every_stage_what_is_given_out_was_certified_and_recorded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Chance(0)
    notary, folder = FaultyNotary(chance), FaultyFolder(tmp_path / "generations", chance)
    monkeypatch.setitem(SECRETS, "certifier", Certifier(notary))  # type: ignore[arg-type]  # asked to certify only

    def answer(order: ImageOrder) -> list[Any]:
        looks = [Preview(index=i, step=1, png_base64=image(order, i).png_base64) for i in range(order.images)]
        ends = [withheld(order, i) if chance.random() < 0.2 else image(order, i) for i in range(order.images)]
        done = Done(delivered=len(ends), withheld=0, compute_seconds=0.5)
        failed = Failed(code=ErrorCode.NOT_FINITE, message="It did not work.", compute_seconds=0.5)
        last = chance.choice([done] * 6 + [failed, WorkerLost("injected")])
        return [Started(steps=1), *(looks if order.previews else []), *ends, last]

    story = await tell(database, folder, StubWorker(answer))
    shown: dict[str, set[str]] = {}

    with capture_logs():  # each fault would be printed with all its frames
        for _ in range(ORDERS):
            made = await story.order(images=chance.randint(1, 3), previews=chance.randint(0, 1))
            seen = shown[made.id] = set()
            async with aclosing(story.studio.watch(made)) as updates:
                async for update in updates:
                    if update.type == "preview":
                        seen.add(sha256_hex(base64.b64decode(update.data["png_base64"])))

    async with database.read() as session:
        ended = {made.id: made for made in await session.scalars(sa.select(Generation))}
        records = {record.receipt_id: record for record in await session.scalars(sa.select(ImageRecord))}
        finish = sa.select(LedgerEvent).where(LedgerEvent.kind == "generation:order:finish")
        finished = [event.subject_id for event in await session.scalars(finish)]
        given: dict[str, bytes] = {}
        for made in ended.values():
            for index in range(made.settings["images"]):
                try:
                    path = await generation.own_image(session, story.ada, folder, made.id, index)
                except NotFound:
                    continue
                given[f"{made.id}-{index}"] = path.read_bytes()

    assert sorted(finished) == sorted(ended) == sorted(shown)
    assert len(ended) == ORDERS
    assert {made.code for made in ended.values()} >= {"", "not_certified", "not_recorded", "not_finite"}
    for receipt_id, content in given.items():
        record, (number, facts) = records[receipt_id], notary.certified[sha256_hex(content)]
        assert (facts["receipt_id"], number, sha256_hex(content)) == (receipt_id, record.number, record.image_sha256)
        assert not record.is_preview
    numbers = {record.number for record in records.values()}
    assert given
    assert any(shown.values())
    for made in ended.values():
        mine = [content for receipt_id, content in given.items() if receipt_id.startswith(made.id)]
        assert [sha256_hex(content) for content in mine] == made.image_sha256
        assert all(notary.certified[digest][0] in numbers for digest in shown[made.id])
        is_done = made.state is GenerationState.DONE
        delivered = {notary.certified[digest][0] for digest in (*made.image_sha256, *shown[made.id])}
        assert (made.charged_images, made.charged_seconds) == ((len(delivered), 0.5) if is_done else (0, 0))
        assert is_done or not mine
    async with database.write() as session:  # what a fault left behind ends with the order's time
        await generation.clean_up(session, ImageFolder(folder.root), instant=now() + timedelta(days=400))
    assert not list(folder.root.iterdir())
