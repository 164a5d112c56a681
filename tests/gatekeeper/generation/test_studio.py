import asyncio
import base64
import io
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import generation, licensing, releases
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotAllowed, NotFound, TooMany, Unavailable
from gatekeeper.generation import (
    Certifier,
    Generation,
    GenerationState,
    ImageFolder,
    OrderRequest,
    Right,
    Ruling,
    Safety,
    Studio,
    Terms,
    claims,
)
from gatekeeper.generation.client import OrderRejected, WorkerAbsent, WorkerLost
from gatekeeper.generation.manifests import ORDER_SECONDS
from gatekeeper.generation.supervisor import Supervisor
from gatekeeper.kit.canonical import canonical_json, digest_of, sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from gatekeeper.repos.storage import DirectoryStore
from inference.contract import (
    Done,
    ErrorCode,
    Failed,
    ImageOrder,
    LoadPhase,
    ModelState,
    Preview,
    RefusalCode,
    Refused,
    Started,
    WithheldCode,
)
from tests.gatekeeper.generation.stub import StubWorker, all_good, image, withheld
from tests.gatekeeper.licensing.builders import LICENSE, events, make_person, make_repo
from tests.gatekeeper.provenance.builders import NOTARY

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())
PRIVACY = b"p" * 32
SECRETS: dict[str, Any] = {"key": KEY, "privacy_key": PRIVACY, "certifier": Certifier(NOTARY)}
SAFETY = Safety.load()
LEVEL = SAFETY.at(Stage.GATED)
FILES = {"model_index.json": b'{"_class_name": "StableDiffusionPipeline"}', "LICENSE": LICENSE, "README.md": b"# x\n"}


class Story:
    """A person, a model, a studio with a stubbed worker."""

    def __init__(self, database: Database, folder: ImageFolder, worker: Any) -> None:
        self.database = database
        self.folder = folder
        self.worker = worker
        self.studio = self.process()
        self.ada: Principal
        self.repo: Repo
        self.commit: str

    def process(self) -> Studio:
        """A server process with its own memory; all share database and files."""
        store = DirectoryStore(self.folder.root)
        return Studio(self.database, self.worker, self.folder, store, **SECRETS)

    async def begin(self) -> None:
        async with self.database.write() as session:
            self.ada = await make_person(session)
            self.repo, self.commit = await make_repo(session, await make_person(session), files=FILES)

    async def order(self, *, is_awaited: bool = False, **values: Any) -> Generation:
        request = OrderRequest.parse({"prompt": "a secret cat", "seed": 41, **values}, level=LEVEL)
        async with self.database.write() as session:
            bundle = await releases.terms_in_force(session, self.repo, self.commit)
            terms = Terms(SAFETY, LEVEL, Ruling(("terms-open-use",), "f" * 64, Stage.GATED), PRIVACY, bundle)
            await self.studio.prepare(session, self.repo, self.commit)
            admitted = await generation.admit(
                session,
                self.ada,
                self.repo,
                self.commit,
                request,
                terms=terms,
                process=self.studio.process,
                is_awaited=is_awaited,
            )
        self.studio.start(admitted.made)
        return admitted.made

    async def end(self, **values: Any) -> Generation:
        return await self.studio.wait(await self.order(**values))


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    return ImageFolder(tmp_path / "generations")


async def tell(database: Database, folder: ImageFolder, worker: Any) -> Story:
    story = Story(database, folder, worker)
    await story.begin()
    return story


