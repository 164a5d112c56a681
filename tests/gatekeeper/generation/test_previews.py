"""What was seen of an image before its order ended is charged, has a record, and counts for safety."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.db import Database
from gatekeeper.generation import Generation, GenerationState, ImageFolder, Right, Strike, StrikeKind, usage
from gatekeeper.generation.client import WorkerLost
from gatekeeper.generation.flow import flow
from gatekeeper.provenance import ImageRecord, find_record, number_text
from gatekeeper.transparency.figures import refresh
from gatekeeper.web.portal.usage import COLUMNS, cells
from inference.contract import Done, ErrorCode, Event, Failed, ImageOrder, Preview, Started
from tests.gatekeeper.generation.stub import StubWorker, all_good, image, withheld
from tests.gatekeeper.generation.test_studio import Story, tell
from tests.gatekeeper.licensing.builders import events
from tests.gatekeeper.provenance.builders import NOTARY

pytestmark = pytest.mark.anyio

Answer = Callable[[ImageOrder], list[Any]]


class Lingering(StubWorker):
    """Goes on after its answer until it is told to stop."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer, knows=True)
        self.stop = asyncio.Event()

    async def submit(self, order: ImageOrder) -> AsyncIterator[Event]:
        for event in self.answer(order):
            yield event
        await self.stop.wait()
        yield Failed(code=ErrorCode.CANCELLED, message="Cancelled.", compute_seconds=0.7)

    async def cancel(self, order_id: str) -> bool:
        self.stop.set()
        return True


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    return ImageFolder(tmp_path / "generations")


def look(order: ImageOrder, index: int = 0, step: int = 1) -> Preview:
    return Preview(index=index, step=step, png_base64=image(order, index).png_base64)


def stayed_away(order: ImageOrder, index: int = 0, step: int = 1) -> Preview:
    return Preview(index=index, step=step, png_base64="", withheld=withheld(order, index))


async def see(story: Story, made: Generation, count: int) -> list[bytes]:
    """The first previews that are told."""
    seen: list[bytes] = []
    async with aclosing(story.studio.watch(made)) as updates:
        async for update in updates:
            if update.type == "preview":
                seen.append(base64.b64decode(update.data["png_base64"]))
                if len(seen) == count:
                    break
    return seen


async def cancelled(story: Story, made: Generation) -> Generation:
    await asyncio.sleep(0.05)
    await story.studio.cancel(made)
    return await story.studio.wait(made)


async def test_previews_of_a_cancelled_order_are_charged_and_on_record(database: Database, folder: ImageFolder) -> None:
    def looks(order: ImageOrder) -> list[Any]:
        return [Started(steps=9), look(order, 0), look(order, 1)]

    story = await tell(database, folder, Lingering(looks))
    made = await story.order(images=3, previews=2)
    seen = await see(story, made, 2)
    ended = await cancelled(story, made)
    assert (ended.state, ended.charged_images, ended.charged_seconds) == (GenerationState.CANCELLED, 2, 0.7)
    async with database.write() as session:
        [event] = await events(session, "generation:order:finish")
        for content, noted in zip(seen, event.body["previews"], strict=True):
            examined = NOTARY.examine(content)
            assert examined.number is not None
            record = await find_record(session, number_text(examined.number))
            assert record is not None
            assert (record.is_preview, record.image_sha256) == (True, examined.sha256)
            assert noted == {"record": number_text(record.number), "image_sha256": record.image_sha256}


