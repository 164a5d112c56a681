"""The doors of incidents: who finds them, what is refused, and what everybody reads in the end."""

import re
from collections.abc import Awaitable

import httpx2
import pytest
import sqlalchemy as sa

from gatekeeper import access, accounts, ledger, repos, transparency
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import Notice
from gatekeeper.provenance import ImageRecord
from gatekeeper.releases import Release, Stage
from gatekeeper.repos import Repo, RepoKind
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

REPORT = {"problem": "harm", "text": "It draws <weapons>."}
OPEN = {"title": "Weapons <now>", "severity": "high", "repository": "lab/emoji", "description": "Seen today."}
DIGEST = "d" * 64


def form_of(page: str, act: str) -> str:
    found = re.search(rf'action="(/admin/incidents/[^"]+/{act})"', page)
    assert found is not None, words(page)
    return found[1]


async def test_a_report_is_taken_up_linked_acted_on_and_closed_in_public(site: Site, model: Repo) -> None:
    grace, ada, alan = await site.as_("grace"), await site.as_("ada"), await site.as_("alan")
    await ask_for_access(ada)
    await grace.post(f"{MODEL}/grants", data={"person": "ada"})
    commit = await head(site, model)
    async with site.gatekeeper.db.write() as session:
        body = {"path": "model.safetensors", "digest": DIGEST, "action": "download"}
        await ledger.record(
            session, "repos:file:download", actor=site.people["ada"].id, repo=model.id, subject=commit, body=body
        )

    sent = await site.browser().post(f"{MODEL}/report", data=REPORT)
    thanks = words((await site.browser().get(sent.headers["location"])).text)
    listed = (await grace.get("/admin/incidents")).text
    here = re.search(r'href="(/admin/incidents/0[^"]+)"', listed)
    assert here is not None
    page = (await grace.get(here[1])).text
    hidden = [(await browser.get(here[1])).status_code for browser in (ada, alan)]
    refused = [
        (await browser.post(f"{here[1]}/close", data={"public_note": "x"})).status_code for browser in (ada, alan)
    ]
    early = await grace.post(f"{here[1]}/close", data={"public_note": "Done."})
    odd = await grace.post(f"{here[1]}/take-up", data={"title": "Weapons", "severity": "awful"})
    taken = await grace.post(f"{here[1]}/take-up", data={"title": "Weapons", "severity": "high"})
    for fields in ({"revision": commit}, {"person": "ada"}):
        linked = await grace.post(f"{here[1]}/link", data={"repository": "lab/emoji", **fields})
        assert linked.status_code == 303, words(linked.text)
    twice = await grace.post(f"{here[1]}/link", data={"repository": "lab/emoji", "person": "ada"})
    nothing = await grace.post(f"{here[1]}/link", data={"person": "no<body>"})
    page = (await grace.get(here[1])).text
    hold, suspend, tell = form_of(page, "hold"), form_of(page, "suspend"), form_of(page, "tell")
    ids = {act: path.split("/")[-2] for act, path in (("hold", hold), ("suspend", suspend))}
    strangers = [
        (await alan.post(path, data={f"reason-{ids['hold']}": "x"})).status_code for path in (hold, suspend, tell)
    ]
    silent = await grace.post(hold, data={f"reason-{ids['hold']}": " "})
    unread = await grace.post(tell, data={f"message-{ids['hold']}": "Stop <using> it.", f"sha256-{ids['hold']}": "no"})
    told = await grace.post(tell, data={f"message-{ids['hold']}": "Stop using it."})
    suspended = await grace.post(suspend, data={f"reason-{ids['suspend']}": "Misuse."})
    held = await grace.post(hold, data={f"reason-{ids['hold']}": "Weapons."})
    again = await grace.post(hold, data={f"reason-{ids['hold']}": "Weapons."})
    closed = await grace.post(f"{here[1]}/close", data={"public_note": "The words <were> taken out."})
    late = await grace.post(f"{here[1]}/note", data={"note": "Late."})
    timeline = words((await grace.get(here[1])).text).partition("Timeline")[2]
    log = words((await (await site.as_("olga")).get("/admin/ledger?kind=incidents:incident:report")).text)

    assert sent.status_code == 303
    assert "Thank you" in thanks
    assert "It draws &lt;weapons&gt;." in page
    assert "without an account" in words(page)
    assert (unread.status_code, "Stop &lt;using&gt; it." in unread.text) == (422, True)
    assert "There is no other release that everybody sees" in words(page)
    assert "Lifting the hold restores everything as it was" in words(page)
    assert 'value="no&lt;body&gt;"' in nothing.text
    assert (hidden, refused, strangers) == ([404, 404], [404, 404], [404, 404, 404])
    assert [each.status_code for each in (early, odd, taken, twice, nothing, silent)] == [409, 400, 303, 409, 422, 400]
    assert [each.status_code for each in (told, suspended, held, again)] == [303, 303, 303, 409]
    assert (closed.status_code, late.status_code) == (303, 409)
    assert re.search(r"Linked by grace, [^R]*Revision: lab/emoji at", timeline)
    assert re.search(r"Access suspended by grace, [^A]*Access: ada at lab/emoji", timeline)
    assert "somebody without an account" in log
    public = (await site.browser().get(MODEL)).text
    assert "The words &lt;were&gt; taken out." in public
    assert "It draws" not in public
    async with site.gatekeeper.db.write() as session:
        release = await session.scalar(sa.select(Release).where(Release.commit_id == commit))
        assert release is not None
        assert release.held_at is not None
        assert await access.grant_in_force(session, site.people["ada"].id, model.id, now()) is None
        report = await transparency.refresh(session, visible=sa.true())
        kinds = list(await session.scalars(sa.select(Notice.kind).where(Notice.person_id == site.people["grace"].id)))
    assert [each.note for each in report.incidents] == ["The words <were> taken out."]
    assert kinds == ["report-received"]
    assert "The words &lt;were&gt; taken out." in (await site.browser().get("/transparency")).text