async def test_images_come_with_signed_receipts_and_evidence(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    made = await story.end(images=2, steps=10)
    assert (made.state, made.charged_images) == (GenerationState.DONE, 2)
    assert generation.require_images(made) == (0, 1)
    assert made.receipt is not None
    for index, receipt in enumerate(made.receipt["images"]):
        verdict = licensing.verify_receipt(licensing.read_receipt(canonical_json(receipt)), KEY.public)
        assert verdict.is_valid, verdict.problem
        statement = receipt["statement"]
        png = folder.path(made, index).read_bytes()
        assert NOTARY.examine(png).signature.facts["receipt_id"] == statement["receipt_id"]
        assert statement["image_sha256"] == sha256_hex(png) == made.image_sha256[index]
        assert (statement["repository"], statement["commit"]) == (story.repo.full_name, story.commit)
        assert statement["weights"] == {"unet/model.safetensors": "1" * 64}
        assert statement["license"]["texts"] == [sha256_hex(LICENSE)]
        assert statement["decision"] == {"policies": ["terms-open-use"], "policy_sha256": "f" * 64}
        sld = {"level": "medium", "warmup_steps": 4, "acted": True, "reason": "", "effect": None}
        assert statement["safety"]["sld"] == sld
        assert statement["safety"]["scores"] == {"skull": -0.1}
        assert (statement["seed"], statement["steps"], statement["bucket"]) == (41 + index, 10, 8)
        text = str(receipt)
        assert "cat" not in text
        assert story.ada.name not in text
        assert str(story.ada.person_id) not in text
    async with database.write() as session:
        [event] = await events(session, "generation:order:finish")
    assert event.id == made.receipt["images"][0]["event"]
    assert event.body["images"][0]["statement_sha256"] == digest_of(made.receipt["images"][0]["statement"])
    assert "cat" not in str(event.body)


async def test_any_change_of_an_image_receipt_is_detected(database: Database, folder: ImageFolder) -> None:
    made = await (await tell(database, folder, StubWorker())).end()
    assert made.receipt is not None
    data = canonical_json(made.receipt["images"][0])
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        try:
            receipt = licensing.read_receipt(changed)
        except Invalid:
            continue
        assert not licensing.verify_receipt(receipt, KEY.public).is_valid, position


async def test_worker_learns_no_name_and_the_safety_of_the_stage(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    await story.end(negative_prompt="dogs", scheduler="euler", width=64)
    [order] = story.worker.orders
    assert (order.prompt, order.negative_prompt, order.seed, order.width) == ("a secret cat", "dogs", 41, 64)
    assert (order.safety.sld_level, order.safety.margin) == (LEVEL.sld_level, LEVEL.margin)
    assert str(story.ada.person_id) not in order.person_key


async def test_watchers_see_everything_also_when_they_come_late(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker(needs_load=True))
    story.worker.gate = asyncio.Event()
    made = await story.order()

    async def see() -> list[str]:
        async with aclosing(story.studio.watch(made)) as updates:
            return [update.type async for update in updates]

    early = asyncio.create_task(see())
    await asyncio.sleep(0.05)
    late = asyncio.create_task(see())
    await asyncio.sleep(0)
    story.worker.gate.set()
    assert await early == ["loading", "queued", "started", "progress", "image", "done"]
    assert await late == await early
    assert await see() == ["image", "done"]  # from the record
    assert len(story.worker.loaded) == 1


async def test_image_is_told_only_when_it_is_recorded(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    made = await story.order()
    async with aclosing(story.studio.watch(made)) as updates:
        async for update in updates:
            if update.type == "image":
                async with database.read() as session:
                    assert (await session.get_one(Generation, made.id)).state is GenerationState.DONE
                    assert (await generation.own_image(session, story.ada, folder, made.id, 0)).is_file()


def refusal(order: ImageOrder) -> list[Any]:
    return [
        Refused(
            code=RefusalCode.PROMPT_SCREENED,
            reason="The prompt asks for harm.",
            rule_ids=("harm-1",),
            restrictions=("law",),
        )
    ]


def nothing_left(order: ImageOrder) -> list[Any]:
    return [Started(steps=1), withheld(order), Done(delivered=0, withheld=1, compute_seconds=0.1)]


def unscreened(order: ImageOrder) -> list[Any]:
    return [Refused(code=RefusalCode.PROMPT_UNSCREENED, reason="The classifier is away.", rule_ids=("classifier",))]


def unchecked(order: ImageOrder) -> list[Any]:
    event = withheld(order).model_copy(update={"code": WithheldCode.IMAGE_UNCHECKED})
    return [event, Done(delivered=0, withheld=1, compute_seconds=0.1)]


def failing(code: ErrorCode) -> Callable[[ImageOrder], list[Any]]:
    return lambda order: [Started(steps=1), Failed(code=code, message="It did not work.")]


def absent(order: ImageOrder) -> list[Any]:
    return [WorkerAbsent("not there")]


def one_by_one(*answers: Callable[[ImageOrder], list[Any]]) -> Callable[[ImageOrder], list[Any]]:
    left = iter(answers)

    def answer(order: ImageOrder) -> list[Any]:
        return next(left)(order)

    return answer


def losing(order: ImageOrder) -> list[Any]:
    return [Started(steps=1), image(order), WorkerLost("gone")]


def rejecting(code: ErrorCode) -> Callable[[ImageOrder], list[Any]]:
    return lambda order: [OrderRejected(code, "No.", ("steps is 0.",))]


@pytest.mark.parametrize(
    ("answer", "state", "code", "charged", "raises", "error_code"),
    [
        (refusal, GenerationState.REFUSED, "prompt_screened", 0, Invalid, "moderation_blocked"),
        (nothing_left, GenerationState.DONE, "", 0, Invalid, "moderation_blocked"),
        (unscreened, GenerationState.REFUSED, "prompt_unscreened", 0, Unavailable, "CheckUnavailable"),
        (unchecked, GenerationState.DONE, "", 0, Unavailable, "CheckUnavailable"),
        (failing(ErrorCode.OUT_OF_MEMORY), GenerationState.FAILED, "out_of_memory", 0, Invalid, None),
        (losing, GenerationState.FAILED, "worker_lost", 0, Unavailable, "GenerationFailed"),
        (failing(ErrorCode.NOT_FINITE), GenerationState.FAILED, "not_finite", 0, Unavailable, "GenerationFailed"),
        (failing(ErrorCode.DEADLINE_PASSED), GenerationState.FAILED, "deadline_passed", 0, Unavailable, None),
        (rejecting(ErrorCode.QUEUE_FULL), GenerationState.FAILED, "queue_full", 0, TooMany, None),
        (rejecting(ErrorCode.LIMITS_EXCEEDED), GenerationState.FAILED, "limits_exceeded", 0, Invalid, None),
        (rejecting(ErrorCode.MODEL_REFUSED), GenerationState.FAILED, "model_refused", 0, Unavailable, "ModelRefused"),
    ],
    ids=[
        "refused",
        "withheld",
        "not screened",
        "not checked",
        "memory",
        "worker lost",
        "nan",
        "deadline",
        "queue full",
        "limits",
        "model refused",
    ],
)
async def test_order_without_image_ends_with_its_reason_and_costs_nothing_that_was_not_made(
    database: Database,
    folder: ImageFolder,
    answer: Callable[[ImageOrder], list[Any]],
    state: GenerationState,
    code: str,
    charged: int,
    raises: type[GatekeeperError],
    error_code: str | None,
) -> None:
    story = await tell(database, folder, StubWorker(answer))
    made = await story.end()
    assert (made.state, made.code, made.image_sha256) == (state, code, [])
    assert made.charged_images == charged
    assert made.charged_seconds == (0.1 if answer is nothing_left else 0)
    assert made.finished_at is not None
    assert not folder.root.exists()
    with pytest.raises(raises) as told:
        generation.require_images(made)
    assert told.value.next_step
    if error_code:
        assert told.value.code == error_code
    async with database.write() as session:
        [event] = await events(session, "generation:order:finish")
        assert (event.body["before"], event.body["after"]) == ("running", state)
        with pytest.raises(NotFound):
            await generation.own_image(session, story.ada, folder, made.id, 0)


async def test_right_that_ended_meanwhile_gives_no_image(database: Database, folder: ImageFolder) -> None:
    async def held(session: AsyncSession, made: Generation) -> Right:
        return Right("The release was put on hold.")

    async def fine(session: AsyncSession, made: Generation) -> Right:
        return Right()

    story = await tell(database, folder, StubWorker())
    story.studio.recheck = held
    made = await story.end()
    assert (made.state, made.code, made.charged_images) == (GenerationState.FAILED, "no_longer_allowed", 0)
    assert (made.charged_seconds, story.worker.cancelled) == (0.5, [made.id])  # it was their own doing
    assert not folder.root.exists()
    with pytest.raises(NotAllowed, match="on hold"):
        generation.require_images(made)
    story.studio.recheck = fine
    assert generation.require_images(await story.end()) == (0,)


async def test_right_is_asked_while_the_engine_works_and_again_at_the_end(
    database: Database, folder: ImageFolder
) -> None:
    answers = [Right(), Right("The release was put on hold.")]

    async def held_late(session: AsyncSession, made: Generation) -> Right:
        return answers.pop(0)

    story = await tell(database, folder, StubWorker())
    story.studio.recheck = held_late
    made = await story.end()
    assert (made.state, made.code, answers) == (GenerationState.FAILED, "no_longer_allowed", [])
    assert (made.charged_seconds, made.image_sha256) == (0.5, [])


async def test_one_image_withheld_does_not_stop_the_others(database: Database, folder: ImageFolder) -> None:
    def mixed(order: ImageOrder) -> list[Any]:
        return [withheld(order, 0), image(order, 1), Done(delivered=1, withheld=1, compute_seconds=1)]

    story = await tell(database, folder, StubWorker(mixed))
    made = await story.end(images=2)
    assert generation.require_images(made) == (1,)
    assert made.receipt is not None
    assert made.receipt["withheld"][0]["scores"] == {"skull": 0.2}
    assert not folder.path(made, 0).exists()


async def test_model_that_cannot_be_loaded_is_said_so(database: Database, folder: ImageFolder) -> None:
    worker = StubWorker(needs_load=True)
    worker.load_phase = LoadPhase.FAILED
    made = await (await tell(database, folder, worker)).end()
    assert (made.state, made.code) == (GenerationState.FAILED, "model_refused")
    assert "holds a pickle" in made.reason


async def test_cancelled_order_ends_cancelled(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    story.worker.gate = asyncio.Event()
    made = await story.order()
    await asyncio.sleep(0.05)
    await story.studio.cancel(made)
    ended = await story.studio.wait(made)
    assert ended.state is GenerationState.CANCELLED
    assert story.worker.cancelled == [made.id]
    with pytest.raises(Conflict):
        generation.require_images(ended)
    await story.studio.cancel(made)  # nothing happens


async def test_cancelled_order_is_charged_for_what_it_used(database: Database, folder: ImageFolder) -> None:
    def stopped(order: ImageOrder) -> list[Any]:
        return [Started(steps=9), Failed(code=ErrorCode.CANCELLED, message="Cancelled.", compute_seconds=0.7)]

    story = await tell(database, folder, StubWorker(stopped, knows=True))
    story.worker.gate = asyncio.Event()
    made = await story.order()
    await asyncio.sleep(0.05)
    await story.studio.cancel(made)
    story.worker.gate.set()
    ended = await story.studio.wait(made)
    assert (ended.state, ended.charged_images, ended.charged_seconds) == (GenerationState.CANCELLED, 0, 0.7)


async def test_orders_of_a_stopped_server_are_made_by_the_next_one(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    story.worker.gate = asyncio.Event()
    made = await story.order(images=2, negative_prompt="dogs")
    watched = asyncio.create_task(story.studio.wait(made))
    await asyncio.sleep(0.05)
    await story.studio.close()
    assert (await watched).state is GenerationState.RUNNING
    story.worker.gate.set()
    following = story.process()
    await following.keep_up()
    ended = await following.wait(made)
    assert (ended.state, ended.charged_images, ended.losses) == (GenerationState.DONE, 2, 0)
    assert [order.negative_prompt for order in story.worker.orders] == ["dogs", "dogs"]
    async with database.write() as session:
        assert len(await events(session, "generation:order:finish")) == 1


async def test_an_order_is_taken_over_when_its_process_is_gone_and_ends_once(
    database: Database, folder: ImageFolder
) -> None:
    story = await tell(database, folder, StubWorker())
    story.worker.gate = asyncio.Event()
    made = await story.order()
    other = story.process()
    await other.keep_up()
    await asyncio.sleep(0.05)
    assert len(story.worker.orders) == 1  # its process is believed
    with time_machine.travel(now() + claims.LEASE + timedelta(seconds=1)):
        await other.keep_up()
        await asyncio.sleep(0.05)
        assert len(story.worker.orders) == 2
        story.worker.gate.set()
        ended, same = await asyncio.gather(other.wait(made), story.studio.wait(made))
    assert ended.state is same.state is GenerationState.DONE
    assert folder.path(ended, 0).is_file()
    async with database.write() as session:
        assert len(await events(session, "generation:order:finish")) == 1


@pytest.mark.parametrize("is_in_order", [True, False], ids=["stopped", "killed"])
async def test_an_order_awaited_on_the_line_ends_uncharged_with_its_server(
    database: Database, folder: ImageFolder, is_in_order: bool
) -> None:
    story = await tell(database, folder, StubWorker())
    story.worker.gate = asyncio.Event()
    made = await story.order(is_awaited=True)
    await asyncio.sleep(0.05)
    following = story.process()
    if is_in_order:
        await story.studio.close()
    with time_machine.travel(now() + claims.LEASE + timedelta(seconds=1)):
        await following.keep_up()
        ended = await following.wait(made)
    assert (ended.state, ended.code) == (GenerationState.FAILED, "interrupted")
    assert (ended.charged_images, ended.charged_seconds, len(story.worker.orders)) == (0, 0, 1)


async def test_an_order_is_cancelled_through_another_process(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    story.worker.gate = asyncio.Event()
    made = await story.order()
    await asyncio.sleep(0.05)
    await story.process().cancel(made)
    await story.studio.keep_up()
    assert (await story.studio.wait(made)).state is GenerationState.CANCELLED


async def test_an_order_left_for_long_is_not_made_any_more(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    story.worker.gate = asyncio.Event()
    made = await story.order()
    await asyncio.sleep(0.05)
    await story.studio.close()
    with time_machine.travel(now() + claims.LEFT_FOR_GOOD + timedelta(seconds=1)):
        following = story.process()
        await following.keep_up()
        ended = await following.wait(made)
    assert (ended.state, ended.code, ended.charged_images) == (GenerationState.FAILED, "interrupted", 0)


async def test_an_order_whose_worker_died_is_made_again_once(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker(one_by_one(losing, all_good)))
    made = await story.order()
    async with aclosing(story.studio.watch(made)) as updates:
        seen = [update.type async for update in updates]
    assert seen == ["started", "retrying", "queued", "started", "progress", "image", "done"]
    async with database.read() as session:
        ended = await session.get_one(Generation, made.id)
    assert (ended.losses, ended.charged_images) == (1, 1)


async def test_an_order_waits_for_a_worker_that_is_not_there(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker(one_by_one(absent, absent, all_good)))
    made = await story.end()
    assert (made.state, made.losses) == (GenerationState.DONE, 0)


async def test_a_model_that_loads_long_and_is_evicted_again_does_not_end_its_order(
    database: Database, folder: ImageFolder
) -> None:
    class Crowded(StubWorker):
        async def load(self, *args: Any, **more: Any) -> ModelState:
            clock.shift(timedelta(seconds=ORDER_SECONDS))
            state = await super().load(*args, **more)
            self.needs_load = len(self.loaded) < 3  # another model takes its place before the order comes
            return state

    story = await tell(database, folder, Crowded(needs_load=True))
    with time_machine.travel(now(), tick=False) as clock:
        made = await story.end()
        [order] = story.worker.orders
        assert order.deadline_at == now() + timedelta(seconds=ORDER_SECONDS)
    assert (made.state, len(story.worker.loaded)) == (GenerationState.DONE, 3)


async def test_an_order_gives_up_where_its_model_never_stays(database: Database, folder: ImageFolder) -> None:
    class Crowded(StubWorker):
        async def load(self, *args: Any, **more: Any) -> ModelState:
            state = await super().load(*args, **more)
            self.needs_load = True
            return state

    story = await tell(database, folder, Crowded(needs_load=True))
    made = await story.end()
    assert (made.state, len(story.worker.loaded)) == (GenerationState.FAILED, 5)
    assert "again and again" in str(generation.why_none(made))


async def test_a_model_too_large_for_the_machine_is_told_so_each_time(database: Database, folder: ImageFolder) -> None:
    class Small(StubWorker):
        async def load(self, *args: Any, **more: Any) -> ModelState:
            state = await super().load(*args, **more)
            self.needs_load = True
            return state.model_copy(update={"phase": LoadPhase.FAILED, "error": ErrorCode.OUT_OF_MEMORY})

    story = await tell(database, folder, Small(needs_load=True))
    assert [(await story.end()).code for _ in range(2)] == ["model_refused"] * 2


async def test_who_comes_again_goes_on_where_they_were(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    made = await story.order()

    async def see(after: str) -> list[tuple[str, str]]:
        async with aclosing(story.studio.watch(made, after)) as updates:
            return [(update.type, update.id) async for update in updates]

    everything = await see("")
    assert [kind for kind, _ in everything] == ["queued", "started", "progress", "image", "done"]
    assert await see(everything[3][1]) == everything[4:]
    assert await see(everything[1][1]) == everything[3:]  # what was only in memory is over
    assert await see("never heard of") == everything[3:]


async def test_only_the_newest_preview_of_an_image_is_kept(database: Database, folder: ImageFolder) -> None:
    def looks(order: ImageOrder) -> list[Any]:
        png_base64 = image(order).png_base64
        return [Preview(index=0, step=step, png_base64=png_base64) for step in (1, 2, 3)] + all_good(order)

    story = await tell(database, folder, StubWorker(looks))
    story.worker.gate = asyncio.Event()
    made = await story.order(previews=3)
    await asyncio.sleep(0.05)
    watched = story.studio.watch(made)
    story.worker.gate.set()
    await asyncio.sleep(0)
    seen = [update.data["step"] async for update in watched if update.type == "preview"]
    assert seen[-1] == 3
    assert story.worker.orders[0].previews == 3


async def test_another_format_is_what_the_receipt_names(database: Database, folder: ImageFolder) -> None:
    picture = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    png = base64.b64encode(picture.getvalue()).decode()

    def drawn(order: ImageOrder) -> list[Any]:
        return [image(order).model_copy(update={"png_base64": png}), *all_good(order)[-1:]]

    made = await (await tell(database, folder, StubWorker(drawn))).end(output_format="webp", output_compression=60)
    content = folder.path(made, 0).read_bytes()
    assert made.image_sha256 == [sha256_hex(content)]
    assert PIL.Image.open(io.BytesIO(content)).format == "WEBP"


async def test_image_that_cannot_be_recorded_is_not_given_out(
    database: Database, folder: ImageFolder, tmp_path: Path
) -> None:
    (tmp_path / "generations").write_text("a file where the folder should be")
    story = await tell(database, folder, StubWorker())
    made = await story.order()
    async with aclosing(story.studio.watch(made)) as updates:
        seen = [update async for update in updates]
    assert seen[-1].data["code"] == "not_recorded"
    assert "image" not in [update.type for update in seen]


async def test_without_worker_nothing_is_charged(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, None)
    with pytest.raises(Unavailable, match="switched off"):
        await story.order()


async def test_repository_without_pipeline_is_told_so(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    async with database.write() as session:
        story.repo, story.commit = await make_repo(session, await make_person(session), files={"a.txt": b"a"})
    with pytest.raises(Invalid, match="holds no pipeline"):
        await story.order()


async def test_worker_gets_data_files_only(database: Database) -> None:
    async with database.write() as session:
        owner = await make_person(session)
        files = FILES | {"tokenizer/vocab.json": b"{}", "tokenizer/merges.txt": b"#", "evil.py": b"x", "old.bin": b"x"}
        repo, commit = await make_repo(session, owner, files=files)
        manifest = await generation.worker_manifest(session, repo, commit)
    assert {file.path for file in manifest.files} == {
        "model_index.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
    }
    for file in manifest.files:
        assert sha256_hex(file.content() or b"") == file.sha256


async def test_images_are_their_owner_s_for_a_limited_time(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, StubWorker())
    made = await story.end()
    assert made.expires_at is not None
    assert folder.path(made, 0).stat().st_mode & 0o077 == 0
    async with database.write() as session:
        other = await make_person(session)
        for principal in (other, ANONYMOUS):
            with pytest.raises(NotFound):
                await generation.own(session, principal, made.id)
            with pytest.raises(NotFound):
                await generation.own_image(session, principal, folder, made.id, 0)
        assert [one.id for one in await generation.list_own(session, story.ada)] == [made.id]
        assert await generation.list_own(session, ANONYMOUS) == []
        assert await generation.clean_up(session, folder) == 0
    with time_machine.travel(made.expires_at, tick=False):  # no job has run
        async with database.read() as session:
            with pytest.raises(NotFound, match="limited time"):
                await generation.own_image(session, story.ada, folder, made.id, 0)
    with time_machine.travel(made.expires_at + timedelta(seconds=1), tick=False):
        async with database.write() as session:
            assert await generation.clean_up(session, folder) == 1
            assert await generation.clean_up(session, folder) == 0
    assert not folder.path(made, 0).exists()
    async with database.read() as session:
        left = await session.get_one(Generation, made.id)
        assert left.prompt is None
        assert left.receipt is not None


async def test_images_whose_deletion_was_cut_short_are_deleted_by_the_clean_up(
    database: Database, folder: ImageFolder, tmp_path: Path
) -> None:
    story = await tell(database, folder, StubWorker())
    made = await story.end()
    async with database.write() as session:
        await generation.forget(session, story.ada, ImageFolder(tmp_path / "never reached"), made.id)
    assert folder.path(made, 0).is_file()
    async with database.write() as session:
        assert (await generation.own(session, story.ada, made.id)).prompt == ""
        assert await generation.clean_up(session, folder) == 1
    assert not folder.path(made, 0).exists()


async def test_real_child_process_makes_receipts_that_verify(
    database: Database, folder: ImageFolder, tmp_path: Path
) -> None:
    supervisor = Supervisor(tmp_path / "run", store_dir=None, key=b"k" * 32, settings={"INFERENCE_FAKE": "1"})
    await supervisor.start()
    try:
        await supervisor.wait_ready(60)
        story = await tell(database, folder, supervisor.worker)
        made = await story.end(images=2, steps=2)
        assert made.receipt is not None
        assert generation.require_images(made) == (0, 1)
        for index, receipt in enumerate(made.receipt["images"]):
            assert licensing.verify_receipt(receipt, KEY.public).is_valid
            assert receipt["statement"]["image_sha256"] == sha256_hex(folder.path(made, index).read_bytes())
        flagged = await story.end(prompt="fake-flag")
        with pytest.raises(Invalid, match="withheld"):
            generation.require_images(flagged)
    finally:
        await supervisor.stop()
        await supervisor.worker.close()
