"""One release's page: timeline, changes that take agreement, waivers, holders."""

import re

import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access, accounts, ledger, releases, repos
from gatekeeper.accounts import OPERATOR, Role, organizations
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio


async def address_of(site: Site) -> str:
    page = (await (await site.as_("grace")).get(f"{MODEL}/releases")).text
    return re.findall(r'href="([^"]+/releases/[0-9a-f]{40})"', page)[0]


async def test_everybody_reads_what_happened_and_only_maintainers_what_can_be_done(site: Site, model: Repo) -> None:
    address = await address_of(site)
    stranger = words((await site.browser().get(address)).text)
    assert "What happened" in stranger
    assert "was promoted" in stranger
    assert "Withdraw it for good" not in stranger
    assert "Withdraw it for good" in words((await (await site.as_("grace")).get(address)).text)
    for path in (f"{address}/holders",):
        assert (await (await site.as_("ada")).get(path)).status_code == 403
    assert (await (await site.as_("ada")).post(f"{address}/withdraw", data={"reason": "No."})).status_code == 403


async def test_an_embargo_is_announced_with_an_instant_and_a_reason(site: Site, model: Repo) -> None:
    address, grace = await address_of(site), await site.as_("grace")
    for data in (
        {"act": "announce", "until-announce": "soon", "reason-announce": "Paper."},
        {"act": "announce", "until-announce": "2099-01-01", "reason-announce": "Paper."},
        {"act": "announce", "until-announce": "2020-01-01T10:00", "reason-announce": "Paper."},
        {"act": "announce", "until-announce": "2099-01-01T10:00", "reason-announce": " "},
        {"act": "lift", "reason-lift": "Now."},
        {"act": "withdraw", "reason-withdraw": "Only its own page does that."},
        {"act": "fly"},
    ):
        refused = await grace.post(f"{address}/change", data=data)
        assert refused.status_code == 422, data
        assert data.get("reason-announce", "").strip() in refused.text
    good = {"act": "announce", "until-announce": "2099-01-01T10:00", "reason-announce": "Paper."}
    assert (await grace.post(f"{address}/change", data=good)).status_code == 303
    page = words((await site.browser().get(address)).text)
    assert "Embargoed" in page
    assert "every criterion is checked again" in page

    ada = await site.as_("ada")
    paths = ("", "/access", "/blob/main/unet/config.json")
    card, form, file = [(await ada.get(f"{MODEL}{path}")).text for path in paths]
    until = '<time datetime="2099-01-01T10:00:00.000Z">1 Jan 2099, 10:00 UTC</time>'
    assert [f"under an embargo until {until}." in text for text in (card, form, file)] == [True] * 3
    assert re.search(rf'href="{MODEL}/access">Read and accept the license<', card)
    assert f'href="{MODEL}/access">See what you can do until then<' in file
    assert (await ask_for_access(ada)).headers["location"] == f"{MODEL}/access?done=requested"
    waits = words((await ada.get(MODEL)).text)
    assert ("Not open yet" in waits, "Waiting for a maintainer" in waits) == (True, True)
    assert 'name="q-0"' not in (await ada.get(f"{MODEL}/access")).text


async def test_a_withdrawal_leaves_a_tombstone_with_the_reason(site: Site, model: Repo) -> None:
    address, grace = await address_of(site), await site.as_("grace")
    before = words((await grace.get(f"{address}/withdraw")).text)
    assert "What this does, at once" in before
    assert "Everybody will be refused files and images of this revision" in before
    assert "This cannot be undone" in before
    assert "Withdraw now" in before
    assert (await grace.post(f"{address}/withdraw", data={"reason": " "})).status_code == 422
    sent = await grace.post(f"{address}/withdraw", data={"reason": "Trained on <stolen> data."})
    assert sent.headers["location"] == f"{address}?done=change-made"
    page = (await grace.get(address)).text
    assert "Asked for" not in words(page)  # the only maintainer suffices
    assert "Trained on &lt;stolen&gt; data." in page
    assert "Withdrawn" in words(page)
    assert "Change it" not in words(page)


