"""Moves, copies and rewriting of a repository that is released in stages."""

import pytest

from gatekeeper import accounts, repos, tokens
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, Repo
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio
LAB = "/api/models/lab/emoji"


async def bearer(site: Site, name: str) -> dict[str, str]:
    async with site.gatekeeper.db.write() as session:
        _, secret = await tokens.issue(
            session, site.people[name], label="test", role="write", key=site.gatekeeper.keys.tokens
        )
    return {"authorization": f"Bearer {secret}"}


async def write_draft(site: Site, repo: Repo) -> str:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        return await repos.commit(session, repo, "main", [AddFile("draft.txt", b"not yet")], summary="Draft", by=by)


async def test_a_copy_of_an_open_release_holds_what_is_released_and_is_private(site: Site) -> None:
    repo = await site.model("open", stage=Stage.OPEN)
    await write_draft(site, repo)
    ada = await bearer(site, "ada")
    async with site.browser() as browser:
        path = "/api/models/lab/open"
        answer = await browser.post(f"{path}/duplicate", json={"repository": "ada/copy"}, headers=ada)
        if answer.status_code == 403:  # the license must be accepted first
            stands = (await browser.get(f"{path}/access", headers=ada)).json()
            fields = {"Affiliation": "University", "Country": "DE", "I agree to be kind": True}
            accept = [text["sha256"] for text in stands["terms"]]
            asked = await browser.post(f"{path}/access", json={"accept": accept, "fields": fields}, headers=ada)
            assert asked.status_code == 201, asked.text
            answer = await browser.post(f"{path}/duplicate", json={"repository": "ada/copy"}, headers=ada)
        assert answer.status_code == 200, answer.text
        info = (await browser.get("/api/models/ada/copy", headers=ada)).json()
        names = [file["rfilename"] for file in info["siblings"]]
        assert info["private"] is True
        assert "unet/config.json" in names
        assert "draft.txt" not in names
        commits = (await browser.get("/api/models/ada/copy/commits/main", headers=ada)).json()
        assert len(commits) == 1


async def test_what_is_gated_is_not_copied_and_a_draft_is_not_even_known(site: Site, model: Repo) -> None:
    await site.model("draft", stage=Stage.DRAFT)
    ada = await bearer(site, "ada")
    async with site.browser() as browser:
        refused = await browser.post(f"{LAB}/duplicate", json={"repository": "ada/copy"}, headers=ada)
        assert (refused.status_code, refused.headers["x-error-code"]) == (403, "GatedRepo")
        hidden = await browser.post("/api/models/lab/draft/duplicate", json={"repository": "ada/c"}, headers=ada)
        assert (hidden.status_code, hidden.headers["x-error-code"]) == (404, "RepoNotFound")
        assert (await browser.get("/api/models/ada/copy", headers=ada)).status_code == 404


async def test_a_released_commit_is_not_squashed_away(site: Site, model: Repo) -> None:
    await write_draft(site, model)
    grace = await bearer(site, "grace")
    async with site.browser() as browser:
        refused = await browser.post(f"{LAB}/super-squash/main", json={"message": "One"}, headers=grace)
        assert refused.status_code == 409
        releases = (await browser.get(f"{LAB}/releases", headers=grace)).json()
        assert refused.json()["details"]["release"] in [row["id"] for row in releases]
        commits = (await browser.get(f"{LAB}/commits/main", headers=grace)).json()
        assert commits[0]["title"] == "Draft"


async def test_a_moved_release_is_found_by_those_who_may_know_it_and_the_old_owner_has_no_right(
    site: Site, model: Repo
) -> None:
    draft = await site.model("draft", stage=Stage.DRAFT)
    grace, ada = await bearer(site, "grace"), await bearer(site, "ada")
    async with site.browser() as browser:
        for name in ("emoji", "draft"):
            moved = await browser.post(
                "/api/repos/move",
                json={"fromRepo": f"lab/{name}", "toRepo": f"grace/{name}", "type": "model"},
                headers=grace,
            )
            assert moved.status_code == 200, moved.text
        seen = await browser.get(LAB, headers=ada)
        assert (seen.status_code, seen.headers["location"]) == (307, "/api/models/grace/emoji")
        hidden = await browser.get("/api/models/lab/draft", headers=ada)
        missing = await browser.get("/api/models/lab/never", headers=ada)
        assert (hidden.status_code, hidden.json()) == (missing.status_code, missing.json())
        assert "location" not in hidden.headers
    async with site.gatekeeper.db.read() as session:
        found = await repos.by_id(session, draft.id)
        by = await accounts.principals.for_person(session, site.people["grace"])
        assert found is not None
        assert found.owner_organization_id is None
        assert repos.role_of(by, found) is not None
