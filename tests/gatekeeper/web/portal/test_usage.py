import asyncio
import base64
import re
from datetime import timedelta

import pytest

from gatekeeper.generation import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import first_id_at
from gatekeeper.repos import Repo
from gatekeeper.web.portal import usage
from inference.contract import Preview, Queued
from tests.gatekeeper.generation.stub import StubWorker, all_good, png_of
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

ORDER = {"prompt": "a red apple", "steps": "5", "guidance": "4", "images": "2", "seed": "7"}


async def test_usage_is_shown_beside_its_limits_and_as_a_table(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)
    await ada.post(f"{MODEL}/playground", data=ORDER)
    ordered = {
        "person_id": site.people["ada"].id,
        "repo_id": model.id,
        "commit_id": "a" * 40,
        "prompt_sha256": "b" * 64,
    }
    async with site.gatekeeper.db.write() as session:
        cancelled = {"state": GenerationState.CANCELLED, "charged_images": 1, "charged_seconds": 0.25}  # a preview
        session.add(Generation(id=first_id_at(now() - timedelta(hours=1)), stage="open", **ordered, **cancelled))
        session.add(Generation(is_evaluation=True, image_sha256=["c" * 64], charged_seconds=9.0, **ordered))
    monkeypatch.setattr(usage, "_LINES_AT_ONCE", 1)

    page = words((await ada.get("/settings/usage")).text)
    table = (await ada.get("/settings/usage.csv")).text.splitlines()

    assert "You, with lab/emoji 3 of 100" in page  # as at the stage of the newest order
    assert "You on this hub 3 of 1,000" in page
    assert " 2 2 0.8 s Every order of a year" in page
    assert table[0].startswith("id,model,revision,stage,status")
    assert [",lab/emoji," in line for line in table[1:]] == [True, True]
    assert ",gated,done,2,2,0.500," in table[1]
    assert ",open,cancelled,,0,0.250," in table[2]
    assert "Nothing was ordered" in words((await (await site.as_("alan")).get("/settings/usage")).text)


async def test_an_administrator_changes_somebody_s_quota_with_a_reason(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada, olga = await site.as_("ada"), await site.as_("olga")
    await ask_for_access(ada)
    change = {"name": "ada", "images_per_day": "1", "reason": "Too many apples."}

    assert (await ada.post("/admin/quotas", data=change)).status_code in (403, 404)
    assert (await olga.post("/admin/quotas", data=change | {"reason": ""})).status_code == 422
    assert (await olga.post("/admin/quotas", data=change | {"name": "nobody-here"})).status_code == 422
    assert (await olga.post("/admin/quotas", data=change | {"concurrency": "-1"})).status_code == 422
    assert (await olga.post("/admin/quotas", data=change)).status_code == 303
    assert "Too many apples." in words((await olga.get("/admin/quotas")).text)
    kept = (await olga.get("/admin/quotas?name=ada")).text
    assert re.search(r'value="1"\s+id="f-images_per_day"', kept), "a change of another number leaves this one"

    beyond = await ada.post(f"{MODEL}/playground", data=ORDER)
    assert beyond.status_code == 422
    assert "Ask for at most 1." in words(beyond.text)
    assert (await ada.post(f"{MODEL}/playground", data=ORDER | {"images": "1"})).status_code == 303
    refused = await ada.post(f"{MODEL}/playground", data=ORDER | {"images": "1"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert "You may make 1 image on this hub in 24 hours and have made 1. Come back in" in words(refused.text)
    assert "You can order no image now." in words((await ada.get(f"{MODEL}/playground")).text)


async def test_the_page_of_an_order_says_how_far_it_is_and_shows_the_last_look(site: Site, model: Repo) -> None:
    gate = asyncio.Event()
    events = [Queued(place=3), Preview(index=0, step=2, png_base64=base64.b64encode(png_of(0)).decode())]
    worker = site.worker(StubWorker(lambda order: events + all_good(order)))
    ada = await site.as_("ada")
    await ask_for_access(ada)
    worker.gate = gate
    gate.set()
    held = asyncio.Event()
    told = iter([gate, gate, *[held] * 10])
    worker.answer = lambda order: [*events, *all_good(order)]

    class Steps(StubWorker):
        async def submit(self, order):  # type: ignore[no-untyped-def]
            async for event in StubWorker.submit(worker, order):
                await next(told).wait()
                yield event

    site.worker(Steps())
    sent = asyncio.create_task(ada.post(f"{MODEL}/playground", data=ORDER))
    for _ in range(200):
        listed = await ada.get("/api/generations")
        if listed.json() and (listed.json()[0]["progress"] or {}).get("phase") == "queued":
            break
        await asyncio.sleep(0.01)
    page = f"/generations/{listed.json()[0]['id']}"
    async with site.gatekeeper.db.read() as session:
        made = await session.get_one(Generation, listed.json()[0]["id"])
    async with asyncio.timeout(20):
        while not site.gatekeeper.studio.latest(made, "preview"):
            await asyncio.sleep(0.01)

    shown = (await ada.get(page)).text
    assert "Your order waits at place 3 of the queue." in words(shown)
    assert 'src="data:image/png;base64,iVBORw0KGgo' in shown
    held.set()
    assert (await sent).headers["location"] == page
    assert "Delete images and prompt" in words((await ada.get(page)).text)
    assert (await ada.post(f"{page}/delete")).status_code == 303
    assert (await ada.get(f"{page}/images/0.png")).status_code == 404
    assert "a red apple" not in (await ada.get(page)).text


async def test_an_organization_s_administrators_see_what_its_people_make_and_nobody_else_does(
    site: Site, model: Repo
) -> None:
    site.worker(StubWorker())
    grace, ada = await site.as_("grace"), await site.as_("ada")
    await ask_for_access(ada)
    for browser in (grace, ada):
        assert (await browser.post(f"{MODEL}/playground", data=ORDER)).status_code == 303

    page = words((await grace.get("/admin/organizations/lab/usage")).text)
    table = (await grace.get("/admin/organizations/lab/usage.csv")).text.splitlines()

    assert "Images of the last 24 hours 2 of 10,000" in page
    assert "grace 1 2 0.5" in page
    assert table[0].startswith("person,id,model")
    assert len(table) == 2
    assert table[1].startswith("grace,")
    assert ",lab/emoji," in table[1]
    for address in ("/admin/organizations/lab/usage", "/admin/organizations/lab/usage.csv"):
        assert (await ada.get(address)).status_code in (403, 404)