async def test_a_change_that_was_asked_for_is_ended_without_effect(site: Site, model: Repo) -> None:
    address = await address_of(site)
    async with site.gatekeeper.db.write() as session:
        lab = await organizations.find(session, "lab")
        assert lab is not None
        await organizations.add_member(session, lab, site.people["alan"], Role.ADMIN, by=OPERATOR)
    grace = await site.as_("grace")
    before = words((await grace.get(f"{address}/demote")).text)
    assert "Other maintainers have to agree" in before
    assert "Internal: The members of its organization." in before
    assert "Ask for it" in before
    wrong = await grace.post(f"{address}/demote", data={"target": "open", "reason": "It is <biased>."})
    assert (wrong.status_code, "It is &lt;biased&gt;." in wrong.text) == (422, True)
    sent = await grace.post(f"{address}/demote", data={"target": "internal", "reason": "Bias."})
    assert sent.headers["location"] == f"{address}?done=change-asked"
    page = (await grace.get(address)).text
    assert "0 of 1 approvals are given." in words(page)
    closing = re.findall(r'action="([^"]+/close)"', page)[0]
    assert (await grace.post(closing.replace("/close", "/carry-out"))).status_code == 422
    alan = await site.as_("alan")
    read = (await alan.get(address)).text
    seen = re.findall(r'name="seen" value="([^"]+)"', read)[0]
    assert "Carried out, this is what it does, at once" in words(read)
    assert "may do only what the lower stage permits" in words(read)
    await grace.post(f"{address}/hold", data={"reason": "Something else."})
    late = await alan.post(closing.replace("/close", "/agree"), data={"seen": seen})
    assert (late.status_code, "has changed since you read it" in words(late.text)) == (422, True)
    assert (await grace.post(closing, data={})).status_code == 422
    assert (await grace.post(closing, data={f"close-{closing.split('/')[-2]}": "Not after all."})).status_code == 303
    assert "Asked for" not in words((await grace.get(address)).text)


async def test_who_holds_it_is_listed_and_saved(site: Site, model: Repo) -> None:
    address = await address_of(site)
    commit = address.rpartition("/")[2]
    async with site.gatekeeper.db.write() as session:
        body = {"action": "download", "path": "=weights.safetensors", "digest": "a" * 64}
        ada = site.people["ada"].id
        for actor in (ada, None):
            await ledger.record(session, "repos:file:download", actor=actor, repo=model.id, subject=commit, body=body)
    grace = await site.as_("grace")
    page = words((await grace.get(f"{address}/holders")).text)
    assert "ada" in page
    assert "fetched 1 time without an account" in page
    saved = await grace.get(f"{address}/holders?format=csv")
    assert saved.headers["content-type"].startswith("text/csv")
    assert f"ada,'=weights.safetensors,{'a' * 64},False" in saved.text


