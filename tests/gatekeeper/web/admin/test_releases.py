import re

import pytest
from sqlalchemy import event

from gatekeeper import accounts, releases, repos
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import AddFile, Repo
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio

DRAFT = "/lab/fresh"


async def test_a_draft_goes_up_by_proposal_approval_and_promotion(site: Site) -> None:
    await site.model("fresh", stage=Stage.DRAFT)
    grace = await site.as_("grace")
    page = (await grace.get(f"{DRAFT}/releases")).text
    found = re.search(rf'action="({DRAFT}/releases/([0-9a-f]{{40}}))/propose"', page)
    assert found is not None
    short = found[2][:10]

    proposed = await grace.post(f"{found[1]}/propose", data={f"target-{short}": "gated", f"note-{short}": "<b>ok</b>"})
    page = (await grace.get(f"{DRAFT}/releases")).text
    actions = re.findall(r'action="([^"]+/proposals/[^"]+)"', page)

    assert proposed.status_code == 303
    assert "&lt;b&gt;ok&lt;/b&gt;" in page
    assert "A readable license text is in force" in words(page)
    assert [address.rpartition("/")[2] for address in actions] == ["approve", "close"]
    assert (await grace.post(actions[0])).status_code == 303
    assert (await grace.post(actions[0].replace("/approve", "/promote"))).status_code == 303
    assert (await site.browser().get(DRAFT)).status_code == 200


async def test_promotion_without_approval_says_what_lacks_and_can_be_taken_back(site: Site) -> None:
    await site.model("fresh", stage=Stage.DRAFT)
    grace = await site.as_("grace")
    page = (await grace.get(f"{DRAFT}/releases")).text
    found = re.search(rf'action="({DRAFT}/releases/([0-9a-f]{{40}}))/propose"', page)
    assert found is not None
    await grace.post(f"{found[1]}/propose", data={f"target-{found[2][:10]}": "open"})
    approve = re.findall(r'action="([^"]+)/approve"', (await grace.get(f"{DRAFT}/releases")).text)[0]

    answer = await grace.post(f"{approve}/promote")

    assert answer.status_code == 422
    assert "0 of 1 approvals" in words(answer.text)

    field = f"close-{approve.rpartition('/')[2]}"
    wrong = await grace.post(f"{approve}/close", data={field: "Too <early>. " * 200})
    assert (wrong.status_code, "Too &lt;early&gt;." in wrong.text, f"{approve}/close" in wrong.text) == (
        422,
        True,
        True,
    )
    taken = await grace.post(f"{approve}/close", data={field: "Too early."})
    page = (await grace.get(f"{DRAFT}/releases")).text

    assert taken.status_code == 303
    assert f"{approve}/close" in answer.text
    assert approve not in page
    assert "Propose a promotion" in words(page)


async def test_a_hold_lists_its_consequences_before_it_acts_and_needs_a_reason(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    address = re.findall(r'href="([^"]+/hold)"', (await grace.get(f"{MODEL}/releases")).text)[0]

    before = words((await grace.get(address)).text)
    silent = await grace.post(address, data={"reason": ""})
    held = await grace.post(address, data={"reason": "A report."})

    assert "will be refused files and images of this revision from the next request on" in before
    assert silent.status_code == 422
    assert held.status_code == 303
    assert "On hold" in words((await site.browser().get(MODEL)).text)
    assert (await grace.post(address.replace("/hold", "/resume"))).status_code == 303
    assert "This release is on hold" not in words((await site.browser().get(MODEL)).text)


async def test_everybody_sees_the_releases_and_only_maintainers_act(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")

    page = (await ada.get(f"{MODEL}/releases")).text
    commit = re.findall(r"/tree/([0-9a-f]{40})", page)[0]

    assert "<form" not in page[page.index("<main") :]
    assert (await ada.get(f"{MODEL}/releases/{commit}/hold")).status_code == 403
    assert (await ada.post(f"{MODEL}/releases/{commit}/hold", data={"reason": "x"})).status_code == 403


async def test_an_open_promotion_costs_as_much_however_many_files_it_has(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    engine, asked = site.gatekeeper.db.engine.sync_engine, []

    def count(*_told: object) -> None:
        asked.append(1)

    counts = []
    for number in range(3):
        async with site.gatekeeper.db.write() as session:
            by = await accounts.principals.for_person(session, site.people["grace"])
            added = [AddFile(f"{number}-{each}.json", f"{number} {each}".encode()) for each in range(number * 10 + 1)]
            commit = await repos.commit(session, model, "main", added, summary="More", by=by)
            await releases.take_note(session, model, commit, branch="main", by=by)
            await releases.propose(session, model, commit, Stage.OPEN, by=by, ladder=Ladder.load())
        await grace.get(f"{MODEL}/releases")  # what it remembers of commits and folders is the same from here on
        asked.clear()
        event.listen(engine, "before_cursor_execute", count)
        page = (await grace.get(f"{MODEL}/releases")).text
        event.remove(engine, "before_cursor_execute", count)
        assert page.count("/approve") == number + 1
        counts.append(len(asked))
    assert counts[2] - counts[1] == counts[1] - counts[0] <= 24
