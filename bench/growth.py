"""Whether the hub stays quick as it fills: the same questions at a tenth of the size and at full size, in one run.

    python bench/growth.py [--events 1000000]

Full size is 1,000,000 events, 100,000 people, 100,000 requests and 10,000 repositories; fewer events scale all of it.
Asked at each size, through the application itself: a decision with its facts, the first page of the review queue of an
administrator who sees all of it, a page of repositories filtered for a person, an uncached download of a small file,
and the whole evidence log checked against its signatures (goal: below 60 s at full size).
"""

import argparse
import asyncio
import hashlib
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa
import structlog
from sqlmodel import SQLModel, col

from gatekeeper import app, authz, ledger, schema, tokens
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts import OPERATOR, people, principals, sessions
from gatekeeper.accounts.personal_keys import PersonalKey
from gatekeeper.accounts.tables import Namespace, Person
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.personal import PersonKey
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.repos import AddFile, RepoKind, catalogue, history
from gatekeeper.repos.tables import Gate, Repo
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper

ROUNDS = 15
BATCH = 5_000
URL = "http://bench.test"


def main() -> None:
    """Fill, measure, fill on, measure again, and print both with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder:
        asyncio.run(_run(Path(folder), events))


async def _run(data: Path, events: int) -> None:
    settings = Settings(data_dir=data, public_url=URL, inference_url="off", api_calls=0, _env_file=None)
    application = app.build(settings)
    gatekeeper: Gatekeeper = application._app.state.gatekeeper  # type: ignore[attr-defined]
    await schema.upgrade(gatekeeper.db)
    figures: dict[str, list[float]] = {}
    try:
        known = await _begin(gatekeeper)
        have = 0
        for size in (events // 10, events):
            started = time.perf_counter()
            await _fill(gatekeeper, known, have, size)
            print(f"{size:,} events, {size // 10:,} people and requests, {max(size // 100, 1):,} repositories")
            print(f"  filled in {time.perf_counter() - started:.0f} s", flush=True)
            have = size
            for name, seconds in (await _measure(application, gatekeeper, known)).items():
                figures.setdefault(name, []).append(seconds)
                print(f"  {name}: {_text(seconds)}", flush=True)
    finally:
        await app.close(gatekeeper)
    print("\nfrom a tenth to the full size:")
    for name, (small, large) in figures.items():
        print(f"  {name}: {_text(small)} to {_text(large)}, {large / small:.2f} times")


async def _begin(gatekeeper: Gatekeeper) -> dict[str, Any]:
    """An administrator in a browser, a reader with a token, and a gated repository with a small file."""
    keys = gatekeeper.keys
    async with gatekeeper.db.write() as session:
        root = await people.add(session, "keeper", email="keeper@example.org", is_admin=True, by=OPERATOR)
        reader = await people.add(session, "reader", email="reader@example.org", by=OPERATOR)
        await session.flush()
        owner = await principals.for_person(session, root)
        repo = await catalogue.create(session, RepoKind.MODEL, "keeper", "gated", by=owner)
        files = [AddFile("README.md", b"# A model\n"), AddFile("config.json", b"{}")]
        commit = await history.commit(session, repo, "main", files, summary="s", by=owner, store=gatekeeper.store)
        repo.gate = Gate.MANUAL
        session.add(AccessGrant(repo_id=repo.id, person_id=reader.id))
        _, cookie = await sessions.start(session, root, key=keys.sessions, user_agent="bench", days=1)
        _, secret = await tokens.issue(session, reader, label="bench", role="read", key=keys.tokens)
        return {
            "admin": {"Cookie": f"gatekeeper_session={cookie}", "Accept": "text/html"},
            "reader": {"Authorization": f"Bearer {secret}"},
            "reader_id": reader.id,
            "keeper_id": root.id,
            "repo_id": repo.id,
            "commit": commit,
        }


async def _fill(gatekeeper: Gatekeeper, known: dict[str, Any], have: int, size: int) -> None:
    """From `have` to `size` events, with people, requests and repositories in proportion; then all is sealed."""
    chance = random.Random(size)
    many = range(have // 10, size // 10)
    persons = [_person(number) for number in many]
    await _insert(gatekeeper, Person, persons)
    await _insert(
        gatekeeper,
        Namespace,
        [Namespace(key=person.name_key, name=person.name, person_id=person.id) for person in persons],
    )
    repos = await _repositories(gatekeeper, known, range(have // 100, max(size // 100, 1)))
    keys = [PersonKey.make(gatekeeper.keys.sealing) for _ in persons]
    await _insert(
        gatekeeper,
        PersonalKey,
        [
            PersonalKey(id=key.id, person_id=person.id, sealed=sealed)
            for person, (key, sealed) in zip(persons, keys, strict=True)
        ],
    )
    await _insert(
        gatekeeper,
        AccessRequest,
        [_request(person, key, chance.choice(repos)) for person, (key, _) in zip(persons, keys, strict=True)],
    )
    await _insert(
        gatekeeper,
        AccessGrant,
        [AccessGrant(repo_id=repo.id, person_id=known["reader_id"]) for repo in repos if chance.random() < 0.02],
    )
    await _insert(gatekeeper, LedgerEvent, _events(size - have, persons, repos, chance))
    sealer = ledger.Sealer(gatekeeper.db, gatekeeper.keys.signing, origin=gatekeeper.settings.ledger_origin)
    while await _pending(gatekeeper):
        await sealer.seal(most=20_000)


async def _repositories(gatekeeper: Gatekeeper, known: dict[str, Any], numbers: range) -> list[Repo]:
    """Half public, some gated, some private, some staged with nothing released; each with its first commit."""
    made = []
    for start in range(numbers.start, numbers.stop, 200):
        async with gatekeeper.db.write() as session:
            keeper = await people.get(session, known["keeper_id"])
            assert keeper is not None
            by = await principals.for_person(session, keeper)
            for number in range(start, min(start + 200, numbers.stop)):
                repo = await catalogue.create(session, RepoKind.MODEL, "keeper", f"model{number:06}", by=by)
                kind = number % 8
                repo.is_private, repo.is_staged = kind == 1, kind == 2
                repo.gate = Gate.MANUAL if kind in (3, 4) else Gate.NONE
                made.append(repo)
    return made


async def _measure(application: Any, gatekeeper: Gatekeeper, known: dict[str, Any]) -> dict[str, float]:
    """Median seconds of each question; the log is checked once."""
    transport = httpx2.ASGITransport(app=application)
    async with httpx2.AsyncClient(transport=transport, base_url=URL, timeout=600) as client:

        async def ask(path: str, headers: dict[str, str]) -> None:
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"

        async def decide() -> None:
            async with gatekeeper.db.read() as session:
                person = await people.get(session, known["reader_id"])
                repo = await catalogue.by_id(session, known["repo_id"])
                assert person is not None
                assert repo is not None
                principal = await principals.for_person(session, person)
                resource = await authz.load(session, principal, repo)
                assert authz.decide(gatekeeper.policies, principal, Action.DOWNLOAD, resource, now())

        async def download() -> None:
            gatekeeper.cache._kept.clear()
            await ask("/keeper/gated/resolve/main/config.json", known["reader"])

        return {
            "a decision with its facts": await _median(decide),
            "review queue, first page": await _median(lambda: ask("/admin/requests", known["admin"])),
            "list of repositories for a person": await _median(lambda: ask("/api/models?limit=50", known["reader"])),
            "a small file, not from the cache": await _median(download),
            "the whole log checked": await _verify(gatekeeper),
        }


async def _median(run: Callable[[], Awaitable[None]]) -> float:
    await run()
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await run()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


async def _verify(gatekeeper: Gatekeeper) -> float:
    started = time.perf_counter()
    async with gatekeeper.db.read() as session:
        report = await ledger.verify(session, gatekeeper.keys.signing.public)
    assert report.is_intact, report.faults[:3]
    return time.perf_counter() - started


async def _pending(gatekeeper: Gatekeeper) -> int:
    async with gatekeeper.db.read() as session:
        query = sa.select(sa.func.count()).select_from(LedgerEvent).where(col(LedgerEvent.number).is_(None))
        return await session.scalar(query) or 0


async def _insert(gatekeeper: Gatekeeper, table: type[SQLModel], rows: Iterable[SQLModel]) -> None:
    """Rows in groups, by one statement each: filling is not what is measured."""
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append({name: getattr(row, name) for name in table.model_fields})
        if len(group) == BATCH:
            await _write(gatekeeper, table, group)
            group = []
    if group:
        await _write(gatekeeper, table, group)


async def _write(gatekeeper: Gatekeeper, table: type[SQLModel], group: list[dict[str, Any]]) -> None:
    async with gatekeeper.db.write() as session:
        await session.execute(sa.insert(table), group)


def _person(number: int) -> Person:
    name = f"person{number:07}"
    return Person(name=name, name_key=name, email=f"{name}@example.org", email_key=f"{name}@example.org")


def _request(person: Person, key: PersonKey, repo: Repo) -> AccessRequest:
    """One in ten waits; the others were decided."""
    waits = person.name.endswith("0")
    return AccessRequest(
        repo_id=repo.id,
        person_id=person.id,
        state=RequestState.IN_REVIEW if waits else RequestState.REJECTED,
        fields=key.facts({"Institution": "ACME", "Purpose": "Research"}),
        decided_at=None if waits else now() + timedelta(days=1),
    )


def _events(count: int, persons: list[Person], repos: list[Repo], chance: random.Random) -> Iterator[LedgerEvent]:
    digest = hashlib.sha256(b"file").hexdigest()
    for number in range(count):
        yield LedgerEvent(
            id=new_id(),
            kind="repos:file:download",
            actor_id=chance.choice(persons).id,
            repo_id=chance.choice(repos).id,
            subject_id=f"{number:040x}",
            policy_sha256="p" * 64,
            body={"path": "unet/model.safetensors", "digest": digest, "action": "download"},
        )


def _text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    main()
