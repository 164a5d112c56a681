"""The person's page of what safety stopped, and the maintainer's review."""

import re
from html import unescape

import pytest

from gatekeeper import accounts, repos
from gatekeeper.generation import Strike, StrikeKind
from gatekeeper.repos import Repo
from gatekeeper.web.portal import strikes
from inference.contract import Done, RefusalCode, Refused
from tests.gatekeeper.generation.stub import StubWorker, withheld
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

ORDER = {"prompt": "a <secret> apple", "steps": "5", "guidance": "4", "images": "1", "seed": "7"}


def refused(*, is_hard: bool = False) -> Refused:
    return Refused(
        code=RefusalCode.PROMPT_SCREENED,
        reason="Bombs are not <made> here.",
        rule_ids=("weapons.explosives",),
        is_hard=is_hard,
    )


async def test_who_was_stopped_sees_what_fired_and_appeals_and_a_maintainer_dismisses_it(
    site: Site, model: Repo
) -> None:
    site.worker(StubWorker(lambda order: [refused()]))
    ada, grace, alan = await site.as_("ada"), await site.as_("grace"), await site.as_("alan")
    await ask_for_access(ada)
    order = await ada.post(f"{MODEL}/playground", data=ORDER)
    assert "/settings/safety" in (await ada.get(order.headers["location"])).text

    mine = (await ada.get("/settings/safety")).text
    form = re.search(r'action="(/settings/safety/[^"]+/appeal)"', mine)
    assert form is not None
    empty = await ada.post(form[1], data={"text": " "})
    strange = await alan.post(form[1], data={"text": "Mine?"})
    appealed = await ada.post(form[1], data={"text": "It was a <bath> bomb.", "shows_prompt": "yes"})
    queue = (await grace.get("/admin/strikes")).text
    action = re.search(r'action="(/admin/strikes/[^"]+/review)"', queue)
    assert action is not None
    strangers = [
        (await (await site.as_(name)).post(action[1], data={"decision": "dismiss"})).status_code
        for name in ("ada", "alan")
    ]
    note = f"note-{action[1].split('/')[3]}"
    odd = await grace.post(action[1], data={"decision": "ban", note: "A <false> alarm."})
    dismissed = await grace.post(action[1], data={"decision": "dismiss", note: "A false alarm."})
    twice = await grace.post(action[1], data={"decision": "uphold"})

    assert "Bombs are not &lt;made&gt; here." in mine
    assert "weapons.explosives" in mine
    assert (empty.status_code, strange.status_code, appealed.status_code) == (422, 404, 303)
    assert "It was a &lt;bath&gt; bomb." in queue
    assert "a &lt;secret&gt; apple" in queue
    assert strangers == [404, 404]
    assert (odd.status_code, dismissed.status_code, twice.status_code) == (422, 303, 409)
    assert 'value="A &lt;false&gt; alarm."' in odd.text
    assert "Nothing waits" in words((await grace.get("/admin/strikes")).text)
    assert "secret" not in (await grace.get("/admin/strikes?reviewed=yes")).text
    after = words((await ada.get("/settings/safety")).text)
    assert "A false alarm." in after
    assert "Dismissed" in after
    assert "Nothing was stopped" in words((await alan.get("/settings/safety")).text)


async def test_flagged_images_count_and_too_much_that_waits_stops_further_orders_with_the_reason(
    site: Site, model: Repo
) -> None:
    answers = [refused(is_hard=True)] * 3
    site.worker(
        StubWorker(
            lambda order: (
                [answers.pop()] if answers else [withheld(order), Done(delivered=0, withheld=1, compute_seconds=1)]
            )
        )
    )
    ada = await site.as_("ada")
    await ask_for_access(ada)

    first = [(await ada.post(f"{MODEL}/playground", data=ORDER)).status_code for _ in range(3)]
    stopped = await ada.post(f"{MODEL}/playground", data=ORDER)
    page = words((await ada.get("/settings/safety")).text)

    assert first == [303, 303, 303]
    assert stopped.status_code == 403
    assert "/settings/safety" in stopped.text
    assert "Your orders wait for a review" in page


async def strike(site: Site, model: Repo, times: int = 1) -> None:
    """Orders of ada that safety stopped."""
    async with site.gatekeeper.db.write() as session:
        for _ in range(times):
            session.add(
                Strike(
                    person_id=site.people["ada"].id,
                    repo_id=model.id,
                    kind=StrikeKind.PROMPT_RULE,
                    reason="It was stopped.",
                )
            )


async def test_the_playground_says_before_an_order_what_strikes_ask_of_it(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    ada = await site.as_("ada")
    await ask_for_access(ada)

    before = (await ada.get(f"{MODEL}/playground")).text
    await strike(site, model, times=10)
    strict = (await ada.get(f"{MODEL}/playground")).text
    await strike(site, model, times=20)
    waiting = (await ada.get(f"{MODEL}/playground")).text

    assert "steered more strongly" not in before
    assert "Your images are steered more strongly" in strict
    assert "As is asked here: strong" in strict
    assert 'value="medium"' not in strict
    assert "no more are taken before somebody has looked at them" in words(waiting)
    assert re.search(r'button-main[^"]*"\s+href="/settings/safety"', waiting)
    assert "Make the image" not in waiting


async def test_every_strike_is_on_one_of_ones_pages_and_can_be_appealed_there(
    site: Site, model: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strikes, "_PAGE", 1)
    await strike(site, model, times=3)
    ada = await site.as_("ada")

    at: str | None = "/settings/safety"
    forms: list[str] = []
    while at is not None:
        page = (await ada.get(at)).text
        forms += re.findall(r'action="(/settings/safety/[^"]+/appeal[^"]*)"', page)
        more = re.search(r'rel="next"\s+href="([^"]+)"', page)
        at = unescape(more[1]) if more else None

    assert len({form.partition("?")[0] for form in forms}) == len(forms) == 3
    empty = await ada.post(forms[-1], data={"text": " "})
    assert (empty.status_code, forms[-1] in empty.text) == (422, True)  # the page that it was sent from
    assert (await ada.post(forms[-1], data={"text": "A bath bomb."})).status_code == 303


async def test_strikes_at_a_deleted_model_are_reviewed_by_who_runs_the_hub(site: Site, model: Repo) -> None:
    await strike(site, model)
    async with site.gatekeeper.db.write() as session:
        owner = await accounts.principals.for_person(session, site.people["grace"])
        await repos.delete(session, await session.get_one(Repo, model.id), by=owner)
    grace, olga = await site.as_("grace"), await site.as_("olga")

    before = words((await olga.get("/admin")).text)
    queue = (await olga.get("/admin/strikes")).text
    action = re.search(r'action="(/admin/strikes/[^"]+/review)"', queue)
    assert action is not None
    stranger = await grace.post(action[1], data={"decision": "dismiss"})
    dismissed = await olga.post(action[1], data={"decision": "dismiss"})

    assert "(deleted)" in queue
    assert "1 strike to review" in before
    assert "Nothing waits" in words((await grace.get("/admin/strikes")).text)
    assert (stranger.status_code, dismissed.status_code) == (404, 303)
    assert "Nothing waits" in words((await olga.get("/admin/strikes")).text)
