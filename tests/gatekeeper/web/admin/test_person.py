"""The page of one person: an administrator sees where they are signed in and what acts for them, and ends any of it."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlsplit

import pytest
import time_machine

from gatekeeper import ledger, tokens
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.tokens import oauth
from gatekeeper.tokens.oauth.clients import BUILT_IN, HUB_CLI_ID
from tests.gatekeeper.web.site import Site, ask_for_access, words

pytestmark = pytest.mark.anyio
PAGE = "/admin/people/ada"


async def test_one_session_of_a_person_is_seen_and_ended_and_the_others_go_on(site: Site) -> None:
    first, second, olga = await site.as_("ada"), await site.as_("ada"), await site.as_("olga")
    page = (await olga.get(PAGE)).text
    ends = re.findall(r'action="(/admin/people/ada/sessions/\w{26}/end)"', page)
    assert len(ends) == 2

    assert (await olga.post(ends[0])).headers["location"] == f"{PAGE}?done=session-ended"
    assert sorted([(await first.get("/settings")).status_code, (await second.get("/settings")).status_code]) == [
        200,
        401,
    ]
    assert ends[0] not in (await olga.get(PAGE)).text
    async with site.gatekeeper.db.read() as session:
        log = await ledger.events(session, kind="accounts:session:end")
    assert [event.actor_id for event in log.items] == [site.people["olga"].id]

    await site.as_("ada")
    assert (await olga.post(f"{PAGE}/sessions/end")).status_code == 303
    assert "No browser is signed in" in words((await olga.get(PAGE)).text)
    grace = await site.as_("grace")
    assert (await olga.post(ends[1].replace("/ada/", "/grace/"))).status_code == 404  # of somebody else
    assert (await grace.get("/settings")).status_code == 200


async def test_a_person_leads_to_all_that_is_kept_about_them_under_the_tabs_of_maintain(
    site: Site, model: Repo
) -> None:
    await ask_for_access(await site.as_("ada"))
    await ask_for_access(await site.as_("alan"))
    olga = await site.as_("olga")
    page = (await olga.get(PAGE)).text
    links = [unescape(found) for found in re.findall(r'href="(/admin/\w+\?[^"]*ada)"', page)]
    assert [urlsplit(link).path.rpartition("/")[2] for link in links] == [
        "requests", "grants", "strikes", "quotas", "ledger",
    ]  # fmt: skip
    shown = [words((await olga.get(link)).text) for link in links]
    assert "Choose the request of" not in shown[0]
    asked = re.findall(r'href="(/admin/requests/\w{26})[^"]*">(\w+)<', (await olga.get(links[0])).text)
    assert [name for _, name in asked] == ["ada"]
    assert "Those of ada alone." in shown[2]
    assert 'value="ada"' in (await olga.get(links[3])).text

    event = re.search(r'href="(/admin/ledger/\w{26})"', (await olga.get(links[4])).text)[1]
    grace, organization = await site.as_("grace"), "/admin/organizations/lab"
    pages = [(olga, PAGE), (olga, asked[0][0]), (olga, event)]
    pages += [(grace, f"{organization}/{each}") for each in ("usage", "teams", "change")]
    for browser, address in pages:
        assert 'class="tabs" aria-label="Maintain"' in (await browser.get(address)).text, address
    ticked = (await olga.get("/admin/requests?tick=all")).text
    assert len(re.findall(r'name="request"[^>]* checked', ticked)) == 2


async def test_applications_and_tokens_of_a_person_are_ended_one_by_one(site: Site) -> None:
    key, ada = site.gatekeeper.keys.tokens, site.people["ada"]
    async with site.gatekeeper.db.write() as session:
        token, secret = await tokens.issue(session, ada, label="laptop", key=key)
        grant = await oauth.grants.open_grant(
            session, BUILT_IN[HUB_CLI_ID], ada, scopes=["read"], label="hf on a laptop"
        )
        await oauth.grants.keep_tokens(
            session, grant, access="gk_x", refresh=None, scopes=["read"], seconds=600, max_days=9, key=key
        )
    olga = await site.as_("olga")
    page = await olga.get(PAGE)
    assert "hf on a laptop" in words(page.text)
    assert "laptop" in words(page.text)
    assert secret not in page.text
    told = words((await olga.get(f"{PAGE}/disable")).text)
    assert "1 access token of theirs stops working. 1 application that they let in is refused." in told
    assert "webhook" not in told.partition("What this does")[2]

    assert (await olga.post(f"{PAGE}/applications/{grant.id}/revoke")).status_code == 303
    assert (await olga.post(f"{PAGE}/tokens/{token.id}/revoke")).status_code == 303
    for path in (f"applications/{grant.id}", f"tokens/{token.id}", f"applications/sites/{grant.id}"):
        assert (await olga.post(f"{PAGE}/{path}/revoke")).status_code == 404
    after = words((await olga.get(PAGE)).text)
    assert "No program and no site acts for them" in after
    assert "They have made none by hand" in after


async def test_only_administrators_recently_signed_in_come_there(site: Site) -> None:
    ada, grace, olga = await site.as_("ada"), await site.as_("grace"), await site.as_("olga")
    ends = re.findall(r'action="(/admin/people/ada/sessions/\w{26}/end)"', (await olga.get(PAGE)).text)
    for act in (ends[0], f"{PAGE}/sessions/end", f"{PAGE}/enable"):
        assert (await grace.post(act)).status_code == 403
        assert (await ada.post(act)).status_code == 403
        with time_machine.travel(now() + timedelta(hours=2), tick=False):
            assert (await olga.post(act)).headers["location"].startswith("/login?again=1")
    assert 'value="olga"' in (await olga.get("/login?again=1")).text
    assert (await grace.get(PAGE)).status_code == 403
    assert (await ada.get("/settings")).status_code == 200
    assert (await olga.get("/admin/people/nobody")).status_code == 404

    await olga.post(f"{PAGE}/disable")
    assert "Let ada in again" in words((await olga.get(PAGE)).text)
    assert (await olga.post(f"{PAGE}/enable")).status_code == 303
    assert (await ada.get("/settings")).status_code == 401  # its sessions stay ended
    assert (await (await site.as_("ada")).get("/settings")).status_code == 200


async def test_administrators_name_others_and_the_last_one_stays(site: Site) -> None:
    olga, ada, grace = await site.as_("olga"), await site.as_("ada"), await site.as_("grace")
    address = f"{PAGE}/administrator"
    before = words((await olga.get(address)).text)
    strangers = [
        (await each.request(method, address)).status_code for each in (ada, grace) for method in ("GET", "POST")
    ]
    with time_machine.travel(now() + timedelta(minutes=31), tick=True):
        late = [(await olga.request(method, address)).headers["location"] for method in ("GET", "POST")]
    alone = await olga.post("/admin/people/olga/administrator", data={"is_admin": "no"})
    made = await olga.post(address, data={"is_admin": "yes"})
    twice = await olga.post(address, data={"is_admin": "yes"})
    opened = (await ada.get("/admin/people")).status_code
    taken = await ada.post("/admin/people/olga/administrator", data={"is_admin": "no"})
    async with site.gatekeeper.db.read() as session:
        log = (await ledger.events(session, kind="accounts:person:set-admin")).items

    assert "ada can open every repository" in before
    assert strangers == [403] * 4
    assert all(each.startswith("/login?again=1") for each in late)
    assert (alone.status_code, "The last administrator stays one" in words(alone.text)) == (409, True)
    assert (made.status_code, twice.status_code, opened, taken.status_code) == (303, 409, 200, 303)
    assert (await olga.get("/admin/people")).status_code == 403
    assert [(event.actor_id, event.subject_id, event.body["is_admin"]) for event in reversed(log)] == [
        (site.people["olga"].id, site.people["ada"].id, True),
        (site.people["ada"].id, site.people["olga"].id, False),
    ]
