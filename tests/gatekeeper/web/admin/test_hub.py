import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gatekeeper import access, accounts, authz, ledger
from gatekeeper.access import AccessRequest
from gatekeeper.accounts import OPERATOR, Role
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, PASSWORD, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

NEW = {"name": "mary", "email": "mary@example.org"}


async def test_an_administrator_adds_a_person_who_alone_chooses_the_first_password(site: Site) -> None:
    olga, mary = await site.as_("olga"), site.browser()

    answer = await olga.post("/admin/people", data=NEW | {"password": PASSWORD})

    assert (await mary.post("/login", data={"name": "mary", "password": PASSWORD})).status_code == 401
    found = re.search(r"http://hub.test(/reset\?link=(gl_\w+))", answer.text)
    assert found
    assert "Nobody but you knows" in words((await mary.get(found[1])).text)
    assert (await mary.post("/reset", data={"link": found[2], "password": "short"})).status_code == 422
    chosen = {"link": found[2], "password": "several unrelated plain words"}
    assert (await mary.post("/reset", data=chosen)).status_code == 303
    assert (await mary.post("/reset", data=chosen)).status_code == 404
    assert (await mary.post("/login", data={"name": "mary", "password": chosen["password"]})).status_code == 303
    async with site.gatekeeper.db.write() as session:
        person = await accounts.people.find(session, "mary")
        assert person is not None
        assert person.email_verified_at is None  # the link was handed over, not mailed
        with pytest.raises(Conflict):
            await accounts.links.first_password(session, person, key=site.gatekeeper.keys.sessions)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "<i>"}, "name"),
        ({"name": "ada"}, "name"),
        ({"email": "x"}, "email"),
    ],
)
async def test_a_person_that_cannot_be_added_keeps_the_form(site: Site, change: dict[str, str], field: str) -> None:
    olga = await site.as_("olga")

    answer = await olga.post("/admin/people", data=NEW | change)

    assert answer.status_code == 422
    assert f'href="#f-{field}"' in answer.text
    assert "/reset?link=" not in answer.text


async def test_disabling_says_what_it_does_and_ends_the_session(site: Site) -> None:
    olga, ada = await site.as_("olga"), await site.as_("ada")

    before = words((await olga.get("/admin/people/ada/disable")).text)
    answer = await olga.post("/admin/people/ada/disable")

    assert "signed out everywhere" in before
    assert "access token" not in before
    assert answer.headers["location"] == "/admin/people/ada?done=person-disabled"
    assert (await ada.get("/requests")).status_code == 401
    assert (await site.browser().post("/login", data={"name": "ada", "password": PASSWORD})).status_code == 401


async def test_people_and_ledger_are_for_administrators(site: Site, model: Repo) -> None:
    for name in ("grace", "ada"):
        browser = await site.as_(name)
        for path in ("/admin/people", "/admin/ledger"):
            answer = await browser.get(path)
            assert answer.status_code == 403
            assert "Ask an administrator" in words(answer.text)
        assert (await browser.post("/admin/people", data=NEW)).status_code == 403


async def test_an_event_is_found_by_filter_and_proved(site: Site, model: Repo) -> None:
    house = site.gatekeeper
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    olga = await site.as_("olga")

    page = (await olga.get(f"/admin/ledger?kind=releases:release&repo={MODEL[1:]}")).text
    rows = re.findall(r'<a href="(/admin/ledger/[^"/]+)">([^<]+)</a>\s*<br>\s*<code[^>]*>([^<]+)</code>', page)
    event = words((await olga.get(rows[0][0])).text)

    assert {kind.rpartition(":")[0] for _, _, kind in rows} == {"releases:release"}
    assert rows[0][1:] == ("A release was promoted", "releases:release:promote")
    assert "A release was promoted releases:release:promote" in event
    assert "every sealed event is unchanged" in words(page)
    assert "the event lies under the signed checkpoint" in event


async def test_an_event_leads_to_its_proof_as_a_file_and_to_what_it_is_about(site: Site, model: Repo) -> None:
    house = site.gatekeeper
    async with house.db.write() as session:
        body = {"commit": "c" * 40, "person_id": site.people["ada"].id}
        grace = site.people["grace"].id
        await ledger.record(session, "releases:release:hold", actor=grace, repo=model.id, subject="s", body=body)
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    olga, grace_herself = await site.as_("olga"), await site.as_("grace")
    today = now().date()

    listed = (await olga.get(f"/admin/ledger?subject=s&since={today}&until={today}")).text
    other_days = (await olga.get(f"/admin/ledger?subject=s&until={today - timedelta(days=1)}")).text
    odd = await olga.get("/admin/ledger?since=soon")
    [address] = set(re.findall(r'href="(/admin/ledger/[^"/]+)"', listed))
    page = (await olga.get(address)).text
    proof = await olga.get(f"{address}/proof")

    assert f'href="{address}/proof"' in listed
    assert "No event fits" in other_days
    assert (odd.status_code, "This must be a date" in odd.text) == (422, True)
    for href in (MODEL, f"{MODEL}/releases/{'c' * 40}", "/admin/people/ada", "/admin/people/grace"):
        assert f'href="{href}"' in page
    assert "attachment" in proof.headers["content-disposition"]
    assert ledger.offline.check(proof.content, house.keys.signing.public).is_valid
    assert not ledger.offline.check(proof.content.replace(b"hold", b"lift"), house.keys.signing.public).is_valid
    assert "gatekeeper ledger check proof-" in words(page)
    assert [(await grace_herself.get(path)).status_code for path in (address, f"{address}/proof")] == [403, 403]


