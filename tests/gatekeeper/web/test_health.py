"""The hub's own figures: what they count, whom they do not name, and who may read them."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gatekeeper.jobs import Job
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from gatekeeper.web import health
from inference.contract import Done, Health, RefusalCode, Refused
from tests.gatekeeper.generation.stub import StubWorker, withheld
from tests.gatekeeper.web.admin.test_inference import ORDER, Told
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access

pytestmark = pytest.mark.anyio


async def figures(site: Site) -> dict[str, float]:
    """What /metrics says of the hub, by name and label."""
    answer = await site.browser().get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples if sample.name.startswith("gatekeeper_")]
    return {
        " ".join([sample.name.removeprefix("gatekeeper_"), *sample.labels.values()]): sample.value for sample in samples
    }


async def test_what_is_ordered_asked_for_and_left_undone_is_counted_and_nobody_named(site: Site, model: Repo) -> None:
    worker, grace = site.worker(StubWorker()), await site.as_("grace")
    await grace.post(f"{MODEL}/playground", data=ORDER)
    worker.answer = lambda order: [
        withheld(order),
        withheld(order, 1),
        Done(delivered=0, withheld=2, compute_seconds=1),
    ]
    await grace.post(f"{MODEL}/playground", data=ORDER)
    worker.answer = lambda order: [Refused(code=RefusalCode.PROMPT_SCREENED, reason="No.", rule_ids=("weapons.a",))]
    await grace.post(f"{MODEL}/playground", data=ORDER)
    await ask_for_access(await site.as_("ada"))
    async with site.gatekeeper.db.write() as session:
        session.add(Job(kind="tests:job", failed_at=now(), error="It broke."))
        session.add(Job(kind="tests:late", run_at=now() - timedelta(hours=1)))
        session.add(LedgerEvent(kind="tests:event:old", occurred_at=now() - timedelta(hours=1)))
    site.gatekeeper.alarms.raised({"action": "know"})

    told = await figures(site)

    assert {name: told[f"orders {name}"] for name in ("done", "withheld", "refused", "failed", "running")} == {
        "done": 1, "withheld": 1, "refused": 1, "failed": 0, "running": 0
    }  # fmt: skip
    assert told["images_given_out"] == 2
    assert told["orders_running_oldest_seconds"] == 0
    assert told["requests_waiting"] == 1
    assert told["jobs_given_up"] == 1
    assert told["jobs_due_oldest_seconds"] >= 3600
    assert told["evidence_unsealed"] > 1
    assert told["evidence_unsealed_oldest_seconds"] >= 3600
    assert told["deliveries_given_up"] == 0
    assert told["policy_errors_total"] == 1
    labels = {name.partition(" ")[2] for name in told} - {""}
    assert labels == {
        "database", "storage", "evidence", "inference",
        "running", "done", "withheld", "refused", "failed", "cancelled",
    }  # fmt: skip


class Silent(Told):
    """A worker that takes the question and never answers."""

    async def health(self) -> Health:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_part_that_does_not_answer_is_named_and_keeps_no_other_figure_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    house: Any = site.gatekeeper
    assert (await figures(site))["part_ready inference"] == 1  # switched off
    house.worker = Told(None)
    ready = (await site.browser().get("/readyz")).json()
    assert (ready["inference"], ready["database"]) == ("not answering (WorkerLost)", "ok")
    house.worker = Silent(None)
    monkeypatch.setattr(health, "_ANSWER_SECONDS", 0.2)
    told = await figures(site)
    assert (told["part_ready inference"], told["jobs_given_up"]) == (0, 0)


async def test_only_the_servers_own_machine_reads_the_figures(site: Site) -> None:
    olga = await site.as_("olga")
    elsewhere = httpx2.ASGITransport(app=site.app, client=("192.0.2.7", 4000))
    async with httpx2.AsyncClient(transport=elsewhere, base_url=site.url, cookies=olga.cookies) as browser:
        refused = await browser.get("/metrics")
    assert refused.status_code == 404
    assert "gatekeeper_" not in refused.text
