import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper import notices
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices.tables import Notice
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio

TOLD = {"access:prerequisite:require", "access:prerequisite:waive"}
PAGE = "/admin/prerequisites"
DEMAND = {"demand-repository": "lab/emoji", "demand-kind": "country", "demand-value": "de, FR"}
SHOWN = {
    "vouch-person": "ada",
    "vouch-kind": "country",
    "vouch-value": "DE",
    "vouch-evidence": "Letter of <the> university.",
    "vouch-place": "repo",
    "vouch-repository": "lab/emoji",
    "vouch-until": (now() + timedelta(days=3)).date().isoformat(),
}


async def test_what_is_demanded_is_shown_recorded_taken_back_and_seen_by_the_applicant(site: Site, model: Repo) -> None:
    grace, ada = await site.as_("grace"), await site.as_("ada")

    async def told() -> str:
        return words((await ada.get(f"{MODEL}/access")).text)

    assert "What access needs beside approval" not in await told()
    assert (await grace.post(f"{PAGE}/demands", data=DEMAND)).status_code == 303
    before = await told()
    assert "Missing: Country (DE, FR)" in before
    assert "Send the maintainers what shows the country" in before
    assert (await grace.post(PAGE, data=SHOWN)).status_code == 303
    during = await told()
    assert "Yours counts until" in during
    assert "Missing" not in during
    with time_machine.travel(now() + timedelta(days=5)):
        assert "Yours lapsed on" in words((await (await site.as_("ada")).get(f"{MODEL}/access")).text)
    page = (await grace.get(PAGE)).text
    assert "Letter of &lt;the&gt; university." in page
    [back] = re.findall(r'action="(/admin/prerequisites/[^"]+/withdraw)"', page)
    reason = f"reason-{back.split('/')[3]}"
    strangers = [
        (await (await site.as_(name)).post(back, data={reason: "No."})).status_code for name in ("ada", "alan")
    ]
    assert strangers == [404, 404]
    assert (await grace.post(back, data={reason: " "})).status_code == 400
    assert (await grace.post(back, data={reason: "It was another person's."})).status_code == 303
    assert "Missing: Country" in await told()
    [waive] = re.findall(r'href="(/admin/prerequisites/demands/[^"]+/waive)"', page)
    assert [(await ada.get(waive)).status_code, (await ada.post(waive)).status_code] == [404, 404]
    assert (await grace.post(waive)).status_code == 303
    assert "What access needs beside approval" not in await told()


async def test_whom_a_demand_refuses_and_its_end_lets_in_is_said_first_and_told_them(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    for name in ("ada", "alan"):
        await grace.post(f"{MODEL}/grants", data={"person": name})
    await grace.post(PAGE, data=SHOWN)  # of ada

    asked = words((await grace.get(f"{PAGE}/demands", params=DEMAND)).text)
    refused = await grace.get(f"{PAGE}/demands", params=DEMAND | {"demand-value": "Atlantis"})
    with time_machine.travel(now() + timedelta(minutes=31), tick=True):
        late = [
            (await grace.request(method, f"{PAGE}/demands", data=DEMAND)).headers["location"]
            for method in ("GET", "POST")
        ]
    before = words((await grace.get(PAGE)).text)
    await grace.post(f"{PAGE}/demands", data=DEMAND)
    [waive] = re.findall(r'href="(/admin/prerequisites/demands/[^"]+/waive)"', (await grace.get(PAGE)).text)
    ended = words((await grace.get(waive)).text)
    await grace.post(waive)
    house = site.gatekeeper
    async with house.db.read() as session:
        events = list(await session.scalars(sa.select(LedgerEvent).where(LedgerEvent.kind.in_(list(TOLD)))))
    for event in events:
        await notices.tell_holders(house.db, {"event": event.id})
    async with house.db.read() as session:
        told = {(each.kind, each.person_id) for each in await session.scalars(sa.select(Notice))}

    assert "1 of 2 people with access has not shown it, and is refused" in asked
    assert "Whom it affects alan Demand it" in asked
    assert refused.status_code == 422
    assert "Atlantis" in refused.text
    assert all(each.startswith("/login?again=1") for each in late)
    assert "lab/emoji : Country" not in before
    assert "1 of 2 people with access has not shown it. From the next request on" in ended
    alan = site.people["alan"].id
    assert told == {("prerequisite-missing", alan), ("prerequisite-waived", alan)}


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("vouch-person", "nobody", 422),
        ("vouch-person", "grace", 403),
        ("vouch-kind", "fame", 400),
        ("vouch-value", "Atlantis", 400),
        ("vouch-evidence", "", 400),
        ("vouch-evidence", "x" * 3000, 400),
        ("vouch-place", "everywhere", 422),
        ("vouch-repository", "lab/other", 422),
        ("vouch-until", "soon", 422),
        ("vouch-until", "2001-01-01", 400),
    ],
)
async def test_each_wrong_field_is_named_and_nothing_is_lost(
    site: Site, model: Repo, field: str, value: str, status: int
) -> None:
    answer = await (await site.as_("grace")).post(PAGE, data=SHOWN | {field: value})
    assert answer.status_code == status
    assert re.search(rf'name="{field}"[^>]*aria-invalid', answer.text)
    assert 'value="lab/emoji"' in answer.text or field == "vouch-repository"
    assert "Nothing is recorded" in words(answer.text)
