"""What a decision, a token, a row of evidence and a list cost, each against a baseline in the same run, without HTTP.

    python bench/decision.py [--repositories 10000] [--tokens 100000] [--part P8]

P4   a decision by 200 policies against one by the bundled ones, remembered answers switched off
P8   one of 100,000 tokens looked up with all that is asked about it, against one statement of plain sqlite3 that joins
     token and person; and what is kept for a caller and a revision
P9   evidence that is on disk when its caller goes on, 64 callers, against a commit for each row
P10  a page of 50 of many repositories for one person, against deciding every row
"""

import argparse
import asyncio
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import col
from starlette.requests import Request

from gatekeeper import authz, schema, tokens
from gatekeeper.accounts import OPERATOR, people, principals
from gatekeeper.accounts.principal import Principal
from gatekeeper.authz import Action, Policies, Resource
from gatekeeper.authz.actions import REPOSITORY
from gatekeeper.authz.audiences import question_of
from gatekeeper.db import Database
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash
from gatekeeper.ledger import EvidenceWriter
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Repo, RepoKind
from gatekeeper.tokens import AccessToken
from gatekeeper.web.finding import Found
from gatekeeper.web.known import KnownFacts
from gatekeeper.web.version import access_version

KEY = b"k" * 32
PAGE = 50
CALLERS = 64