async def test_what_a_receipt_or_a_person_names_is_found(site: Site, model: Repo) -> None:
    house = site.gatekeeper
    ada, olga = await site.as_("ada"), await site.as_("olga")
    await ask_for_access(ada)
    async with house.db.write() as session:
        grace = await accounts.principals.for_person(session, site.people["grace"])
        request = (await session.scalars(sa.select(AccessRequest))).one()
        await access.reject(session, request, by=grace, reason="No.")
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    async with house.db.read() as session:
        [rejected] = (await ledger.events(session, kind="access:request:reject")).items

    async def kinds(query: str) -> list[str]:
        return re.findall(r"<code class=\"small soft\">([^<]+)</code>", (await olga.get(f"/admin/ledger?{query}")).text)

    assert await kinds(f"subject={rejected.number}") == [rejected.kind]
    assert await kinds(f"subject={rejected.id}") == [rejected.kind]
    assert set(await kinds(f"subject={request.id}")) >= {"access:request:submit", rejected.kind}
    assert rejected.kind in await kinds("person=ada&kind=access:req")  # what was done to her, not by her
    assert rejected.kind in await kinds("person=grace&kind=access:req")
    assert await kinds("subject=99999999999999999999999") == []


async def test_filters_that_fit_nothing_are_shown_back_escaped(site: Site) -> None:
    olga = await site.as_("olga")

    page = (await olga.get('/admin/ledger?person="><script>alert(1)</script>')).text

    assert "<script>alert" not in page
    assert "No event fits" in words(page)


async def test_an_organization_is_made_and_who_is_invited_joins_or_declines(site: Site) -> None:
    ada = await site.as_("ada")

    made = await ada.post("/admin/organizations", data={"name": "orchard", "fullname": "The <orchard>"})
    page = (await ada.get("/admin/organizations")).text
    found = re.search(r'name="person-([0-9a-z]+)"', page)
    assert found is not None
    added = await ada.post(
        "/admin/organizations/orchard/members", data={f"person-{found[1]}": "alan", f"role-{found[1]}": "read"}
    )
    grace, alan = await site.as_("grace"), await site.as_("alan")
    stranger = await grace.post("/admin/organizations/orchard/members", data={})
    waiting = words((await ada.get("/admin/organizations")).text)
    offered = (await alan.get("/admin/organizations")).text
    accept = re.search(r"/admin/invitations/\w+/accept", offered)[0]

    assert made.status_code == added.status_code == 303
    assert "The &lt;orchard&gt;" in page
    assert "alan (read) Invited" in waiting
    assert "You are invited to orchard" in offered
    assert stranger.status_code == 403
    assert (await grace.post(accept)).status_code == 404  # it is not hers
    assert (await alan.post(accept)).status_code == 303
    assert (await alan.post(accept.replace("accept", "decline"))).status_code == 404  # answered
    assert "alan (read) Change" in words((await ada.get("/admin/organizations")).text)


