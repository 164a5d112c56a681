import re
from dataclasses import replace

import httpx2
import pytest

from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import Repo
from gatekeeper.web.admin import grants
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio


async def _waiting(browser: httpx2.AsyncClient) -> str:
    """Address of the first request in the queue."""
    found = re.search(r'href="(/admin/requests/[0-9a-z]{20,})"', (await browser.get("/admin/requests")).text)
    assert found is not None
    return found[1]


async def test_a_maintainer_reads_the_answers_and_approves_until_a_day(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada, **{"q-0": "<b>Uni</b>"})
    address = await _waiting(grace)
    page = (await grace.get(address)).text
    assert "&lt;b&gt;Uni&lt;/b&gt;" in page
    assert "Germany" in words(page)

    answer = await grace.post(f"{address}/approve", data=inputs(page) | {"ends_on": "2099-01-31"})

    assert answer.status_code == 303
    for reader, path, said in (
        (grace, f"{MODEL}/grants", "Ends 31 Jan 2099"),
        (grace, address, "Access ends 31 Jan 2099"),
        (grace, "/admin/grants?q=ada", "31 Jan 2099"),
        (ada, MODEL, "You can make images here and download the weights until 31 Jan 2099"),
        (ada, f"{MODEL}/access", "Until 31 Jan 2099"),
        (ada, "/requests", "Access ends 31 Jan 2099"),
    ):
        shown = words((await reader.get(path)).text)
        assert (path, said in shown, "Feb 2099" in shown) == (path, True, False)


async def test_a_rejection_needs_a_reason_and_the_applicant_reads_it(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)
    address = await _waiting(grace)
    kept = inputs((await grace.get(address)).text)

    empty = await grace.post(f"{address}/reject", data=kept | {"reason": "  "})
    given = await grace.post(f"{address}/reject", data=kept | {"reason": "Name <your> institution."})

    assert empty.status_code == 422
    assert 'href="#f-reason"' in empty.text
    assert given.status_code == 303
    mine = (await ada.get("/requests")).text
    assert "Name &lt;your&gt; institution." in mine
    assert "Not approved" in words(mine)


async def test_a_date_in_the_past_keeps_the_form(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)
    address = await _waiting(grace)
    kept = inputs((await grace.get(address)).text)

    for day in ("2001-01-01", "soon"):
        answer = await grace.post(f"{address}/approve", data=kept | {"ends_on": day})
        assert answer.status_code == 422
        assert f'value="{day}"' in answer.text


async def test_the_second_of_two_decisions_is_told_what_happened(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)
    address = await _waiting(grace)
    kept = inputs((await grace.get(address)).text)
    await grace.post(f"{address}/approve", data=kept)

    answer = await grace.post(f"{address}/reject", data=kept | {"reason": "No."})

    assert answer.status_code == 409
    assert "has changed since you opened it" in words(answer.text)


async def test_a_request_does_not_exist_for_people_who_may_not_review_it(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)
    address = await _waiting(grace)
    kept = inputs((await grace.get(address)).text)

    for name in ("ada", "alan"):
        browser = await site.as_(name)
        assert (await browser.get(address)).status_code == 404
        assert (await browser.post(f"{address}/approve", data=kept)).status_code == 404
        assert "Nothing is waiting" in words((await browser.get("/admin/requests")).text)


async def test_another_site_cannot_approve(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)
    address = await _waiting(grace)

    answer = await grace.post(f"{address}/approve", headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 403
    assert "Waiting for review" in words((await ada.get("/requests")).text)


async def test_access_is_granted_directly_and_revoked_with_a_reason(site: Site, model: Repo) -> None:
    grace, alan = await site.as_("grace"), await site.as_("alan")

    unknown = await grace.post(f"{MODEL}/grants", data={"person": "no<body>"})
    granted = await grace.post(f"{MODEL}/grants", data={"person": "alan", "is_tester": "yes"})
    page = (await grace.get(f"{MODEL}/grants")).text
    found = re.search(r'href="(/admin/grants/revoke)\?grant=([0-9a-z]+)"', page)
    assert found is not None
    silent = await grace.post(found[1], data={"grant": found[2], "reason": ""})
    revoked = await grace.post(found[1], data={"grant": found[2], "reason": "The test is over."})

    assert unknown.status_code == 422
    assert 'value="no&lt;body&gt;"' in unknown.text
    assert granted.status_code == 303
    assert (silent.status_code, revoked.status_code) == (422, 200)
    assert "The test is over." in words((await alan.get("/requests")).text)


async def test_a_grant_is_suspended_with_a_reason_and_goes_on(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    await grace.post(f"{MODEL}/grants", data={"person": "alan"})
    found = re.search(r'action="[^"]+/grants/([0-9a-z]+)/suspend"', (await grace.get(f"{MODEL}/grants")).text)
    assert found is not None
    address, reason = f"{MODEL}/grants/{found[1]}", {f"pause-{found[1]}": "We look into something."}

    empty = await grace.post(f"{address}/suspend", data={})
    assert (empty.status_code, f'id="f-pause-{found[1]}-error"' in empty.text) == (422, True)
    assert (await (await site.as_("ada")).post(f"{address}/suspend", data=reason)).status_code in (403, 404)
    assert (await grace.post(f"{address}/suspend", data=reason)).status_code == 303
    page = (await grace.get(f"{MODEL}/grants")).text
    assert ("Suspended" in words(page), "/suspend" in page) == (True, False)
    assert (await grace.post(f"{address}/resume")).status_code == 303
    assert "In force" in words((await grace.get(f"{MODEL}/grants")).text)


async def test_grants_are_not_shown_to_others(site: Site, model: Repo) -> None:
    answer = await (await site.as_("ada")).get(f"{MODEL}/grants")

    assert answer.status_code == 403
    assert "What you can do" in words(answer.text)


async def test_a_direct_grant_waits_for_as_many_reviewers_as_the_stage_asks_for(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace, olga, alan = await site.as_("grace"), await site.as_("olga"), await site.as_("alan")
    strict = replace(Ladder.load().rule(Stage.GATED), request_approvals=2, grant_days=30)
    monkeypatch.setattr(grants, "stage_rule", lambda call: strict)

    page = (await grace.get(f"{MODEL}/grants")).text
    first = await grace.post(f"{MODEL}/grants", data={"person": "alan"})
    waiting = words((await alan.get("/requests")).text)
    second = await olga.post(f"{MODEL}/grants", data={"person": "alan"})

    assert re.search(r'type="date"\s+value="\d{4}-\d\d-\d\d"', page)
    assert first.headers["location"].endswith("done=counted")
    assert "Waiting for review" in waiting
    assert second.headers["location"].endswith("done=granted")
    assert "Approved" in words((await alan.get("/requests")).text)
