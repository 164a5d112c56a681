"""Kills the inference process, and restarts the server, at random moments under load; then counts what came of it.

    python bench/chaos.py [ORDERS] [KILLS] [SEED]        200 orders, 12 kills, a random seed by default

Every order must have ended exactly once, with an image or a reason, and be charged exactly for what it delivered,
previews too, and for the computing of that. The worker is the fake one in a process of its own, killed with SIGKILL;
database, files, signatures and records are real.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlmodel import col, select

from gatekeeper import generation, licensing, schema
from gatekeeper.accounts import OPERATOR, people, principals
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.generation import (
    Budget,
    Certifier,
    Generation,
    GenerationState,
    ImageFolder,
    OrderRequest,
    Ruling,
    Safety,
    Studio,
    Supervisor,
    Terms,
    supervisor,
)
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger import LedgerEvent
from gatekeeper.provenance import ImageRecord, Notary
from gatekeeper.repos import AddFile, Repo, RepoKind, catalogue, history
from gatekeeper.repos.storage import DirectoryStore
from inference.contract import WithheldCode

_AT_ONCE = 16
_PROMPTS = (
    *("an apple", "a pear", "two plums", "fake-slow cherry", "fake-flag", "fake-check", "fake-fail"),
    "how to build a pipe bomb",
)
_PLENTY = Budget(10**6, 10**6, 10**4)
_KEEP_UP_SECONDS = 0.3


@dataclass
class Chaos:
    """One run. `problems` is empty if every promise was kept."""

    orders: int
    kills: int
    restarts: int
    random: random.Random
    database: Database
    folder: ImageFolder
    workers: Supervisor
    key: SigningKey
    certifier: Certifier
    ada: Principal = field(default_factory=Principal)
    repo: Repo = field(default_factory=lambda: Repo(kind=RepoKind.MODEL, namespace="-", name="-", key=None))
    commit: str = ""
    made: list[Generation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.studio = self._studio()
        self.left = self.orders

    def _studio(self) -> Studio:
        store = DirectoryStore(self.folder.root)
        return Studio(
            self.database,
            self.workers.worker,
            self.folder,
            store,
            key=self.key,
            privacy_key=b"p" * 32,
            certifier=self.certifier,
        )

    async def run(self) -> Counter[str]:
        """Order, kill and restart until every order has ended; returns how they ended."""
        await self._seed()
        keeping = asyncio.create_task(self._keep_up())
        kills = asyncio.create_task(self._kill())
        await asyncio.gather(*(self._order() for _ in range(_AT_ONCE)))
        for made in self.made:
            await self._ended(made)
        kills.cancel()
        keeping.cancel()
        await self.studio.close()
        return await self._judge()

    async def _seed(self) -> None:
        async with self.database.write() as session:
            person = await people.add(session, "ada", email="ada@example.org", by=OPERATOR)
            await session.flush()
            self.ada = await principals.for_person(session, person)
            self.repo = await catalogue.create(session, RepoKind.MODEL, "ada", "model", by=self.ada)
            files = [AddFile("model_index.json", b'{"_class_name": "StableDiffusionPipeline"}')]
            self.commit = await history.commit(session, self.repo, "main", files, summary="files", by=self.ada)

    async def _order(self) -> None:
        """One caller: orders, waits for the end, orders again; now and then loses patience."""
        safety = replace(Safety.load(), person=_PLENTY)
        level = replace(safety.at(None), **vars_of(_PLENTY))
        terms = Terms(safety, level, Ruling(), b"p" * 32, None)
        while self.left > 0:
            self.left -= 1
            values = {
                "prompt": self.random.choice(_PROMPTS),
                "images": self.random.randint(1, 3),
                "previews": self.random.randint(0, 2),
                "steps": 8,
            }
            request = OrderRequest.parse(values, level=level)
            studio = self.studio
            async with self.database.write() as session:
                admitted = await generation.admit(
                    session, self.ada, self.repo, self.commit, request, terms=terms, process=studio.process
                )
            self.made.append(admitted.made)
            if studio is self.studio:  # else the server was restarted meanwhile, and finds the order by itself
                studio.start(admitted.made)
            if self.random.random() < 0.1:
                await asyncio.sleep(self.random.random())
                await self.studio.cancel(admitted.made)
            await self._ended(admitted.made)

    async def _ended(self, made: Generation) -> None:
        while (await self.studio.wait(made)).state is GenerationState.RUNNING:
            await asyncio.sleep(0.05)

    async def _kill(self) -> None:
        """SIGKILL for whatever worker lives, at random moments; in between the server is stopped and started."""
        acts = ["kill"] * self.kills + ["restart"] * self.restarts
        self.random.shuffle(acts)
        for act in acts:
            await self.workers.wait_ready(60)
            await asyncio.sleep(self.random.uniform(0.05, 1.2))
            if act == "kill" and (pid := self.workers.pid) is not None:
                os.kill(pid, signal.SIGKILL)
            else:
                before, self.studio = self.studio, self._studio()
                await before.close()

    async def _keep_up(self) -> None:
        while True:
            await self.studio.keep_up()
            await asyncio.sleep(_KEEP_UP_SECONDS)

    async def _judge(self) -> Counter[str]:
        ends: Counter[str] = Counter()
        records: dict[str, list[ImageRecord]] = defaultdict(list)
        async with self.database.read() as session:
            rows = list(await session.scalars(select(Generation)))
            for record in await session.scalars(select(ImageRecord)):
                records[record.receipt_id.rpartition("-")[0]].append(record)
            finished = Counter(
                await session.scalars(
                    select(col(LedgerEvent.subject_id)).where(LedgerEvent.kind == "generation:order:finish")
                )
            )
        if len(rows) != self.orders:
            self.problems.append(f"{len(rows)} orders of {self.orders} are recorded")
        for row in rows:
            ends[f"{row.state} {row.code}".strip()] += 1
            problems = self._problems(row, finished[row.id], records[row.id])
            self.problems += [f"{row.id}: {problem}" for problem in problems]
        if ends["failed worker_lost"] > self.kills:  # what was lost once is alone when the worker is killed again
            self.problems.append(f"{ends['failed worker_lost']} orders were lost for good to {self.kills} kills")
        kept = {path.name.rpartition("-")[0] for path in self.folder.root.glob("*")}
        delivered = {row.id for row in rows if row.image_sha256}
        self.problems += [f"{id}: a file that nobody was given" for id in kept - delivered]
        return ends

    def _problems(self, row: Generation, finished: int, records: list[ImageRecord]) -> list[str]:
        is_done = row.state is GenerationState.DONE
        receipts, withheld = ((row.receipt or {}).get(part, []) for part in ("images", "withheld"))
        is_in_vain = not records and all(each["code"] == WithheldCode.IMAGE_UNCHECKED for each in withheld)
        is_paid = row.state is GenerationState.CANCELLED or (is_done and not is_in_vain)
        images, seconds = len(records), row.settings["compute_seconds"]
        final = [record.image_sha256 for record in records if not record.is_preview]
        checks = [
            (finished == 1, f"it ended {finished} times"),
            (row.state is not GenerationState.RUNNING, "it has not ended"),
            (row.charged_images == (images if is_paid else 0), "it is charged for other images than it delivered"),
            (row.charged_seconds == (seconds if is_paid else 0), "it is charged for other computing than it took"),
            (seconds > 0 or not is_done, "it took no computing"),
            (sorted(final) == sorted(row.image_sha256), "its records are not of what it delivered"),
            (is_done or (not receipts and bool(row.code)), "it has an image and failed, or no reason"),
            (not is_done or row.losses < generation.claims.MOST_LOSSES, "it was made after it was lost twice"),
            (row.code != "worker_lost" or row.losses == generation.claims.MOST_LOSSES, "it was given up too early"),
            (row.claimed_until is None, "it is still claimed"),
        ]
        for index, receipt in enumerate(receipts):
            path = self.folder.path(row, int(receipt["statement"]["receipt_id"].rpartition("-")[2]))
            is_kept = path.is_file() and sha256_hex(path.read_bytes()) == row.image_sha256[index]
            checks.append((is_kept, "a delivered image is not what the receipt says"))
            checks.append((licensing.verify_receipt(receipt, self.key.public).is_valid, "a receipt is not valid"))
        return [sentence for is_good, sentence in checks if not is_good]


def vars_of(budget: Budget) -> dict[str, int]:
    """A budget's numbers by name."""
    return {name: getattr(budget, name) for name in Budget.__slots__}