async def test_members_leave_or_are_removed_and_strangers_do_neither(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        for name in ("ada", "alan"):
            await accounts.organizations.add_member(session, lab, site.people[name], Role.WRITE, by=OPERATOR)
    grace, ada = await site.as_("grace"), await site.as_("ada")
    members = "/admin/organizations/lab/members"

    assert (await ada.post(f"{members}/alan/remove")).status_code == 403
    assert (await ada.post(f"{members}/ada/remove")).status_code == 303
    assert (await grace.post(f"{members}/alan/remove")).status_code == 303
    assert (await grace.post(f"{members}/grace/remove")).status_code == 409
    assert (await grace.post(f"{members}/nobody/remove")).status_code == 404

    async with site.gatekeeper.db.read() as session:
        left = await accounts.organizations.members(session, lab)
    assert [person.name for person, _ in left] == ["grace"]


async def test_a_demoted_administrator_changes_nothing_in_a_second_tab(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        await accounts.organizations.add_member(session, lab, site.people["ada"], Role.ADMIN, by=OPERATOR)
    grace, ada = await site.as_("grace"), await site.as_("ada")
    assert (await ada.get("/admin/organizations")).status_code == 200
    ada_s, grace_s = (f"role-{lab.id}-{site.people[name].id}" for name in ("ada", "grace"))
    members = "/admin/organizations/lab/members"
    assert (await grace.post(f"{members}/ada", data={ada_s: "read"})).status_code == 303
    last = await grace.post(f"{members}/grace", data={grace_s: "read", f"safety-{lab.id}-x": "yes"})
    assert (last.status_code, f'id="f-{grace_s}-error"' in last.text) == (422, True)
    assert (await grace.post(f"{members}/alan", data={})).status_code == 404

    stale = await ada.post(
        "/admin/organizations/lab/members", data={f"person-{lab.id}": "alan", f"role-{lab.id}": "admin"}
    )

    assert stale.status_code in (403, 404)
    assert (await ada.post(f"{members}/grace", data={grace_s: "read"})).status_code == 403
    assert (await ada.post("/admin/organizations/lab/members/grace/remove")).status_code == 403


async def test_an_invitation_keeps_all_that_was_chosen_and_a_refused_one_all_that_was_typed(site: Site) -> None:
    grace, alan = await site.as_("grace"), await site.as_("alan")
    async with site.gatekeeper.db.read() as session:
        lab = await accounts.organizations.find(session, "lab")
    form = {f"person-{lab.id}": "no<body>", f"role-{lab.id}": "write", f"safety-{lab.id}": "yes"}

    refused = (await grace.post("/admin/organizations/lab/members", data=form)).text
    await grace.post("/admin/organizations/lab/members", data=form | {f"person-{lab.id}": "alan"})
    offered = (await alan.get("/admin/organizations")).text
    await alan.post(re.search(r"/admin/invitations/\w+/accept", offered)[0])
    page = (await grace.get("/admin/organizations")).text
    key = f"{lab.id}-{site.people['alan'].id}"
    ticked = re.compile(rf'id="f-safety-{key}"[^>]* checked')

    assert 'value="no&lt;body&gt;"' in refused
    assert f'id="f-person-{lab.id}-error"' in refused
    assert re.search(rf'id="f-safety-{lab.id}"[^>]* checked', refused)
    assert '<option value="write" selected>' in refused
    assert "and be in its safety team" in words(offered)
    assert "alan (write) Safety team" in words(page)
    assert ticked.search(page)
    await grace.post("/admin/organizations/lab/members/alan", data={f"role-{key}": "read", f"safety-{key}": "yes"})
    assert "alan (read) Safety team" in words((await grace.get("/admin/organizations")).text)


async def test_the_safety_team_looks_behind_the_safety_system_as_long_as_it_is_in_it(site: Site) -> None:
    repo = await site.model(stage=Stage.INTERNAL)

    async def may_look(name: str) -> bool:
        async with site.gatekeeper.db.read() as session:
            me = await accounts.principals.for_person(session, site.people[name])
            facts = await authz.load(session, me, repo)
            return bool(authz.decide(site.gatekeeper.policies, me, Action.SEE_INTERMEDIATE, facts, now()))

    grace = await site.as_("grace")
    async with site.gatekeeper.db.read() as session:
        lab = await accounts.organizations.find(session, "lab")
    key = f"{lab.id}-{site.people['ada'].id}"
    async with site.gatekeeper.db.write() as session:
        await accounts.organizations.add_member(session, lab, site.people["ada"], Role.READ, by=OPERATOR)
    assert not await may_look("ada")
    await grace.post("/admin/organizations/lab/members/ada", data={f"role-{key}": "read", f"safety-{key}": "yes"})
    assert await may_look("ada")
    assert "Safety team" in (await grace.get("/admin/organizations")).text
    await grace.post("/admin/organizations/lab/members/ada/remove")
    assert not await may_look("ada")


async def test_a_team_keeps_what_was_typed_for_it_when_something_is_wrong(site: Site, model: Repo) -> None:
    grace, page = await site.as_("grace"), "/admin/organizations/lab/teams"
    wrong = await grace.post(page, data={"name": "no <body>"})
    assert await grace.post(page, data={"name": "testers"})
    [add, give] = re.findall(r'action="([^"]+/teams/testers/(?:people|repositories))"', (await grace.get(page)).text)
    [team] = re.findall(r'name="person-([^"]+)"', (await grace.get(page)).text)
    nobody = await grace.post(add, data={f"person-{team}": "no<body>"})
    nowhere = await grace.post(give, data={f"repository-{team}": "no<where>", f"role-{team}": "write"})

    assert (wrong.status_code, nobody.status_code, nowhere.status_code) == (422, 422, 422)
    assert 'value="no &lt;body&gt;"' in wrong.text
    assert 'value="no&lt;body&gt;"' in nobody.text
    assert 'value="no&lt;where&gt;"' in nowhere.text
    assert 'value="write" selected' in nowhere.text
    assert nowhere.text.count('<details class="more" open>') == 1
