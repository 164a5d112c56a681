"""Accounts of programs: an organization makes them, nobody signs in with them, and they decide nothing."""

import re

import httpx2
import pytest
import sqlalchemy as sa

from gatekeeper import accounts, authz, tokens
from gatekeeper.authz import Action
from gatekeeper.errors import NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from gatekeeper.tokens import services
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio
PAGE = "/admin/organizations/lab/services"


@pytest.fixture
async def grace(site: Site, model: Repo) -> httpx2.AsyncClient:
    browser = await site.as_("grace")
    made = await browser.post(PAGE, data={"name": "lab-ci", "scopes": ["read", "download", "write"]})
    assert made.status_code == 303, words(made.text)
    return browser


async def service_id(site: Site) -> str:
    async with site.gatekeeper.db.read() as session:
        person = await accounts.people.find(session, "lab-ci")
        assert person is not None
        return person.id


async def asked(site: Site, path: str, secret: str, method: str = "GET", **more: object) -> httpx2.Response:
    async with site.browser() as program:
        headers = {"authorization": f"Bearer {secret}"}
        return await program.request(method, path, headers=headers, **more)  # type: ignore[arg-type]


async def credentials(site: Site, client: str, secret: str, **form: str) -> httpx2.Response:
    async with site.browser() as program:
        sent = {"grant_type": "client_credentials", **form}
        return await program.post("/oauth/token", data=sent, auth=(client, secret))


async def test_a_service_acts_with_a_token_of_its_organization_and_ends_with_its_removal(site: Site, grace) -> None:
    id = await service_id(site)
    page = await grace.post(f"{PAGE}/{id}/tokens")
    secret = re.search(r"gk_\w{44}", page.text)[0]  # type: ignore[index]
    assert (await asked(site, "/api/whoami-v2", secret)).json()["name"] == "lab-ci"
    assert (await asked(site, "/lab/emoji/resolve/main/unet/config.json", secret)).status_code == 200
    created = await asked(site, "/api/repos/create", secret, "POST", json={"name": "new", "organization": "lab"})
    assert created.status_code == 200
    own = await asked(site, "/api/repos/create", secret, "POST", json={"name": "new"})
    assert own.status_code == 403
    assert secret not in (await grace.get(PAGE)).text
    assert (await grace.post(f"{PAGE}/{id}/remove")).status_code == 303
    assert (await asked(site, "/api/whoami-v2", secret)).status_code == 401


async def test_a_service_gets_a_token_for_its_secret_and_a_new_secret_voids_the_old(site: Site, grace) -> None:
    id = await service_id(site)
    assert (await credentials(site, id, "gcs_none")).status_code == 401  # it has no secret yet
    first = re.search(r"gcs_\w{44}", (await grace.post(f"{PAGE}/{id}/secret")).text)[0]  # type: ignore[index]
    answer = await credentials(site, id, first)
    got = answer.json()
    assert (answer.status_code, got["expires_in"], got["scope"]) == (200, 3600, "download read write")
    assert "refresh_token" not in got
    assert (await asked(site, "/lab/emoji/resolve/main/unet/config.json", got["access_token"])).status_code == 200
    narrow = (await credentials(site, id, first, scope="read")).json()
    assert narrow["scope"] == "read"
    assert (await credentials(site, id, first, scope="admin")).json()["error"] == "invalid_scope"
    second = re.search(r"gcs_\w{44}", (await grace.post(f"{PAGE}/{id}/secret")).text)[0]  # type: ignore[index]
    assert (await credentials(site, id, first)).status_code == 401
    assert (await credentials(site, id, second)).status_code == 200
    async with site.browser() as program:  # without its secret it is nobody
        sent = {"grant_type": "client_credentials", "client_id": id}
        assert (await program.post("/oauth/token", data=sent)).status_code in (400, 401)
        code = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "x"}
        assert (await program.post("/oauth/token", data=code, auth=(id, second))).status_code == 400
    await grace.post(f"{PAGE}/{id}/remove")
    assert (await asked(site, "/api/whoami-v2", got["access_token"])).status_code == 401
    assert (await credentials(site, id, second)).status_code == 401


async def test_a_service_accepts_no_terms_and_reviews_nothing_whatever_its_role(site: Site, grace, model: Repo) -> None:
    id = await service_id(site)
    secret = re.search(r"gk_\w{44}", (await grace.post(f"{PAGE}/{id}/tokens")).text)[0]  # type: ignore[index]
    async with site.gatekeeper.db.read() as session:
        who = await tokens.resolve(session, secret, key=site.gatekeeper.keys.tokens)
        resource = await authz.load(session, who, model)
        for action in (Action.ACCEPT_TERMS, Action.REVIEW, Action.PROMOTE, Action.MANAGE, Action.HOLD):
            assert not authz.decide(site.gatekeeper.policies, who, action, resource, now()), action


async def test_nobody_signs_in_as_a_service_nor_makes_its_tokens_but_administrators(site: Site, grace) -> None:
    id = await service_id(site)
    login = await site.browser().post("/login", data={"name": "lab-ci", "password": ""})
    assert login.status_code != 303
    ada = await site.as_("ada")
    for path in (PAGE, f"{PAGE}/{id}/tokens", f"{PAGE}/{id}/secret", f"{PAGE}/{id}/remove"):
        assert (await ada.post(path, data={"name": "x", "scopes": "read"})).status_code == 403, path
    assert (await ada.get(PAGE)).status_code == 403
    refused = await grace.post(PAGE, data={"name": "lab-ci2", "scopes": ["review"]})
    assert refused.status_code == 422
    async with site.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        person = await accounts.people.get(session, id)
        assert lab is not None
        assert person is not None
        own = await accounts.principals.for_person(session, person)
        with pytest.raises(NotAllowed):
            await services.renew_secret(session, lab, id, key=b"k", by=own)


async def test_what_is_done_with_services_is_evidence(site: Site, grace) -> None:
    id = await service_id(site)
    await grace.post(f"{PAGE}/{id}/secret")
    await grace.post(f"{PAGE}/{id}/tokens")
    await grace.post(f"{PAGE}/{id}/remove")
    async with site.gatekeeper.db.read() as session:
        kinds = set(await session.scalars(sa.select(LedgerEvent.kind).where(LedgerEvent.subject_id == id)))
    told = {"tokens:service:create", "tokens:service:renew-secret", "tokens:service:remove"}
    assert told <= kinds


async def test_a_service_has_no_address_among_the_people(site: Site, grace) -> None:
    keeper = await site.as_("olga")
    for path in ("/admin/people", "/admin/people/lab-ci"):
        page = await keeper.get(path)
        assert (page.status_code, "service account" in words(page.text), ".invalid" in page.text) == (200, True, False)