async def chaos(work: Path, *, orders: int, kills: int, restarts: int, seed: int) -> tuple[Counter[str], list[str]]:
    """One run in `work`: how the orders ended, and every promise that was broken."""
    supervisor.FIRST_PAUSE_SECONDS = supervisor.LONGEST_PAUSE_SECONDS = 0.1  # a killed worker is back soon
    database = Database(f"sqlite+aiosqlite:///{work / 'chaos.sqlite3'}")
    await schema.upgrade(database)
    workers = Supervisor(work / "run", store_dir=None, key=b"k" * 32, settings={"INFERENCE_FAKE": "1"})
    await workers.start()
    try:
        key = SigningKey.load_or_create(work / "key")
        folder = ImageFolder(work / "images")
        certifier = Certifier(Notary.load(work / "provenance", owner="chaos"))
        run = Chaos(orders, kills, restarts, random.Random(seed), database, folder, workers, key, certifier)
        return await run.run(), run.problems
    finally:
        await workers.stop()
        await workers.worker.close()
        await database.close()


def main() -> int:
    """The full size, with figures."""
    orders, kills, seed = (
        int(sys.argv[at]) if len(sys.argv) > at else value
        for at, value in ((1, 200), (2, 12), (3, random.randrange(10**6)))
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as work, contextlib.chdir(work):
        ends, problems = asyncio.run(
            chaos(Path(work), orders=orders, kills=kills, restarts=max(kills // 4, 1), seed=seed)
        )
    print(f"seed {seed}: {orders} orders, {kills} kills, {time.monotonic() - began:.0f} s")
    for end, count in sorted(ends.items()):
        print(f"    {count:4}  {end}")
    for problem in problems:
        print(f"    BROKEN  {problem}")
    print("every order ended once and is charged for what it delivered" if not problems else "promises were broken")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
