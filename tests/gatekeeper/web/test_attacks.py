"""What somebody tries who wants more than they may have. `docs/security.md` names these tests."""

import asyncio
import hashlib

import httpx2
import pytest
import sqlalchemy as sa

from gatekeeper import accounts, releases, repos, tokens
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import AddFile, Repo
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.web.site import MODEL, PASSWORD, URL, Site

pytestmark = pytest.mark.anyio


async def token_of(site: Site, name: str, *, role: str = "write") -> str:
    async with site.gatekeeper.db.write() as session:
        _, secret = await tokens.issue(
            session, site.people[name], label="attack", role=role, key=site.gatekeeper.keys.tokens
        )
    return secret


def client(site: Site, secret: str = "") -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site.app), base_url=URL, headers=headers)


async def draft_after(site: Site, repo: Repo, *files: AddFile, summary: str) -> str:
    """A commit on main that nobody released."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        made = await repos.commit(session, repo, "main", files, summary=summary, by=by)
        await releases.take_note(session, repo, made, branch="main", by=by)
    return made


async def test_a_hidden_revision_is_answered_like_one_that_does_not_exist(site: Site, model: Repo) -> None:
    hidden = await draft_after(site, model, AddFile("secret.txt", b"x"), summary="Not yet")
    missing = "0123456789" * 4
    paths = (
        "/api/models/lab/emoji/revision/{}",
        "/api/models/lab/emoji/tree/{}",
        "/api/models/lab/emoji/commits/{}",
        "/lab/emoji/resolve/{}/README.md",
        "/lab/emoji/resolve/{}/secret.txt",
        "/lab/emoji/tree/{}",
        "/lab/emoji/blob/{}/secret.txt",
    )
    async with client(site, await token_of(site, "ada")) as ada:
        for path in paths:
            told = []
            for revision in (hidden, hidden[:9], missing, missing[:9]):
                answer = await ada.get(path.format(revision), headers={"X-Request-Id": "same"})
                told.append((answer.status_code, answer.text.replace(revision, "R"), sorted(answer.headers)))
                assert answer.status_code == 404
                assert answer.headers["x-error-code"] == "RevisionNotFound"
            assert all(each == told[0] for each in told), path


async def test_an_order_for_a_hidden_revision_is_answered_like_one_for_none(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    hidden = await draft_after(site, model, AddFile("secret.txt", b"x"), summary="Not yet")
    async with client(site, await token_of(site, "ada")) as ada:
        told = []
        for revision in (hidden, "0123456789" * 4):
            order = {"model": "lab/emoji", "revision": revision, "prompt": "a red apple"}
            answer = await ada.post("/api/generations", json=order)
            told.append((answer.status_code, answer.text.replace(revision, "R")))
    assert told[0] == told[1]
    assert told[0][0] == 404


async def test_a_released_revisions_file_list_tells_nothing_of_hidden_commits(site: Site, model: Repo) -> None:
    await draft_after(site, model, AddFile("extra.txt", b"x"), summary="Secret project Bluebird")
    shown = await draft_after(site, model, AddFile("shown.txt", b"x"), summary="Shown")
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        ladder = Ladder.load()
        proposal = await releases.propose(session, model, shown, Stage.GATED, by=by, ladder=ladder)
        await releases.approve_proposal(session, proposal, by=by)
        await releases.promote(session, proposal, by=by, ladder=ladder)
    async with client(site, await token_of(site, "ada")) as ada:
        listing = await ada.get(f"/api/models/lab/emoji/tree/{shown}", params={"expand": "true"})
        paths = {"paths": ["extra.txt", "shown.txt"], "expand": "true"}
        chosen = await ada.post(f"/api/models/lab/emoji/paths-info/{shown}", data=paths)
        commits = await ada.get(f"/api/models/lab/emoji/commits/{shown}")
    assert "Shown" in listing.text
    for answer in (listing, chosen, commits):
        assert answer.status_code == 200
        assert "Bluebird" not in answer.text


@pytest.mark.parametrize("other", ["", "Bearer gk_nonsense"])
async def test_a_second_authorization_header_puts_nothing_in_the_cache(site: Site, model: Repo, other: str) -> None:
    path = f"{MODEL}/resolve/main/unet/config.json"
    async with client(site) as anybody:
        good = f"Bearer {await token_of(site, 'grace')}"
        for _ in range(2):
            both = await anybody.get(path, headers=[("Authorization", good), ("Authorization", other)])
            assert both.status_code == 200
        alone = await anybody.get(path, headers={"Authorization": other} if other else {})
    assert alone.status_code == 401


async def test_a_text_of_another_repository_is_not_given_by_its_digest(site: Site, model: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        private = await repos.create(session, repos.RepoKind.MODEL, "lab", "private", by=by, private=True)
        files = [AddFile("LICENSE", b"Only for our eyes.\n"), AddFile("README.md", b"---\nlicense: other\n---\n")]
        made = await repos.commit(session, private, "main", files, summary="x", by=by)
        await releases.take_note(session, private, made, branch="main", by=by)
    digest = hashlib.sha256(b"Only for our eyes.\n").hexdigest()
    grace, ada = await site.as_("grace"), await site.as_("ada")
    assert (await grace.get(f"/lab/private/terms/{digest}")).status_code == 200
    for path in (f"{MODEL}/terms/{digest}", f"/api/models{MODEL}/terms/{digest}"):
        assert (await ada.get(path)).status_code == 404


async def test_an_upload_address_dies_with_the_token_that_asked_for_it(site: Site, model: Repo) -> None:
    content = b"\0weights"
    oid = hashlib.sha256(content).hexdigest()
    secret = await token_of(site, "grace")
    wanted = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
    async with client(site, secret) as grace:
        answer = await grace.post("/lab/emoji.git/info/lfs/objects/batch", json=wanted)
    address = answer.json()["objects"][0]["actions"]["upload"]["href"]
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        [token] = await tokens.list_for(session, by.person_id or "")
        await tokens.revoke(session, token.id, by=by)
    async with client(site) as thief:
        assert (await thief.put(address.removeprefix(URL), content=content)).status_code in (401, 403)


async def test_a_promotion_is_decided_about_the_revision_it_names(site: Site, model: Repo) -> None:
    fixed = await draft_after(site, model, AddFile("fixed.txt", b"x"), summary="Fixed")
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        best = next(row for row in await releases.list_for(session, model) if row.commit_id != fixed)
        await releases.hold(session, best, by=by, reason="An incident.")
    grace = await site.as_("grace")
    path = f"{MODEL}/releases/{{}}/propose"
    allowed = await grace.post(path.format(fixed), data={f"target-{fixed[:10]}": "gated", f"note-{fixed[:10]}": "x"})
    refused = await grace.post(path.format(best.commit_id), data={f"target-{best.commit_id[:10]}": "open"})
    assert allowed.status_code == 303, allowed.text
    assert refused.status_code == 403


async def test_a_stolen_session_cannot_guess_the_password(site: Site) -> None:
    thief = await site.as_("ada")
    for number in range(10):
        guess = {"current": f"guess number {number}", "password": "the thief's own one"}
        assert (await thief.post("/settings/password", data=guess)).status_code == 422
    right = {"current": PASSWORD, "password": "the thief's own one"}
    assert (await thief.post("/settings/password", data=right)).status_code == 429


async def test_no_transaction_is_open_while_a_password_is_hashed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await site.as_("ada")
    verify = accounts.passwords.verify_password

    async def write_meanwhile(stored: str | None, password: str) -> bool:
        async with asyncio.timeout(5), site.gatekeeper.db.write() as session:
            await session.execute(sa.text("SELECT 1"))
        return await verify(stored, password)

    monkeypatch.setattr(accounts.passwords, "verify_password", write_meanwhile)
    fresh = {"current": PASSWORD, "password": "another long passphrase"}
    assert (await ada.post("/settings/password", data=fresh)).status_code == 303


async def test_under_tls_the_cookie_is_bound_to_this_host_and_to_tls(site: Site) -> None:
    house = site.gatekeeper
    house.settings = house.settings.model_copy(update={"public_url": "https://hub.test"})
    signed_in = await site.browser().post("/login", data={"name": "ada", "password": PASSWORD})
    name, _, flags = signed_in.headers["set-cookie"].partition("=")
    assert name == "__Host-gatekeeper"
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {flag.strip().lower() for flag in flags.split(";")}
    assert "domain" not in flags.lower()


@pytest.mark.parametrize("path", ["/admin/people", "/admin/ledger", "/settings/password", "/settings/tokens"])
async def test_a_token_opens_no_page_that_is_for_a_person_at_a_browser(site: Site, path: str) -> None:
    for name in ("olga", "ada"):
        async with client(site, await token_of(site, name)) as program:
            answer = await program.post(path, data={"label": "x", "role": "write", "days": "30"})
            assert answer.status_code == (405 if path == "/admin/ledger" else 403)
            assert (await program.get("/admin/ledger")).status_code == 403


async def test_a_read_token_changes_nothing(site: Site, model: Repo) -> None:
    async with client(site, await token_of(site, "grace", role="read")) as program:
        for path in (
            f"{MODEL}/releases/main/hold",
            f"{MODEL}/grants",
            f"/api/models{MODEL}/branch/x",
            f"{MODEL}/access",
        ):
            assert (await program.post(path, data={"reason": "x"})).status_code == 403, path
        assert (await program.put(f"/api/models{MODEL}/settings", json={"gated": False})).status_code == 403
        assert (await program.get(f"/api/models{MODEL}/xet-write-token/main")).status_code == 403
