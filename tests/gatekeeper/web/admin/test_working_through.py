"""Working through the queue: the next one opens, a slip is undone, and what is known of a person stands beside."""

import re

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access
from gatekeeper.access import AccessRequest
from gatekeeper.repos import Repo
from tests.gatekeeper.web.admin.test_queue import boxes, gated
from tests.gatekeeper.web.site import Site, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio

QUEUE = "/admin/requests"


async def approve(browser: httpx2.AsyncClient, address: str) -> str:
    """Approve what the address shows, filters and all; where that leads."""
    path, _, query = address.partition("?")
    kept = inputs((await browser.get(address)).text)
    answer = await browser.post(f"{path}/approve?{query}", data=kept)
    assert answer.status_code == 303, words(answer.text)
    return str(answer.headers["location"])


async def states(site: Site) -> list[str]:
    async with site.gatekeeper.db.read() as session:
        return sorted(await session.scalars(sa.select(col(AccessRequest.state))))


async def test_after_a_decision_the_next_of_the_chosen_queue_opens_until_none_is_left(site: Site) -> None:
    await gated(site, 3)
    grace = await site.as_("grace")
    first, second, third = [box.partition(".")[0] for box in await boxes(grace)]
    kept = inputs((await grace.get(f"{QUEUE}/{second}")).text)
    assert (await grace.post(f"{QUEUE}/{second}/route", data=kept | {"queue": "legal"})).status_code == 303

    to_third = await approve(grace, f"{QUEUE}/{first}?queue=general")
    to_none = await approve(grace, f"{QUEUE}/{third}?queue=general")

    assert to_third.startswith(f"{QUEUE}/{third}?queue=general&")
    assert to_none.startswith(f"{QUEUE}?queue=general&")
    page = (await grace.get(to_none)).text
    assert "Nothing found" in words(page)
    assert f'action="{QUEUE}/{third}/undo?queue=general"' in page
    assert await states(site) == ["active", "active", "in_review"]


async def test_a_slip_is_undone_from_the_page_that_follows_and_by_nobody_else(site: Site) -> None:
    await gated(site, 2)
    grace, olga = await site.as_("grace"), await site.as_("olga")
    first = (await boxes(grace))[0].partition(".")[0]
    after = await approve(grace, f"{QUEUE}/{first}")
    page = (await grace.get(after)).text
    [version] = re.findall(r'/undo"[^>]*>\s*<input type="hidden" name="version" value="(\d+)"', page)

    assert "/undo" not in (await olga.get(after)).text
    assert (await olga.post(f"{QUEUE}/{first}/undo", data={"version": version})).status_code == 403
    undone = await grace.post(f"{QUEUE}/{first}/undo", data={"version": version})
    twice = await grace.post(f"{QUEUE}/{first}/undo", data={"version": version})

    assert (undone.status_code, twice.status_code) == (303, 409)
    assert "waits as it did before" in words((await grace.get(undone.headers["location"])).text)
    assert await states(site) == ["in_review", "in_review"]


async def test_many_decisions_are_undone_together(site: Site) -> None:
    await gated(site, 2)
    grace = await site.as_("grace")
    outcomes = await grace.post(
        f"{QUEUE}/decide", data={"request": await boxes(grace), "decision": "reject", "reason": "A slip."}
    )
    made = re.findall(r'name="request"\s+value="([^"]+)"', outcomes.text)

    undone = await grace.post(f"{QUEUE}/decide", data={"request": made, "decision": "undo"})

    assert len(made) == 2
    assert "2 of 2 done" in words(undone.text)
    assert await states(site) == ["in_review", "in_review"]


async def test_a_reviewer_reads_what_is_known_of_the_person_where_they_review_and_nothing_else(
    site: Site, model: Repo
) -> None:
    await gated(site, 2)  # grace's own repositories
    grace, olga = await site.as_("grace"), await site.as_("olga")
    one, two = [box.partition(".")[0] for box in await boxes(grace)]
    page = (await grace.get(f"{QUEUE}/{one}")).text
    await grace.post(f"{QUEUE}/{one}/reject", data=inputs(page) | {"reason": "Say <who> you are."})
    async with site.gatekeeper.db.write() as session:
        hidden = await session.get_one(Repo, model.id)
        hidden.owner_organization_id = None  # nobody's but the hub's administrators'
        session.add(hidden)
    await ask_for_access(await site.as_("ada"))

    seen = (await grace.get(f"{QUEUE}/{two}")).text
    all_seen = words((await olga.get(f"{QUEUE}/{two}")).text)

    assert "Say &lt;who&gt; you are." in seen
    assert f'href="{QUEUE}/{one}"' in seen
    assert "lab/emoji" not in words(seen)
    assert "lab/emoji" in all_seen


async def test_access_that_is_there_and_notices_about_it_stand_beside_the_request(site: Site) -> None:
    await gated(site, 2)
    grace = await site.as_("grace")
    one, two = [box.partition(".")[0] for box in await boxes(grace)]
    await approve(grace, f"{QUEUE}/{one}")
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.update(access.AccessGrant).values(ends_at=None))

    page = words((await grace.get(f"{QUEUE}/{two}")).text)

    assert re.search(r"Access they have grace/m000, since", page)
