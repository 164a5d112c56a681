"""An organization gets another name, or ends: said beforehand, done at once, and nothing is left to inherit."""

from datetime import timedelta

import httpx2
import pytest
import time_machine

from gatekeeper import accounts, owners, repos, tokens
from gatekeeper.accounts import OPERATOR, Reach, Role
from gatekeeper.community import collections
from gatekeeper.errors import Conflict, NotAllowed, NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.notices.tables import Webhook, WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos import RepoKind
from gatekeeper.tokens import approval, services
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio
LAB = "/admin/organizations/lab"


def program(site: Site, secret: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=site.app)
    return httpx2.AsyncClient(transport=transport, base_url=site.url, headers={"authorization": f"Bearer {secret}"})


async def test_a_renamed_organization_is_found_under_both_names_and_nobody_gets_the_old_one(site: Site) -> None:
    data = await site.plain(RepoKind.DATASET, "pictures")
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        reach = Reach(owners=frozenset({lab.id}))
        key = site.gatekeeper.keys.tokens
        _, secret = await tokens.issue(session, site.people["grace"], label="x", role="write", reach=reach, key=key)
    grace, held = await site.as_("grace"), program(site, secret)
    page = await grace.get(f"{LAB}/change")
    assert "1 repository is found under the new name" in words(page.text)
    assert "lab/pictures" in words(page.text)  # what stands in the way of deleting it

    for wrong in ("ada", "x", "lab"):
        sent = await grace.post(f"{LAB}/rename", data={"name": wrong})
        assert sent.status_code == 422, wrong
        assert 'href="#f-name"' in sent.text
    assert (await grace.post(f"{LAB}/rename", data={"name": "l-a.b"})).status_code == 303  # like its own name: no harm
    assert (await grace.post("/admin/organizations/l-a.b/rename", data={"name": "atelier"})).status_code == 303
    assert (await held.get("/api/datasets/atelier/pictures")).json()["id"] == "atelier/pictures"
    for old in ("lab", "l-a.b"):
        moved = await held.get(f"/api/datasets/{old}/pictures")
        assert (moved.status_code, moved.headers["location"]) == (307, "/api/datasets/atelier/pictures")
        refused = await held.post("/api/repos/create", json={"name": "new", "organization": old})
        assert refused.status_code == 403
    made = await held.post("/api/repos/create", json={"name": "new", "organization": "atelier"})
    assert made.status_code == 200, made.text
    async with site.gatekeeper.db.write() as session:
        for taken in ("lab", "LAB", "l-a.b", "atelier"):
            with pytest.raises(Conflict):
                await accounts.organizations.create(session, taken, by=OPERATOR)
        assert (await repos.by_id(session, data.id)).key == "datasets/atelier/pictures"


async def test_what_is_called_after_an_organization_follows_its_name(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        space = await accounts.find_namespace(session, "lab")
        assert lab is not None
        assert space is not None
        by = await accounts.principals.for_person(session, site.people["grace"])
        await collections.create(session, space, "Emoji", by=by)
        hook = Webhook(owner_id=by.person_id, url="https://example.org/hook")
        session.add(hook)
        await session.flush()
        session.add(WebhookWatch(webhook_id=hook.id, position=0, kind="org", name="lab", key=space_key("lab")))
        before = await owners.foresee(session, lab)
        assert (before.collections, before.watches, before.members) == (1, 1, 1)
        await owners.rename(session, lab, "atelier", by=by)
        after = await owners.foresee(session, lab)
        assert (after.collections, after.watches, after.members) == (1, 1, 1)


async def test_a_deleted_organization_leaves_no_rights_behind(site: Site) -> None:
    key = site.gatekeeper.keys.tokens
    repo = await site.plain(RepoKind.MODEL, "old")
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        by = await accounts.principals.for_person(session, site.people["grace"])
        await accounts.organizations.add_member(session, lab, site.people["alan"], Role.WRITE, by=by)
        await accounts.offers.make(session, lab, site.people["ada"], Role.ADMIN, by=by)
        team = await accounts.teams.create(session, lab, "night", by=by)
        await accounts.teams.add(session, lab, team, site.people["alan"], by=by)
        robot = await services.create(session, lab, "robot", scopes=["read"], by=by)
        ends = now() + timedelta(days=3)
        _, service = await services.issue(
            session, lab, robot.person.id, label="x", expires_at=ends, max_days=90, key=key, by=by
        )
        _, limited = await tokens.issue(
            session, site.people["alan"], label="x", reach=Reach(owners=frozenset({lab.id})), key=key
        )
        _, wide = await tokens.issue(session, site.people["alan"], label="y", key=key)
        await approval.set_policy(session, lab, needs_approval=True, max_days=None, by=by)
    grace = await site.as_("grace")
    refused = await grace.post(f"{LAB}/delete", data={"confirm": "lab"})
    assert refused.status_code == 409
    assert "Transfer or delete them first" in words(refused.text)
    async with site.gatekeeper.db.write() as session:
        await repos.catalogue.delete(session, await session.get_one(repos.Repo, repo.id), by=by)
    assert (await grace.post(f"{LAB}/delete", data={"confirm": "labs"})).status_code == 422
    assert (await grace.post(f"{LAB}/delete", data={"confirm": "lab"})).status_code == 303

    assert (await grace.get(f"{LAB}/change")).status_code == 404
    assert "lab" not in words((await (await site.as_("olga")).get("/admin/organizations")).text).split()
    assert "You are invited" not in words((await (await site.as_("ada")).get("/admin/organizations")).text)
    for secret in (service, limited):
        assert (await program(site, secret).get("/api/whoami-v2")).status_code == 401
    assert (await program(site, wide).get("/api/whoami-v2")).json()["orgs"] == []
    async with site.gatekeeper.db.write() as session:
        for name in ("grace", "alan"):
            person = await accounts.people.get(session, site.people[name].id)
            assert (await accounts.principals.for_person(session, person)).organizations == {}
        with pytest.raises(Conflict):
            await accounts.organizations.create(session, "lab", by=OPERATOR)
        with pytest.raises(NotSignedIn):
            await tokens.resolve(session, service, key=key)


async def test_only_an_administrator_in_person_and_recently_signed_in_renames_or_deletes(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        by = await accounts.principals.for_person(session, site.people["grace"])
        await accounts.organizations.add_member(session, lab, site.people["alan"], Role.WRITE, by=by)
        _, secret = await tokens.issue(
            session, site.people["grace"], label="x", role="write", key=site.gatekeeper.keys.tokens
        )
        with pytest.raises(NotAllowed):
            await owners.delete(session, lab, by=await accounts.principals.for_person(session, site.people["alan"]))
    alan, grace = await site.as_("alan"), await site.as_("grace")
    for act, sent in (("rename", {"name": "atelier"}), ("delete", {"confirm": "lab"})):
        assert (await alan.post(f"{LAB}/{act}", data=sent)).status_code == 403
        assert (await program(site, secret).post(f"{LAB}/{act}", data=sent)).status_code == 403
        with time_machine.travel(now() + timedelta(hours=2), tick=False):
            again = await grace.post(f"{LAB}/{act}", data=sent)
            assert again.headers["location"].startswith("/login?again=1")
    assert (await grace.get(f"{LAB}/change")).status_code == 200