async def test_an_image_that_was_withheld_after_a_preview_is_charged_and_not_counted_as_delivered(
    database: Database, folder: ImageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.transparency.report.FEWEST", 1)  # small numbers are told, too

    def half(order: ImageOrder) -> list[Any]:
        ends = [image(order, 0), withheld(order, 1), Done(delivered=1, withheld=1, compute_seconds=0.5)]
        return [Started(steps=9), look(order, 1), *ends]

    story = await tell(database, folder, StubWorker(half))
    made = await story.end(images=2, previews=1)
    assert (made.charged_images, len(made.image_sha256)) == (2, 1)
    async with database.write() as session:
        assert (await flow(session)).images == 1
        report = await refresh(session, visible=sa.true())
        [line] = await usage.lines(session, usage.of_person(story.ada, made.started_at - timedelta(hours=1)), limit=9)
    assert cells(line)[COLUMNS.index("images")] == 1
    assert report.months[-1].images == 1


@pytest.mark.parametrize(
    ("answer", "strikes"),
    [
        (lambda order: [stayed_away(order)], 1),
        (lambda order: [stayed_away(order), look(order, step=2)], 0),
        (lambda order: [withheld(order)], 1),
        (lambda order: [look(order)], 0),
    ],
    ids=["a preview stayed away", "a later one was clean", "an image was withheld", "all was clean"],
)
async def test_stopping_an_order_does_not_hide_what_the_check_found(
    database: Database, folder: ImageFolder, answer: Answer, strikes: int
) -> None:
    story = await tell(database, folder, Lingering(answer))
    ended = await cancelled(story, await story.order(images=2, previews=2))
    assert ended.state is GenerationState.CANCELLED
    async with database.read() as session:
        found = list(await session.scalars(sa.select(Strike)))
    assert [(strike.kind, strike.fired) for strike in found] == [(StrikeKind.IMAGE_FLAGGED, ["skull"])] * strikes


async def test_an_image_has_the_record_of_its_preview_also_when_its_worker_died(
    database: Database, folder: ImageFolder
) -> None:
    tries: list[Answer] = [lambda order: [look(order), WorkerLost("gone")], all_good]

    def answer(order: ImageOrder) -> list[Any]:
        return tries.pop(0)(order)

    story = await tell(database, folder, StubWorker(answer))
    made = await story.studio.wait(await story.order(previews=1))
    assert (made.state, made.charged_images, made.losses) == (GenerationState.DONE, 1, 1)
    async with database.read() as session:
        [record] = await session.scalars(sa.select(ImageRecord))
    assert (record.is_preview, record.image_sha256) == (False, made.image_sha256[0])
    assert NOTARY.examine(folder.path(made, 0).read_bytes()).number == record.number


async def test_no_preview_is_given_out_after_the_right_has_ended(database: Database, folder: ImageFolder) -> None:
    refusal: list[str] = []

    async def recheck(session: AsyncSession, made: Generation) -> Right:
        return Right(refusal[0] if refusal else None)

    def looks(order: ImageOrder) -> list[Any]:
        return [Started(steps=9), look(order)]

    story = await tell(database, folder, Lingering(looks))
    story.studio.recheck = recheck
    made = await story.order(images=2, previews=2)
    assert len(await see(story, made, 1)) == 1
    assert await story.studio.preview(made) is not None
    refusal.append("The release was put on hold.")
    late = asyncio.create_task(see(story, made, 1))
    assert await story.studio.preview(made) is None
    await cancelled(story, made)
    assert await late == []


async def test_a_hold_between_two_previews_ends_the_order(database: Database, folder: ImageFolder) -> None:
    answers = [Right(), Right(), Right("The release was put on hold.")]

    async def recheck(session: AsyncSession, made: Generation) -> Right:
        return answers.pop(0)

    def looks(order: ImageOrder) -> list[Any]:
        return [Started(steps=9), look(order, 0), look(order, 1), *all_good(order)]

    story = await tell(database, folder, StubWorker(looks))
    story.studio.recheck = recheck
    made = await story.order(images=2, previews=2)
    ended = made
    while ended.state is GenerationState.RUNNING:  # nobody watches, for whom it would be asked as well
        await asyncio.sleep(0.01)
        async with database.read() as session:
            ended = await session.get_one(Generation, made.id)
    assert (ended.code, ended.charged_images, answers) == ("no_longer_allowed", 1, [])
