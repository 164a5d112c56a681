"""A person gets another name: said beforehand, done at once, and nothing that is keyed by a name survives wrongly."""

from datetime import timedelta

import httpx2
import pytest
import time_machine

from gatekeeper import access, accounts, owners, repos, tokens
from gatekeeper.access.rules import ScreeningRule
from gatekeeper.accounts import OPERATOR
from gatekeeper.community import collections
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.notices.tables import Webhook, WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos import AddFile, Repo, RepoKind
from tests.gatekeeper.web.oauth.flow import events
from tests.gatekeeper.web.site import PASSWORD, Site, words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def mine(site: Site) -> Repo:
    """A private model of ada's."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["ada"])
        repo = await repos.create(session, RepoKind.MODEL, "ada", "m", by=by, private=True)
        await repos.commit(session, repo, "main", [AddFile("README.md", b"# M\n")], summary="Upload", by=by)
        return repo


def program(site: Site, secret: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=site.app)
    return httpx2.AsyncClient(transport=transport, base_url=site.url, headers={"authorization": f"Bearer {secret}"})


async def test_a_renamed_person_keeps_what_is_theirs_and_nobody_gets_the_old_name(site: Site, mine: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        ada, space = site.people["ada"], await accounts.find_namespace(session, "ada")
        assert space is not None
        _, secret = await tokens.issue(session, ada, label="x", role="write", key=site.gatekeeper.keys.tokens)
        by = await accounts.principals.for_person(session, ada)
        await collections.create(session, space, "Emoji", by=by)
        hook = Webhook(owner_id=ada.id, url="https://example.org/hook")
        session.add(hook)
        await session.flush()
        session.add(WebhookWatch(webhook_id=hook.id, position=0, kind="user", name="ada", key=space_key("ada")))
    browser, held, stranger = await site.as_("ada"), program(site, secret), await site.as_("alan")
    path = "/ada/m/resolve/main/README.md"
    assert [(await held.get(path)).status_code for _ in range(2)] == [200, 200]  # it is in the caches now
    page = words((await browser.get("/settings/name")).text)
    assert "1 repository is found under the new name" in page
    assert "1 collection and 1 watching webhook follow" in page

    for wrong in ("alan", "lab", "x", "ada", "0lga"):
        sent = await browser.post("/settings/name", data={"name": wrong})
        assert (sent.status_code, 'href="#f-name"' in sent.text) == (422, True), wrong
    done = await browser.post("/settings/name", data={"name": "countess"})
    assert (done.status_code, done.headers["location"]) == (303, "/settings?done=person-renamed")

    assert "countess" in words((await browser.get("/settings")).text)  # the same session
    assert (await held.get("/api/whoami-v2")).json()["name"] == "countess"
    moved = await held.get(path)
    assert (moved.status_code, moved.headers["location"]) == (307, "/countess/m/resolve/main/README.md")
    assert (await held.get(moved.headers["location"])).status_code == 200
    assert (await stranger.get("/ada/m")).status_code == (await stranger.get("/ada/none")).status_code == 404
    assert (await held.post("/api/repos/create", json={"name": "new", "organization": "ada"})).status_code == 403
    assert (await held.post("/api/repos/create", json={"name": "new"})).json()["url"].endswith("/countess/new")
    assert (await held.get("/api/users/ada/overview")).status_code == 404
    for name, status in (("ada", 401), ("countess", 303)):
        assert (await site.browser().post("/login", data={"name": name, "password": PASSWORD})).status_code == status
    async with site.gatekeeper.db.write() as session:
        for taken in ("ada", "ADA", "a-da"):
            with pytest.raises(Conflict):
                await accounts.people.add(session, taken, email="new@example.org", by=OPERATOR)
            with pytest.raises(Conflict):
                await owners.rename(session, await session.merge(site.people["alan"]), taken, by=OPERATOR)
        person = await accounts.people.get(session, ada.id)
        assert person is not None
        after = await owners.named(session, person)
        assert (str(after.repositories), after.collections, after.watches) == ("countess/m, countess/new", 1, 1)
    [event] = [event for event in await events(site) if event.kind == "accounts:person:rename"]
    assert (event.actor_id, event.subject_id, event.body) == (ada.id, ada.id, {})  # evidence knows ids, not names

    assert (await browser.post("/settings/name", data={"name": "Ada"})).status_code == 303  # theirs to take back
    assert (await held.get("/api/models/ada/m")).json()["id"] == "Ada/m"
    assert (await held.get("/api/models/countess/m")).status_code == 307


async def test_only_the_person_renames_themselves_and_only_right_after_signing_in(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        ada, alan = site.people["ada"], site.people["alan"]
        _, secret = await tokens.issue(session, ada, label="x", role="write", key=site.gatekeeper.keys.tokens)
        with pytest.raises(NotAllowed):
            await owners.rename(session, ada, "other", by=await accounts.principals.for_person(session, alan))
        held = await tokens.resolve(session, secret, key=site.gatekeeper.keys.tokens)
        with pytest.raises(NotAllowed):
            await owners.rename(session, ada, "other", by=held)
    assert (await program(site, secret).post("/settings/name", data={"name": "other"})).status_code == 403
    browser = await site.as_("ada")
    with time_machine.travel(now() + timedelta(hours=2), tick=False):
        again = await browser.post("/settings/name", data={"name": "other"})
        assert again.headers["location"].startswith("/login?again=1")


async def test_nobody_renames_themselves_out_of_a_rule_that_names_them(site: Site, mine: Repo) -> None:
    rule = ScreeningRule(id="r", reason="No.", then="flag", when={"namespaces": ["Ada"]})
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["ada"])
        await owners.rename(session, await session.merge(site.people["ada"]), "countess", by=by)
        repo = await session.get_one(Repo, mine.id)
        names = await access.screening.names_of(session, repo)
    facts = access.screening.Facts({}, frozenset(), "example.org", 1, "gated", names)
    assert access.screening.judge((rule,), facts).is_flagged