async def head(site: Site, model: Repo) -> str:
    async with site.gatekeeper.db.read() as session:
        found = await session.scalar(sa.select(Release.commit_id).where(Release.repo_id == model.id))
        assert found is not None
        return str(found)


async def test_a_note_on_the_pages_of_others_takes_somebody_who_handles_them_all(site: Site, model: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["alan"])
        await repos.create(session, RepoKind.MODEL, "alan", "own", by=by)
    grace, olga = await site.as_("grace"), await site.as_("olga")
    here = (await grace.post("/admin/incidents", data=OPEN)).headers["location"].partition("?")[0]

    strange = await grace.post(f"{here}/link", data={"repository": "alan/own"})
    linked = await olga.post(f"{here}/link", data={"repository": "alan/own"})
    page = (await grace.get(here)).text
    refused = await grace.post(f"{here}/close", data={"public_note": "It was alan's fault."})
    closed = await olga.post(f"{here}/close", data={"public_note": "Both are repaired."})

    assert (strange.status_code, linked.status_code) == (422, 303)
    assert "alan/own" not in page
    assert "And 1 link" in words(page)
    assert (refused.status_code, closed.status_code) == (403, 303)
    assert re.search(r'(?s)id="f-public_note"[^>]*>\s*It was alan&#39;s fault.', refused.text)
    assert "Both are repaired." in (await olga.get("/alan/own")).text


async def test_a_program_reports_a_problem_as_a_page_does(site: Site, model: Repo) -> None:
    def send(**body: str) -> Awaitable[httpx2.Response]:
        return site.browser().post("/api/models/lab/emoji/report", json=body)

    sent, odd, silent = await send(**REPORT), await send(problem="mood", text="x"), await send(problem="harm", text=" ")
    missing = await site.browser().post("/api/models/lab/nothing/report", json=REPORT)

    assert [each.status_code for each in (sent, odd, silent, missing)] == [201, 400, 422, 401]
    page = (await (await site.as_("grace")).get(f"/admin/incidents/{sent.json()['id']}")).text
    assert "It draws &lt;weapons&gt;." in page
    assert [(await send(**REPORT)).status_code for _ in range(5)].count(429) >= 1