async def newer(site: Site, repo: Repo) -> str:
    """A second release at the stage of the first; the commit that was main before."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        [first] = await releases.list_for(session, repo)
        made = await repos.commit(
            session, repo, "main", [repos.AddFile("new.json", b"{}")], summary="More", by=by, parent=first.commit_id
        )
        ladder, oid = releases.Ladder.load(), made if isinstance(made, str) else made.oid
        proposal = await releases.propose(session, repo, oid, first.stage, by=by, ladder=ladder)
        await releases.approve_proposal(session, proposal, by=by)
        await releases.promote(session, proposal, by=by, ladder=ladder)
    return first.commit_id


async def test_a_drill_says_what_a_hold_would_lead_to_and_changes_nothing(site: Site, model: Repo) -> None:
    older = await newer(site, model)
    async with site.gatekeeper.db.write() as session:
        commit = next(each.commit_id for each in await releases.list_for(session, model) if each.commit_id != older)
        by = await accounts.principals.for_person(session, site.people["grace"])
        ada = site.people["ada"]
        body = {"path": "unet/x.safetensors", "digest": "b" * 64, "action": "download"}
        await ledger.record(session, "repos:file:download", actor=ada.id, repo=model.id, subject=commit, body=body)
        await access.grant_directly(session, model, ada, by=by)
    grace = await site.as_("grace")

    page = words((await grace.get(f"{MODEL}/releases/{commit}/drill")).text)
    refused = await (await site.as_("ada")).get(f"{MODEL}/releases/{commit}/drill")
    done = await grace.post(f"{MODEL}/releases/{commit}/drill")

    assert done.headers["location"] == f"{MODEL}/releases/{commit}?done=drilled"
    assert "had its rollback drill" in words((await grace.get(f"{MODEL}/releases/{commit}")).text)
    assert (await (await site.as_("ada")).post(f"{MODEL}/releases/{commit}/drill")).status_code == 403
    assert f"Everybody {older[:10]} , Gated You {older[:10]} , Gated" in page
    hold = words((await grace.get(f"{MODEL}/releases/{commit}/hold")).text)
    assert "1 person with granted access and everybody else will be refused" in hold
    assert f"Whoever asks for lab/emoji without naming a revision gets {older[:10]} (Gated) instead." in hold
    await grace.post(f"{MODEL}/releases/{commit}/demote", data={"target": "internal", "reason": "Not yet."})
    inside = words((await grace.get(f"{MODEL}/releases/{commit}/hold")).text)
    assert "Everybody will be refused" in inside, "a grant opens nothing at this stage"
    assert "(1 person with an account fetched files)" in hold
    assert re.search(r"ada last .* unet/x.safetensors b{12}", page)
    assert "1 person, by the page and by mail where they want it: ada." in page
    assert "A release of lab/emoji is on hold" in page
    assert refused.status_code == 403
    async with site.gatekeeper.db.read() as session:
        assert [each.held_at for each in await releases.list_for(session, model)] == [None, None]
        held = sa.select(sa.func.count()).where(col(ledger.LedgerEvent.kind) == "releases:release:hold")
        assert await session.scalar(held) == 0


async def test_a_hold_promises_nobody_a_draft_instead(site: Site, model: Repo) -> None:
    address = await address_of(site)
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        parent = address.rpartition("/")[2]
        await repos.commit(session, model, "main", [repos.AddFile("x", b"1")], summary="More", by=by, parent=parent)
    page = words((await (await site.as_("grace")).get(f"{address}/hold")).text)
    assert "There is no other release that everybody sees" in page
    assert "Draft" not in page


async def test_a_waiver_is_public_with_name_and_reason(site: Site) -> None:
    repo = await site.model("bare", stage=Stage.DRAFT)
    async with site.gatekeeper.db.write() as session:
        [release] = await releases.list_for(session, repo)
        release.bundle_sha256 = "d" * 64
        session.add(release)
    grace = await site.as_("grace")
    await grace.post(
        f"/lab/bare/releases/{release.commit_id}/propose", data={f"target-{release.commit_id[:10]}": "gated"}
    )
    page = (await grace.get("/lab/bare/releases")).text
    assert (await grace.get("/admin/repositories/models/lab/bare/jobs")).status_code == 200
    assert "/admin/repositories/models/lab/bare/jobs" in page
    waiving = re.findall(r'action="([^"]+/waive)"', page)[0]
    field = f"waive-{waiving.split('/')[-2]}-license_text"
    refused = await grace.post(waiving, data={"criterion": "license_text", field: ""})
    assert f'id="f-{field}-error"' in refused.text
    good = {"criterion": "license_text", field: "The text is the same."}
    waived = await grace.post(waiving, data=good)
    assert (refused.status_code, waived.status_code) == (422, 303)
    assert waived.headers["location"].startswith("/lab/bare/releases?done=waived#r-")  # where the promotion goes on
    shown = words((await grace.get(f"/lab/bare/releases/{release.commit_id}")).text)
    assert "by grace: The text is the same." in shown


async def test_an_organization_asks_for_more_and_only_its_administrators_say_so(site: Site, model: Repo) -> None:
    grace, page = await site.as_("grace"), "/admin/organizations/lab/ladder"
    assert (await (await site.as_("ada")).get(page)).status_code in (403, 404)
    assert "never for less" in words((await grace.get(page)).text)
    good = {"approvals-open": "3", "soak_days-open": "14", "testers-open": "5", "second-open": "yes"}
    good |= {"criteria-open": ["rollback_drill"]}
    wrongs = ({"approvals-open": "x"}, {"approvals-gated": "21"}, {"soak_days-open": "9999"}, {"criteria-open": "x"})
    for wrong in wrongs:
        refused = await grace.post(page, data={**good, **wrong})
        assert refused.status_code == 422, wrong
        assert re.search(r'id="rollback_drill-open"[^>]*checked', refused.text) or "criteria-open" in wrong
        assert f'value="{wrong.get("testers-open", "5")}"' in refused.text
    assert "Days at the stage below must lie" in words((await grace.post(page, data={**good, **wrongs[2]})).text)
    assert (await grace.post(page, data=good)).status_code == 303
    assert (await grace.post(page, data=good)).status_code == 303
    assert (await grace.post(page, data=good | {"approvals-open": "4"})).status_code == 303
    async with site.gatekeeper.db.read() as session:
        rule = (await releases.ladder_for(session, model, releases.Ladder.load())).rule(Stage.OPEN)
        changes = await session.scalars(sa.select(LedgerEvent).where(LedgerEvent.kind == "releases:ladder:change"))
    assert [each.body["stage"] for each in changes] == ["open", "open"], "what is the same is no change"
    assert "rollback_drill" in rule.criteria
    assert (rule.approvals, rule.soak_days, rule.testers, rule.sole_maintainer) == (4, 14, 5, False)