_RULE = """
@id("extra-{number}")
@reason("One of many.")
permit(principal, action == Action::"{action}", resource)
when {{ resource.stage == "internal" && context.isSafetyTeam && resource.gate == "auto" && context.purpose }};
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--part", choices=["P4", "P8", "P9", "P10"], help="this one alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-decision-") as folder:
        work = Path(folder)
        if options.part in (None, "P4"):
            _p4(work)
        if options.part != "P4":
            asyncio.run(_with_database(work, options))


def _p4(work: Path) -> None:
    few = Policies.load()
    copy = work / "policies"
    shutil.copytree(bundled_dir("policies"), copy)
    missing = 200 - len(few.rules)
    (copy / "extra.cedar").write_text(
        "".join(_RULE.format(number=number, action=REPOSITORY[number % len(REPOSITORY)]) for number in range(missing))
    )
    many = Policies.load(copy)
    questions = [question_of("grant+terms", stage.value) for stage in Stage]

    def decide(policies: Policies) -> Callable[[], None]:
        def run() -> None:
            for question in questions:
                policies.evaluate_afresh(question, Action.DOWNLOAD)

        return run

    small, large = (_per_second(decide(policies)) * len(questions) for policies in (few, many))
    kept = _per_second(lambda: [many.evaluate(question, Action.DOWNLOAD) for question in questions]) * len(questions)
    _tell(
        "P4",
        f"{large:,.0f} decisions/s by {len(many.rules)} policies, {small:,.0f} by {len(few.rules)}",
        large / small,
        0.45,
    )
    print(f"     a remembered answer: {1e6 / kept:.1f} us")


async def _with_database(work: Path, options: argparse.Namespace) -> None:
    path = work / "gatekeeper.sqlite3"
    database = Database(f"sqlite+aiosqlite:///{path}")
    try:
        await schema.upgrade(database)
        secret = await _fill(database, options)
        if options.part in (None, "P8"):
            await _p8(database, path, secret)
        if options.part in (None, "P9"):
            await _p9(database, work)
        if options.part in (None, "P10"):
            await _p10(database, options)
    finally:
        await database.close()


async def _fill(database: Database, options: argparse.Namespace) -> str:
    """People with tokens, and repositories of every gate: half public, a quarter private, a quarter staged."""
    async with database.write() as session:
        bench = await people.add(session, "bench", email="bench@example.org", by=OPERATOR)
        await session.flush()
        _, secret = await tokens.issue(session, bench, label="bench", role="read", key=KEY)
        others = [
            {"person_id": bench.id, "label": "other", "secret_hash": f"{number:064x}", "hint": "", "role": "read"}
            for number in range(options.tokens)
        ]
        await session.execute(sa.insert(AccessToken), others)
        for number in range(options.repositories):
            session.add(
                Repo(
                    kind=RepoKind.MODEL,
                    namespace="bench" if number % 200 == 0 else "others",
                    name=f"model{number}",
                    key=f"models/x/model{number}",
                    owner_person_id=bench.id if number % 200 == 0 else None,
                    is_private=number % 4 == 1,
                    is_staged=number % 4 == 2,
                )
            )
            if number % 1000 == 999:
                await session.flush()
    return secret


async def _p8(database: Database, path: Path, secret: str) -> None:
    lookup, version, known = tokens.AtOnce(database, key=KEY), access_version(database), KnownFacts()

    def by_verb() -> None:
        assert lookup.resolve(secret) is not None

    plain = sqlite3.connect(path, isolation_level=None)
    query = (
        "SELECT t.id, t.expires_at, p.id, p.is_disabled FROM access_token t JOIN person p ON p.id = t.person_id"
        " WHERE t.secret_hash = ?"
    )

    def by_sqlite() -> None:
        assert plain.execute(query, (keyed_hash(KEY, secret),)).fetchone()

    rounds = [(_per_second(by_sqlite, 0.5), _per_second(by_verb, 0.5)) for _ in range(5)]
    raw, ours = (statistics.median(each) for each in zip(*rounds, strict=True))
    request = Request(
        {
            "type": "http",
            "headers": [(b"authorization", f"Bearer {secret}".encode())],
            "path_params": {"ns": "bench", "name": "model0", "rev": "main"},
        }
    )
    principal = lookup.resolve(secret)
    assert principal is not None
    resource = Resource("r", "bench/model0", RepoKind.MODEL, principal.person_id)
    known.remember(request, version.current(), principal, Found(Repo(), "c" * 40, resource))

    def from_cache() -> None:
        assert known.find(request, version.current()) is not None

    cached = _per_second(from_cache)
    plain.close()
    lookup.close()
    version.close()
    _tell("P8", f"a token in {1e6 / ours:.1f} us, by a statement of plain sqlite3 {1e6 / raw:.1f}", ours / raw, 0.5)
    print(f"     what is kept of a caller and a revision, with its check: {1e6 / cached:.1f} us (goal 5)")


async def _p9(database: Database, work: Path) -> None:
    fields = {"kind": "repos:file:download", "actor_id": "a" * 26, "repo_id": "r" * 26, "body": {"path": "w.bin"}}
    writer = EvidenceWriter(database)
    waits: list[float] = []
    until = time.perf_counter() + 3

    async def caller() -> None:
        while time.perf_counter() < until:
            started = time.perf_counter()
            await writer.append_durably(fields)
            waits.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    ours = len(waits) / (time.perf_counter() - started)
    await asyncio.to_thread(writer.close)
    each = sqlite3.connect(work / "each.sqlite3", isolation_level=None)
    each.execute("PRAGMA journal_mode=WAL")
    each.execute("PRAGMA synchronous=FULL")
    each.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body TEXT)")
    alone = _per_second(lambda: each.execute("INSERT INTO event (body) VALUES (?)", ("x" * 300,)))
    each.close()
    p99 = statistics.quantiles(waits, n=100)[98] * 1000
    _tell("P9", f"{ours:,.0f} rows/s on disk for {CALLERS} callers, {alone:,.0f} by a commit each", ours / alone, 8)
    print(f"     99th percentile of a caller's wait: {p99:.1f} ms")


async def _p10(database: Database, options: argparse.Namespace) -> None:
    policies = Policies.load()
    async with database.read() as session:
        bench = await people.find(session, "bench")
        assert bench is not None
        principal = await principals.for_person(session, bench)

    async def page() -> list[str]:
        async with database.read() as session:
            rows = await authz.visible(session, policies, principal, RepoKind.MODEL, instant=now(), limit=PAGE)
            return [repo.id for repo in rows]

    found = await page()
    started = time.process_time()
    ours = await _per_second_async(page)
    cpu = (time.process_time() - started) / 2 / ours  # seconds of CPU a page, over the two seconds measured
    started = time.perf_counter()
    every = await _every(database, policies, principal)
    slow = time.perf_counter() - started
    assert every[:PAGE] == found, "the list and the single decisions differ"
    _tell(
        "P10",
        f"{PAGE} of {options.repositories:,} repositories in {1000 / ours:.1f} ms ({1000 * cpu:.1f} ms of CPU, goal"
        f" 10), deciding every row {slow * 1000:,.0f} ms",
        slow * ours,
        50,
    )


async def _every(database: Database, policies: Policies, principal: Principal) -> list[str]:
    """The ids of all that may be known, newest first, by loading and deciding each row alone."""
    async with database.read() as session:
        rows = (await session.scalars(sa.select(Repo).order_by(col(Repo.updated_at).desc(), col(Repo.id).desc()))).all()
        known = []
        for repo in rows:
            resource = await authz.load(session, principal, repo)
            if authz.decide(policies, principal, Action.KNOW, resource, now()):
                known.append(repo.id)
        return known


def _per_second(run: Callable[[], object], seconds: float = 2.0) -> float:
    run()
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        run()
        count += 1
    return count / passed


async def _per_second_async(run: Callable[[], Awaitable[object]], seconds: float = 2.0) -> float:
    await run()
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        await run()
        count += 1
    return count / passed


def _tell(goal: str, what: str, ratio: float, least: float) -> None:
    print(f"{goal:<4} {what}: {ratio:.2f} times (goal {least:g}, {'met' if ratio >= least else 'NOT met'})", flush=True)


if __name__ == "__main__":
    main()