async def test_what_was_closed_is_opened_again_and_a_wrong_link_taken_away_with_evidence(
    site: Site, model: Repo
) -> None:
    grace, alan = await site.as_("grace"), await site.as_("alan")
    here = (await grace.post("/admin/incidents", data=OPEN)).headers["location"].partition("?")[0]
    await grace.post(f"{here}/link", data={"repository": "lab/emoji"})
    early = await grace.post(f"{here}/reopen", data={"reason": "Again."})
    await grace.post(f"{here}/close", data={"public_note": "It was nothing."})
    assert "It was nothing." in (await site.browser().get(MODEL)).text

    silent = await grace.post(f"{here}/reopen", data={"reason": " "})
    opened = await grace.post(f"{here}/reopen", data={"reason": "It was something."})
    page = (await grace.get(here)).text
    unlink = form_of(page, "unlink")
    stranger = await alan.post(unlink)
    gone = [(await grace.post(unlink)).status_code for _ in range(2)]
    told = words((await grace.get(here)).text)

    assert (early.status_code, silent.status_code, opened.status_code) == (409, 422, 303)
    assert (stranger.status_code, gone) == (404, [303, 404])
    assert "It was nothing." not in (await site.browser().get(MODEL)).text
    assert "It was nothing." in told  # in the timeline, for its handlers
    assert "Nothing is linked yet." in told
    async with site.gatekeeper.db.read() as session:
        kinds = list(await session.scalars(sa.select(LedgerEvent.kind).where(LedgerEvent.subject_id == here[-26:])))
    assert kinds == [f"incidents:incident:{act}" for act in ("open", "link", "close", "reopen", "unlink")]


async def test_opening_takes_a_repository_in_ones_care_unless_one_runs_the_hub(site: Site, model: Repo) -> None:
    grace, alan, olga = await site.as_("grace"), await site.as_("alan"), await site.as_("olga")

    answers = [
        (await browser.post("/admin/incidents", data=OPEN | fields)).status_code
        for browser, fields in (
            (alan, {}),
            (grace, {"repository": ""}),
            (grace, {"title": " "}),
            (grace, {"description": "x" * 5_001}),
            (grace, {"severity": "awful"}),
            (grace, {}),
            (olga, {"repository": ""}),
        )
    ]
    of_grace, of_olga = [words((await each.get("/admin/incidents")).text) for each in (grace, olga)]

    assert answers == [422, 422, 422, 422, 422, 303, 303]
    assert of_grace.count("Weapons <now>") == 1
    assert of_olga.count("Weapons <now>") == 2
    assert "Nothing waits" in words((await alan.get("/admin/incidents")).text)


async def test_a_problem_with_an_image_reaches_the_models_maintainers_by_its_record_alone(
    site: Site, model: Repo
) -> None:
    async with site.gatekeeper.db.write() as session:
        record = ImageRecord(
            number=0xABC, receipt_id="r", image_sha256=DIGEST, repo_id=model.id, commit_id=await head(site, model)
        )
        session.add(record)
    ada = await site.as_("ada")

    page = await ada.get("/verify/report?image=0000000abc")
    unknown = [(await ada.get(f"/verify/report?image={text}")).status_code for text in ("0000000abd", "", "x" * 200)]
    answers = [(await ada.post("/verify/report", data=REPORT | {"image": DIGEST})).status_code for _ in range(6)]
    empty = await (await site.as_("alan")).post("/verify/report", data={"image": DIGEST, "problem": "harm"})
    listed = words((await (await site.as_("grace")).get("/admin/incidents")).text)

    assert "lab/emoji" not in page.text
    assert unknown == [404, 404, 404]
    assert answers == [303] * 5 + [429]
    assert empty.status_code == 422
    assert listed.count("It makes or contains something harmful") == 5


async def test_a_private_model_takes_reports_of_those_who_see_it_only(site: Site) -> None:
    repo = await site.model("secret", stage=Stage.DRAFT)
    answers = [
        (await browser.post(f"/{repo.full_name}/report", data=REPORT)).status_code
        for browser in (site.browser(), await site.as_("ada"), await site.as_("grace"))
    ]
    assert answers == [401, 404, 303]
