"""Who holds what: chosen, saved as a table, revoked together once it was said whom that affects."""

import csv
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2
import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import col

from gatekeeper import access, accounts, repos
from gatekeeper.access import AccessGrant
from gatekeeper.repos import Gate, RepoKind
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio

GRANTS = "/admin/grants"


async def granted(site: Site, *, owner: str = "grace", count: int = 3) -> list[str]:
    """Repositories of the owner's, access to each given to ada; ids of the grants. The first one ends in five days."""
    ids = []
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people[owner])
        for number in range(count):
            repo = await repos.create(session, RepoKind.MODEL, owner, f"m{number}", by=by)
            repo.gate = Gate.MANUAL
            session.add(repo)
            ends_at = None if number else datetime.now(UTC) + timedelta(days=5)
            made = await access.grant_directly(session, repo, site.people["ada"], by=by, ends_at=ends_at)
            assert made is not None
            ids.append(made.id)
    return ids


async def listed(browser: httpx2.AsyncClient, **choice: str) -> list[str]:
    page = await browser.get(GRANTS, params=choice)
    assert page.status_code == 200
    return re.findall(r'name="grant"\s+value="([^"]+)"', page.text)


async def test_grants_are_chosen_and_seen_by_those_who_may_decide_on_them(site: Site) -> None:
    ids = await granted(site)
    grace, olga, alan = await site.as_("grace"), await site.as_("olga"), await site.as_("alan")

    assert await listed(grace) == await listed(olga) == ids
    assert await listed(alan) == []
    assert await listed(grace, ends="7") == ids[:1]
    assert await listed(grace, ends="1") == []
    assert await listed(grace, repository="grace/M1") == ids[1:2]
    assert await listed(grace, person="ADA", organization="Grace") == ids
    assert await listed(grace, person="alan") == []
    assert await listed(grace, stage="gated") == [], "these repositories have no stages"
    assert await listed(grace, stage="x", ends="y") == ids


async def test_the_table_holds_what_was_chosen(site: Site) -> None:
    await granted(site)
    answer = await (await site.as_("grace")).get(GRANTS, params={"format": "csv", "ends": "30"})

    [header, row] = list(csv.reader(answer.text.splitlines()))

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert dict(zip(header, row, strict=True))["repository"] == "grace/m0"


async def test_many_are_revoked_with_a_reason_once_it_was_said_whom_it_affects(site: Site) -> None:
    ids = await granted(site)
    grace, ada = await site.as_("grace"), await site.as_("ada")
    page = words((await grace.get(f"{GRANTS}/revoke", params={"grant": ids[:2]})).text)
    silent = await grace.post(f"{GRANTS}/revoke", data={"grant": ids[:2], "reason": " "})
    chosen = await grace.get(f"{GRANTS}/revoke", params={"grant": ids[:2], "person": "ada"})
    was = await listed(grace)

    answer = {"grant": ids[:2], "revoke_code": "incident", "reason": "The <project> is over."}
    done = await grace.post(f"{GRANTS}/revoke?person=ada", data=answer)

    assert "1 person will be refused files and images of 2 repositories" in page
    assert "ada: grace/m0" in page
    assert (silent.status_code, was) == (422, ids)
    assert 'action="/admin/grants/revoke?person=ada"' in chosen.text
    assert "2 of 2 revoked" in words(done.text)
    assert 'href="/admin/grants?person=ada">Back to the grants' in done.text
    assert await listed(grace) == ids[2:]
    assert (await ada.get("/requests")).text.count("The &lt;project&gt; is over.") == 2


async def test_all_of_a_page_are_ticked_by_one_link_without_script(site: Site) -> None:
    ids = await granted(site)
    page = (await (await site.as_("grace")).get(GRANTS)).text
    link = re.search(r'href="(/admin/grants\?[^"]*tick=all)"', page)[1]
    ticked = (await (await site.as_("grace")).get(unescape(link))).text

    assert (page.count(" checked>"), ticked.count(" checked>")) == (0, len(ids))


async def test_nobody_revokes_what_is_not_in_their_care(site: Site) -> None:
    theirs = await granted(site)
    alan = await site.as_("alan")

    assert (await alan.get(f"{GRANTS}/revoke", params={"grant": theirs})).status_code == 409
    assert (await alan.post(f"{GRANTS}/revoke", data={"grant": theirs, "reason": "No."})).status_code == 409
    async with site.gatekeeper.db.read() as session:
        over = sa.select(sa.func.count()).where(col(AccessGrant.revoked_at).is_not(None))
        assert await session.scalar(over) == 0


async def test_revoking_many_asks_for_a_recent_sign_in(site: Site) -> None:
    ids = await granted(site)
    grace = await site.as_("grace")
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3)):
        answer = await grace.get(f"{GRANTS}/revoke", params={"grant": ids})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?again=1&next=/admin/grants/revoke")
