"""Whether the hub stays quick as it fills: the same questions at a tenth of the size and at full size, in one run.

    python bench/growth.py [--events 1000000]

Full size is that of bench/filling.py; fewer events scale all of it. Asked at each size, through the application itself:
a decision with its facts, the first page of the review queue of an administrator who sees all of it, a page of
repositories filtered for a person, an uncached download of a small file, and the whole evidence log checked against its
signatures (goal: below 60 s at full size).
"""

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import structlog
from filling import URL, Known, begin, fill, opened

from gatekeeper import authz, ledger
from gatekeeper.accounts import people, principals
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue
from gatekeeper.web.state import Gatekeeper

ROUNDS = 15


def main() -> None:
    """Fill, measure, fill on, measure again, and print both with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder:
        asyncio.run(_run(Path(folder), events))


async def _run(data: Path, events: int) -> None:
    figures: dict[str, list[float]] = {}
    async with opened(data) as (application, gatekeeper):
        known = await begin(gatekeeper)
        have = 0
        for size in (events // 10, events):
            started = time.perf_counter()
            await fill(gatekeeper, known, have, size)
            print(f"{size:,} events, {size // 10:,} people and requests, {max(size // 100, 1):,} repositories")
            print(f"  filled in {time.perf_counter() - started:.0f} s", flush=True)
            have = size
            for name, seconds in (await _measure(application, gatekeeper, known)).items():
                figures.setdefault(name, []).append(seconds)
                print(f"  {name}: {_text(seconds)}", flush=True)
    print("\nfrom a tenth to the full size:")
    for name, (small, large) in figures.items():
        print(f"  {name}: {_text(small)} to {_text(large)}, {large / small:.2f} times")


async def _measure(application: Any, gatekeeper: Gatekeeper, known: Known) -> dict[str, float]:
    """Median seconds of each question; the log is checked once."""
    transport = httpx2.ASGITransport(app=application)
    async with httpx2.AsyncClient(transport=transport, base_url=URL, timeout=600) as client:

        async def ask(path: str, headers: dict[str, str]) -> None:
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"

        async def decide() -> None:
            async with gatekeeper.db.read() as session:
                person = await people.get(session, known.reader_id)
                repo = await catalogue.by_id(session, known.repo.id)
                assert person is not None
                assert repo is not None
                principal = await principals.for_person(session, person)
                resource = await authz.load(session, principal, repo)
                assert authz.decide(gatekeeper.policies, principal, Action.DOWNLOAD, resource, now())

        async def download() -> None:
            gatekeeper.cache._kept.clear()
            await ask("/keeper/gated/resolve/main/config.json", known.reader)

        return {
            "a decision with its facts": await _median(decide),
            "review queue, first page": await _median(lambda: ask("/admin/requests", known.admin)),
            "list of repositories for a person": await _median(lambda: ask("/api/models?limit=50", known.reader)),
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


def _text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    main()
