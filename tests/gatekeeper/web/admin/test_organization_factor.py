"""An organization asks its members for a second factor: until somebody has one, the membership counts for nothing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import accounts, repos, tokens
from gatekeeper.access import deciding
from gatekeeper.accounts import OPERATOR, Role
from gatekeeper.accounts.factors import Totp
from gatekeeper.errors import NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.releases import approvals
from gatekeeper.repos import Repo, RepoKind, team_rights
from gatekeeper.tokens import services
from tests.gatekeeper.web.admin.test_organization_change import program
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio
PAGE = "/admin/organizations/lab/second-factor"
FILE = "/datasets/lab/pictures/resolve/main/README.md"
BANNER = "An organization of yours asks for a second factor"


@pytest.fixture
async def pictures(site: Site) -> Repo:
    """A private data set of the lab, in which alan writes and olga, who runs the hub, is nobody."""
    repo = await site.plain(RepoKind.DATASET, "pictures")
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        await accounts.organizations.add_member(session, lab, site.people["alan"], Role.WRITE, by=OPERATOR)
        repo = await session.merge(repo)
        await repos.update_settings(session, repo, private=True, by=OPERATOR)
    return repo


async def enrol(site: Site, name: str, *, confirmed: bool = True) -> None:
    async with site.gatekeeper.db.write() as session:
        at = now() if confirmed else None
        await session.merge(Totp(person_id=site.people[name].id, sealed="-", confirmed_at=at))


async def ask(site: Site, *, asks: bool = True) -> None:
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        await accounts.memberships.ask_factor(session, lab, asks=asks, by=OPERATOR)


async def test_members_without_one_lose_what_comes_by_membership_until_they_have_one(
    site: Site, pictures: Repo
) -> None:
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        _, secret = await tokens.issue(session, site.people["alan"], label="x", role="write", key=key)
    grace, alan, held = await site.as_("grace"), await site.as_("alan"), program(site, secret)
    assert [(await held.get(FILE)).status_code for _ in range(2)] == [200, 200]  # it is in the caches now
    assert (await held.get("/api/whoami-v2")).json()["orgs"][0]["name"] == "lab"

    assert words((await grace.get(PAGE)).text).count("alan") == 1
    refused = await grace.post(PAGE, data={"asks": "yes"})
    assert (refused.status_code, "You have no second factor yourself" in words(refused.text)) == (409, True)
    await enrol(site, "grace")
    assert (await grace.post(PAGE, data={"asks": "yes"})).status_code == 303
    assert "counts for nothing until they set one up: alan" in words((await grace.get(PAGE)).text)

    for browser in (alan, held):
        assert (await browser.get(FILE)).status_code == 404
        assert (await browser.get("/api/datasets/lab/pictures")).status_code == 404
        sent = {"name": "new", "organization": "lab", "type": "dataset"}
        assert (await browser.post("/api/repos/create", json=sent)).status_code == 403
    assert "lab/pictures" not in (await alan.get("/datasets")).text
    assert [row["id"] for row in (await held.get("/api/datasets?author=lab")).json()] == []
    assert (await held.get("/api/whoami-v2")).json()["orgs"] == []
    assert BANNER in words((await alan.get("/models")).text)
    assert "lab asks its members for a second factor" in words((await alan.get("/admin/organizations")).text)
    assert "Asked for by lab" in words((await alan.get("/settings/second-factor")).text)
    assert (await grace.get(FILE)).status_code == 200

    await enrol(site, "alan", confirmed=False)  # begun is not done
    assert (await held.get(FILE)).status_code == 404
    await enrol(site, "alan")
    assert (await held.get(FILE)).status_code == (await alan.get(FILE)).status_code == 200
    assert BANNER not in words((await alan.get("/models")).text)
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.delete(Totp).where(col(Totp.person_id) == site.people["alan"].id))
    assert (await held.get(FILE)).status_code == 404
    assert (await grace.post(PAGE, data={})).status_code == 303  # asked for no more
    assert (await held.get(FILE)).status_code == 200


async def test_administrators_teams_and_invitations_of_those_without_one_count_for_nothing_and_services_go_on(
    site: Site, pictures: Repo
) -> None:
    house = site.gatekeeper
    ada, alan = site.people["ada"], site.people["alan"]
    async with house.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        by = await accounts.principals.for_person(session, site.people["grace"])
        for person, role in ((alan, Role.ADMIN), (ada, Role.GUEST)):
            await accounts.organizations.add_member(session, lab, person, role, by=by)
        team = await accounts.teams.create(session, lab, "night", by=by)
        await accounts.teams.add(session, lab, team, ada, by=by)
        await team_rights.give(session, lab, team, await session.merge(pictures), Role.ADMIN, by=by)
        invited = await accounts.people.add(session, "eve", email="eve@example.org", by=OPERATOR)
        stale = await accounts.principals.for_person(session, alan)
        offer = await accounts.offers.make(session, lab, invited, Role.READ, by=stale)
        robot = await services.create(session, lab, "robot", scopes=["read", "download"], by=by)
        ends = now() + timedelta(days=3)
        _, secret = await services.issue(
            session, lab, robot.person.id, label="x", expires_at=ends, max_days=90, key=house.keys.tokens, by=by
        )
    await ask(site)
    assert (await program(site, secret).get(FILE)).status_code == 200
    assert (await (await site.as_("ada")).get(FILE)).status_code == 404
    async with house.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        repo = await session.merge(pictures)
        assert await approvals.maintainers(session, repo) == frozenset()
        assert await deciding.reviewers(session, repo) == {site.people["olga"].id}
        with pytest.raises(NotAllowed):  # whoever still holds what was true a moment ago
            await accounts.organizations.add_member(session, lab, invited, Role.ADMIN, by=stale)
        with pytest.raises(NotAllowed):
            await tokens.approval.require_admin(session, lab, by=stale)
        them = await accounts.principals.for_person(session, await session.merge(invited))
        with pytest.raises(NotFound):
            await accounts.offers.accept(session, offer.id, by=them)
    await enrol(site, "ada")
    await enrol(site, "alan")
    async with house.db.read() as session:
        assert await approvals.maintainers(session, await session.merge(pictures)) == {ada.id, alan.id}


async def test_only_an_administrator_of_it_in_person_asks_for_it(site: Site, pictures: Repo) -> None:
    await enrol(site, "grace")
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        _, secret = await tokens.issue(session, site.people["grace"], label="x", role="write", key=key)
        lab = await accounts.organizations.find(session, "lab")
        assert lab is not None
        by = await tokens.resolve(session, secret, key=key)
        with pytest.raises(NotAllowed):
            await accounts.memberships.ask_factor(session, lab, asks=True, by=by)
    for name in ("alan", "ada", "olga"):
        browser = await site.as_(name)
        assert (await browser.get(PAGE)).status_code == 403
        assert (await browser.post(PAGE, data={"asks": "yes"})).status_code == 403
    grace = program(site, secret)
    assert (await grace.post(PAGE, data={"asks": "yes"})).status_code == 403
