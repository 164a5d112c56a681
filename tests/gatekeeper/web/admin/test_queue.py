import re
from datetime import timedelta

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access, accounts, repos
from gatekeeper.accounts import OPERATOR
from gatekeeper.kit.clock import now
from gatekeeper.repos import Gate, Repo, RepoKind
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio


async def gated(site: Site, count: int, *, since: int = 0) -> None:
    """Repositories of grace's own, each with a waiting request of ada's."""
    async with site.gatekeeper.db.write() as session:
        grace = await accounts.principals.for_person(session, site.people["grace"])
        ada = await accounts.principals.for_person(session, site.people["ada"])
        for number in range(since, since + count):
            repo = await repos.create(session, RepoKind.MODEL, "grace", f"m{number:03}", by=grace)
            repo.gate = Gate.MANUAL
            session.add(repo)
            await access.submit(session, ada, repo, fields=None, bundle=None)


async def boxes(browser: httpx2.AsyncClient, address: str = "/admin/requests") -> list[str]:
    return re.findall(r'name="request"\s+value="([^"]+)"', (await browser.get(address)).text)


async def statements(site: Site, browser: httpx2.AsyncClient, address: str) -> int:
    """How many statements the database is asked while a page is made."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    engine = site.gatekeeper.db.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        answer = await browser.get(address)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    return len(seen)


@pytest.mark.parametrize("who", ["grace", "olga"])
@pytest.mark.parametrize("address", ["/admin/requests", "/admin", "/admin/repositories", "/admin/blocks"])
async def test_fifty_repositories_ask_the_database_no_more_often_than_five(site: Site, who: str, address: str) -> None:
    browser = await site.as_(who)
    await gated(site, 5)
    await browser.get(address)
    few = await statements(site, browser, address)
    await gated(site, 45, since=5)
    await browser.get(address)  # what was written since is in the caches again

    many = await statements(site, browser, address)

    assert few > 0
    assert many <= few


async def test_an_administrator_sees_every_queue_and_strangers_see_none(site: Site) -> None:
    await gated(site, 2)

    assert len(await boxes(await site.as_("olga"))) == 2
    assert len(await boxes(await site.as_("grace"))) == 2
    assert await boxes(await site.as_("alan")) == []


async def test_a_member_who_only_reads_reviews_nothing(site: Site, model: Repo) -> None:
    await ask_for_access(await site.as_("ada"))
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        await accounts.organizations.add_member(session, lab, site.people["alan"], accounts.Role.READ, by=OPERATOR)
    alan = await site.as_("alan")

    assert await boxes(alan) == []
    assert "0 requests wait" in words((await alan.get("/admin")).text)


async def test_the_queue_is_chosen_by_state_repository_and_who_looks_after_it(site: Site) -> None:
    await gated(site, 3)
    grace = await site.as_("grace")
    first = (await boxes(grace))[0].partition(".")[0]
    page = (await grace.get(f"/admin/requests/{first}")).text
    await grace.post(f"/admin/requests/{first}/claim", data=inputs(page))

    assert len(await boxes(grace, "/admin/requests?repository=grace/M001")) == 1
    assert await boxes(grace, "/admin/requests?repository=no/thing") == []
    assert [box.partition(".")[0] for box in await boxes(grace, "/admin/requests?mine=yes")] == [first]
    assert await boxes(grace, "/admin/requests?overdue=yes") == []
    assert await boxes(grace, "/admin/requests?queue=legal") == []
    assert len(await boxes(grace, "/admin/requests?queue=general")) == 3
    assert len(await boxes(grace, "/admin/requests?state=nonsense&age=x&queue=y")) == 3


async def test_late_requests_are_told_and_can_be_chosen(site: Site) -> None:
    await gated(site, 2)
    grace = await site.as_("grace")
    first = (await boxes(grace))[0].partition(".")[0]
    async with site.gatekeeper.db.write() as session:
        await session.execute(
            sa.text("UPDATE access_request SET waiting_since = :then WHERE id = :id"),
            {"then": "2020-01-01 00:00:00.000000", "id": first},
        )

    page = words((await grace.get("/admin/requests?overdue=yes")).text)

    assert "of 7, late" in page
    assert [box.partition(".")[0] for box in await boxes(grace, "/admin/requests?overdue=yes")] == [first]
    assert [box.partition(".")[0] for box in await boxes(grace, "/admin/requests?age=30")] == [first]


async def test_many_are_decided_at_once_and_each_outcome_is_told(site: Site) -> None:
    await gated(site, 3)
    grace = await site.as_("grace")
    ticked = await boxes(grace)
    stale = ticked[0]
    await grace.post(f"/admin/requests/{stale.partition('.')[0]}/claim", data={"version": stale.partition(".")[2]})

    answer = await grace.post("/admin/requests/decide", data={"request": ticked, "decision": "approve"})

    assert answer.status_code == 200
    page = words(answer.text)
    assert "2 of 3 done" in page
    assert 'role="status"' not in answer.text  # what the site tells of itself is not the page's own count
    assert "It has changed since you looked" in page
    assert len(await boxes(grace)) == 1
    async with site.gatekeeper.db.read() as session:
        states = list(await session.scalars(sa.select(col(access.AccessRequest.state))))
    assert sorted(states) == ["active", "active", "in_review"]


async def test_a_rejection_of_many_needs_a_reason_and_keeps_the_ticks(site: Site) -> None:
    await gated(site, 2)
    grace = await site.as_("grace")
    ticked = await boxes(grace)

    none = await grace.post("/admin/requests/decide", data={"request": ticked[:1], "decision": "reject"})
    odd = await grace.post("/admin/requests/decide", data={"request": ticked[:1], "decision": "burn"})
    nothing = await grace.post("/admin/requests/decide", data={"decision": "approve"})

    assert (none.status_code, odd.status_code, nothing.status_code) == (422, 422, 422)
    assert 'href="#f-reason"' in none.text
    assert none.text.count(" checked") == 1
    assert "Nothing was chosen" in words(nothing.text)
    first = re.search(r'name="decision"\s+value="(\w*)"', none.text)
    assert first is not None
    assert first[1] == "", "Enter on a tick presses the first button"
    assert len(await boxes(grace)) == 2
    late = {"request": ticked, "decision": "reject", "reject_code": "purpose_unclear", "reapply_on": "2001-01-01"}
    over = await grace.post("/admin/requests/decide", data=late)
    assert (over.status_code, 'value="purpose_unclear" selected' in over.text) == (422, True)
    assert 'href="#f-reapply_on"' in over.text
    day = (now() + timedelta(days=9)).date().isoformat()
    done = await grace.post("/admin/requests/decide", data=late | {"reapply_on": day, "reason": "Say more."})
    assert "2 of 2 done" in words(done.text)
    async with site.gatekeeper.db.read() as session:
        requests = list(await session.scalars(sa.select(access.AccessRequest)))
    assert {each.reason_code for each in requests} == {"purpose_unclear"}
    assert all(each.reason.endswith("Say more.") and each.reapply_at for each in requests)


async def test_many_are_rejected_with_a_ready_made_answer_filled_in_for_each(site: Site) -> None:
    await gated(site, 2)
    grace = await site.as_("grace")
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        [first, second] = [await repos.require(session, RepoKind.MODEL, f"grace/m00{each}") for each in range(2)]
        text = "Not now, {person}: {repository} is full."
        mine = await access.save_template(session, first, by=by, act="reject", title="Full <now>", text=text)
        await access.save_template(session, first, by=by, act="return", title="Say more", text="Say more.")
    page = (await grace.get("/admin/requests")).text
    sent = {"request": await boxes(grace), "decision": "reject", "answer": mine.id, "reason": "Try in {May}."}
    gone = await grace.post("/admin/requests/decide", data=sent | {"answer": "elsewhere"})
    done = await grace.post("/admin/requests/decide", data=sent)

    assert f'value="{mine.id}"' in page
    assert "Not now, {person}" in page
    assert "Say more" not in page
    assert (gone.status_code, 'href="#f-answer"' in gone.text) == (422, True)
    assert "1 of 2 done" in words(done.text)
    assert "another repository’s" in words(done.text)
    async with site.gatekeeper.db.read() as session:
        found = {each.repo_id: each.reason for each in await session.scalars(sa.select(access.AccessRequest))}
    assert found == {first.id: "Not now, ada: grace/m000 is full. Try in {May}.", second.id: ""}


async def test_nobody_decides_many_of_others(site: Site, model: Repo) -> None:
    await ask_for_access(await site.as_("ada"))
    ticked = await boxes(await site.as_("grace"))

    answer = await (await site.as_("alan")).post(
        "/admin/requests/decide", data={"request": ticked, "decision": "approve"}
    )

    assert answer.status_code == 404
    assert "Waiting for review" in words((await (await site.as_("ada")).get(f"{MODEL}/access")).text)
