"""Tokens for some repositories: made on the page, told by whoami, kept at every door, and approved by organizations."""

import re
from typing import Any

import httpx2
import pytest

from gatekeeper import accounts, repos
from gatekeeper.repos import AddFile, Repo, RepoKind
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def private(site: Site) -> tuple[Repo, Repo]:
    """Two private repositories of the lab, with a file in each."""
    made = []
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        for name in ("first", "second"):
            repo = await repos.create(session, RepoKind.MODEL, "lab", name, by=by, private=True)
            await repos.commit(session, repo, "main", [AddFile("config.json", b"{}")], summary="Upload", by=by)
            made.append(repo)
    return made[0], made[1]


async def make(browser: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    sent = {"label": "ci", "role": "write", "days": "30", "limit": "some"} | fields
    return await browser.post("/settings/tokens", data=sent)


def secret_in(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, words(answer.text)
    found = re.search(r"gk_\w{44}", answer.text)
    assert found
    return found[0]


def program(site: Site, secret: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=site.app)
    return httpx2.AsyncClient(transport=transport, base_url=site.url, headers={"authorization": f"Bearer {secret}"})


async def test_a_token_for_one_repository_works_there_and_nowhere_else(site: Site, private: tuple[Repo, Repo]) -> None:
    grace = await site.as_("grace")
    made = await make(grace, repositories="lab/first\r\n")
    held = program(site, secret_in(made))

    assert (await held.get("/api/models/lab/first")).status_code == 200
    assert (await held.get("/lab/first/resolve/main/config.json")).status_code == 200
    hidden = await held.get("/api/models/lab/second")
    missing = await held.get("/api/models/lab/nothing")
    assert (hidden.status_code, hidden.json()["error"]) == (404, missing.json()["error"])
    assert (await held.get("/lab/second.git/info/refs?service=git-upload-pack")).status_code in (401, 404)
    assert (await held.get("/lab/first.git/info/refs?service=git-upload-pack")).status_code == 200
    assert (await held.get("/api/models/lab/second/xet-read-token/main")).status_code == 404
    batch = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": "0" * 64, "size": 1}]}
    assert (await held.post("/lab/second.git/info/lfs/objects/batch", json=batch)).status_code == 404
    assert [one["id"] for one in (await held.get("/api/models?author=lab")).json()] == ["lab/first"]
    for path in ("/api/receipts", "/api/settings/webhooks", "/api/generations"):
        assert (await held.get(path)).headers["x-error-code"] == "NotAllowed", path
    assert (await held.post("/api/repos/create", json={"name": "new", "organization": "lab"})).status_code == 403
    assert "Only lab/first" in words((await grace.get("/settings/tokens")).text)


async def test_whoami_says_what_the_token_covers_in_the_public_hubs_shape(site: Site, private) -> None:
    grace = await site.as_("grace")
    made = await make(grace, role="read", scopes=["read", "download"], repositories="lab/first")
    told = (await program(site, secret_in(made)).get("/api/whoami-v2")).json()["auth"]["accessToken"]
    assert told["role"] == "fineGrained"
    assert told["fineGrained"]["scoped"] == [
        {
            "entity": {"_id": private[0].id, "type": "model", "name": "lab/first"},
            "permissions": ["repo.content.read"],
        }
    ]
    assert told["fineGrained"]["canReadGatedRepos"] is False
    plain = await make(grace, label="plain", limit="all")
    assert (await program(site, secret_in(plain)).get("/api/whoami-v2")).json()["auth"]["accessToken"][
        "role"
    ] == "write"


async def test_a_repository_that_one_may_not_see_and_one_that_is_not_there_read_the_same(site: Site, private) -> None:
    ada = await site.as_("ada")
    hidden = await make(ada, repositories="lab/first")
    missing = await make(ada, repositories="lab/nothing")
    assert hidden.status_code == missing.status_code == 422
    assert words(hidden.text).replace("lab/first", "X") == words(missing.text).replace("lab/nothing", "X")
    assert 'href="#f-repositories"' in hidden.text


async def test_limits_without_content_or_to_others_organizations_are_refused_with_the_form_kept(site: Site) -> None:
    ada = await site.as_("ada")
    async with site.gatekeeper.db.read() as session:
        lab = await accounts.organizations.find(session, "lab")
    assert lab is not None
    for fields in ({}, {"owners": [lab.id]}):
        answer = await make(ada, **fields)
        assert answer.status_code == 422
        assert re.search(r'id="f-limit-some"[^>]* checked', answer.text)


async def test_an_organization_demands_approval_and_its_word_binds_at_once(site: Site, private) -> None:
    grace = await site.as_("grace")
    held = program(site, secret_in(await make(grace, limit="all")))
    path = "/admin/organizations/lab/tokens"
    assert (await held.get("/lab/first/resolve/main/config.json")).status_code == 200

    assert (await grace.post(path, data={"needs_approval": "yes", "max_days": ""})).status_code == 303

    assert (await held.get("/lab/first/resolve/main/config.json")).status_code == 404
    refused = await held.post("/api/repos/create", json={"name": "new", "organization": "lab"})
    assert refused.status_code == 403
    assert "approved" in refused.json()["error"]
    assert "Not approved" in words((await grace.get("/settings/tokens")).text)
    page = (await grace.get(path)).text
    assert "Waits for approval" in words(page)
    address = page[page.index(f'action="{path}/') + 8 :].split('"', 1)[0]
    assert (await (await site.as_("ada")).post(address, data={"verdict": "approved"})).status_code == 403
    assert (await grace.post(address, data={"verdict": "approved"})).status_code == 303
    assert (await held.get("/lab/first/resolve/main/config.json")).status_code == 200
    assert (await grace.post(address, data={"verdict": "refused"})).status_code == 303
    assert (await held.get("/lab/first/resolve/main/config.json")).status_code == 404


async def test_only_administrators_see_the_tokens_of_an_organization_and_never_a_secret(site: Site) -> None:
    grace, ada = await site.as_("grace"), await site.as_("ada")
    secret = secret_in(await make(grace, limit="all", label="mine alone"))
    path = "/admin/organizations/lab/tokens"
    page = await grace.get(path)
    assert "mine alone of grace" in words(page.text)
    assert secret not in page.text
    assert secret[-4:] not in words(page.text)
    assert (await ada.get(path)).status_code == 403
    assert (await ada.post(path, data={"needs_approval": "yes"})).status_code == 403
    assert (await grace.post(path, data={"max_days": "soon"})).status_code == 422
    assert (await grace.post(path, data={"max_days": "0"})).status_code == 422
    assert (await program(site, secret).get(path)).status_code == 403
