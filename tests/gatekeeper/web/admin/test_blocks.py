import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper.access import AccessBlock
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

ADA = {"person": "ada", "place": "repo", "repository": "lab/emoji", "reason": "Passed copies <on>."}


async def count(site: Site) -> int:
    async with site.gatekeeper.db.read() as session:
        return int(await session.scalar(sa.select(sa.func.count()).select_from(AccessBlock)) or 0)


async def test_a_block_closes_one_repository_until_it_is_lifted(site: Site, model: Repo) -> None:
    grace, ada = await site.as_("grace"), await site.as_("ada")

    made = await grace.post("/admin/blocks", data=ADA)
    page = (await grace.get("/admin/blocks")).text
    await ask_for_access(ada)
    refused = words((await ada.get(f"{MODEL}/access")).text)
    lift = re.search(r'action="(/admin/blocks/[^"]+/lift)"', page)
    assert lift is not None
    strangers = [(await (await site.as_(name)).post(lift[1])).status_code for name in ("ada", "alan")]
    lifted = await grace.post(lift[1])
    twice = await grace.post(lift[1])

    assert made.status_code == 303
    assert "Passed copies &lt;on&gt;." in page
    assert "do not take requests from this account" in refused
    assert strangers == [404, 404]
    assert (lifted.status_code, twice.status_code) == (303, 409)


@pytest.mark.parametrize("place", ["repo", "org:lab", "hub"])
async def test_each_place_is_closed_by_who_keeps_it(site: Site, model: Repo, place: str) -> None:
    keeper = await site.as_("olga" if place == "hub" else "grace")
    other = await site.as_("grace" if place == "hub" else "alan")

    refused = await other.post("/admin/blocks", data=ADA | {"place": place})
    made = await keeper.post("/admin/blocks", data=ADA | {"place": place})
    twice = await keeper.post("/admin/blocks", data=ADA | {"place": place})

    assert (refused.status_code, made.status_code, twice.status_code) == (422, 303, 409)
    assert await count(site) == 1
    assert "Nobody is blocked" in words((await (await site.as_("alan")).get("/admin/blocks")).text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("person", "no<body>"),
        ("person", "x" * 500),
        ("person", "grace"),
        ("place", "org:nowhere"),
        ("repository", "no/thing"),
        ("repository", ""),
        ("reason", " "),
        ("reason", "x" * 2_001),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_blocked(site: Site, model: Repo, field: str, value: str) -> None:
    answer = await (await site.as_("grace")).post("/admin/blocks", data=ADA | {field: value})

    assert answer.status_code == 422
    assert f'href="#f-{field}"' in answer.text
    assert "Passed copies" in answer.text or field == "reason"
    assert await count(site) == 0


async def test_access_that_is_there_ends_only_once_a_page_has_listed_it(site: Site, model: Repo) -> None:
    grace, ada = await site.as_("grace"), await site.as_("ada")
    await grace.post(f"{MODEL}/grants", data={"person": "ada"})

    made = await grace.post("/admin/blocks", data=ADA | {"place": "org:lab", "is_revoking": "yes"})
    address = made.headers["location"]
    page = (await grace.get(address)).text
    strangers = [
        (await (await site.as_(name)).request(method, address, data={"reason": "No."})).status_code
        for name in ("ada", "alan")
        for method in ("GET", "POST")
    ]
    wrong = await grace.post(address, data={"revoke_code": "whim", "reason": "Passed <on>."})
    with time_machine.travel(now() + timedelta(minutes=31), tick=True):
        late = [(await grace.request(method, address)).headers["location"] for method in ("GET", "POST")]
    kept = words((await ada.get("/requests")).text)
    done = await grace.post(address, data={"revoke_code": "incident", "reason": "Look at your laptop."})

    assert address.endswith("/revoke")
    assert "ada: lab/emoji" in words(page)
    assert "Lifting the block later gives none of it back" in words(page)
    assert "Passed copies &lt;on&gt;.</textarea>" in page
    assert strangers == [404] * 4
    assert wrong.status_code == 422
    assert "Passed &lt;on&gt;.</textarea>" in wrong.text
    assert all(each.startswith("/login?again=1") for each in late)
    assert "Approved" in kept
    assert done.headers["location"] == "/admin/blocks?done=revoked"
    ended = words((await ada.get("/requests")).text)
    assert "Access revoked" in ended
    assert "Look at your laptop." in ended
    assert "No access is left" in words((await grace.get(address)).text)


async def test_a_block_of_who_has_nothing_there_asks_no_further(site: Site, model: Repo) -> None:
    made = await (await site.as_("grace")).post("/admin/blocks", data=ADA | {"is_revoking": "yes"})
    assert made.headers["location"] == "/admin/blocks?done=blocked"
