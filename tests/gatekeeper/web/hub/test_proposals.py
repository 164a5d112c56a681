"""What a pull request may bring and who gets its bytes: never more than the revision that it is based on gives."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper import accounts, releases, repos
from gatekeeper.community import Discussion, discarding, proposals
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, AddLfs, Gate, Repo, RepoKind, RepoObject, StoredObject
from gatekeeper.worker import house_handlers, work_once
from tests.gatekeeper.web.site import CARD, Site

pytestmark = pytest.mark.anyio

SECRET = b"weights that were never released"
DIGEST = hashlib.sha256(SECRET).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{DIGEST}\nsize {len(SECRET)}\n".encode()


def lines(*operations: dict[str, Any], summary: str = "A proposal") -> bytes:
    rows = [{"key": "header", "value": {"summary": summary, "description": ""}}, *operations]
    return b"\n".join(json.dumps(row).encode() for row in rows)


def added(path: str, content: bytes) -> dict[str, Any]:
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"key": "file", "value": value}


def named(path: str, digest: str = DIGEST) -> dict[str, Any]:
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": digest}}


async def propose(browser: httpx2.AsyncClient, repo: Repo, *operations: dict[str, Any]) -> httpx2.Response:
    return await browser.post(
        f"/api/models/{repo.full_name}/commit/main?create_pr=1", content=lines(*operations), headers=_JSON
    )


_JSON = {"accept": "application/json", "content-type": "application/x-ndjson"}


async def put_secret(site: Site, repo: Repo, *, path: str = "secret.bin") -> str:
    """Weights on main that are in no release; returns the commit."""
    async with site.gatekeeper.store.stage() as staged:
        await staged.write(SECRET)
        await staged.keep()
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        session.add(StoredObject(sha256=DIGEST, size_bytes=len(SECRET)))
        await session.flush()
        session.add(RepoObject(repo_id=repo.id, sha256=DIGEST))
        await session.flush()
        operations = [AddLfs(path, DIGEST), AddFile("next.json", b"{}")]
        made = await repos.commit(session, repo, "main", operations, summary="Next", by=by, store=site.gatekeeper.store)
        await releases.take_note(session, repo, made, branch="main", by=by)
        return made


async def discussions(site: Site) -> int:
    async with site.gatekeeper.db.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(Discussion)) or 0


@pytest.mark.parametrize("how", ["digest", "pointer"])
async def test_knowing_a_digest_brings_no_weights_into_a_proposal(site: Site, how: str) -> None:
    repo = await site.model(stage=Stage.OPEN)
    await put_secret(site, repo)
    ada = await site.as_("ada")
    operation = named("mine.bin") if how == "digest" else added("mine.bin", POINTER)
    answer = await propose(ada, repo, operation)
    assert answer.status_code == 422
    assert answer.headers["x-error-code"] == "LfsObjectMissing"
    assert await discussions(site) == 0


async def test_a_proposal_starts_from_what_its_author_may_know(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    await put_secret(site, repo)
    ada = await site.as_("ada")
    assert (await propose(ada, repo, added("mine.txt", b"mine"))).status_code == 200
    listed = await ada.get(f"/api/models/{repo.full_name}/tree/refs%2Fpr%2F1")
    paths = {row["path"] for row in listed.json()}
    assert "mine.txt" in paths
    assert not {"secret.bin", "next.json"} & paths


async def test_a_proposal_to_a_staged_repository_is_for_its_author_and_the_owners(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    ada, alan, grace = [await site.as_(name) for name in ("ada", "alan", "grace")]
    made = (await propose(ada, repo, added("mine.txt", b"a word of mine"))).json()
    at = {"refs%2Fpr%2F1", made["commitOid"], made["commitOid"][:12]}
    for revision in at:
        paths = [
            f"/api/models/{repo.full_name}/tree/{revision}",
            f"/api/models/{repo.full_name}/revision/{revision}",
            f"/{repo.full_name}/resolve/{revision}/mine.txt",
            f"/{repo.full_name}/resolve/{revision}/README.md",
        ]
        for path in paths:
            for who, expected in ((ada, 200), (grace, 200), (alan, 404), (site.browser(), 404)):
                answer = await who.get(path, headers=_JSON)
                assert answer.status_code == expected, (path, answer.text)
                assert expected == 200 or answer.headers["x-error-code"] == "RevisionNotFound"
    for who, is_shown in ((ada, True), (grace, True), (alan, False), (site.browser(), False)):
        details = (await who.get(f"/api/models/{repo.full_name}/discussions/1?diff=1", headers=_JSON)).json()
        assert ("a word of mine" in details["diff"]) is is_shown
        assert details["title"] == "A proposal"
        refs = (await who.get(f"/api/models/{repo.full_name}/refs?include_prs=1", headers=_JSON)).json()
        assert bool(refs["pullRequests"]) is is_shown


async def test_a_proposal_is_held_with_what_it_is_based_on(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    ada = await site.as_("ada")
    await propose(ada, repo, added("mine.txt", b"mine"))
    assert (await ada.get(f"/{repo.full_name}/resolve/refs%2Fpr%2F1/vocabulary.json")).status_code == 200
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        release = (await releases.list_for(session, repo))[0]
        await releases.hold(session, release, by=by, reason="An incident.")
    assert (await ada.get(f"/{repo.full_name}/resolve/refs%2Fpr%2F1/vocabulary.json")).status_code == 403
    later = await ada.post(
        f"/api/models/{repo.full_name}/commit/refs%2Fpr%2F1", content=lines(added("b.txt", b"b")), headers=_JSON
    )
    assert later.status_code == 403


async def test_what_an_owner_adds_to_a_proposal_is_not_its_authors(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    await put_secret(site, repo)
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await propose(ada, repo, added("mine.txt", b"mine"))
    answer = await grace.post(
        f"/api/models/{repo.full_name}/commit/refs%2Fpr%2F1", content=lines(named("secret.bin")), headers=_JSON
    )
    assert answer.status_code == 200, answer.text
    assert (await ada.get(f"/api/models/{repo.full_name}/tree/refs%2Fpr%2F1")).status_code == 404
    again = await ada.post(
        f"/api/models/{repo.full_name}/commit/refs%2Fpr%2F1", content=lines(added("c.txt", b"c")), headers=_JSON
    )
    assert again.status_code == 404
    assert (await grace.get(f"/api/models/{repo.full_name}/tree/refs%2Fpr%2F1")).status_code == 200


async def test_a_proposal_cannot_take_the_gate_away(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        repo = await repos.create(session, RepoKind.MODEL, "lab", "gated", by=by)
        repo.gate = Gate.AUTO
        session.add(repo)
        card, text = CARD.encode(), b"Be kind.\n"
        files = [AddFile("README.md", card), AddFile("LICENSE", text), AddFile("config.json", b"{}")]
        await repos.commit(session, repo, "main", files, summary="Files", by=by)
    await put_secret(site, repo)
    ada = await site.as_("ada")
    gone = {"key": "deletedFile", "value": {"path": "LICENSE"}}
    # The digest is in what the proposal is based on, so it may be copied; that opens nothing.
    answer = await propose(ada, repo, gone, added("README.md", b"# Free for all\n"), named("copy.bin"))
    assert answer.status_code == 200, answer.text
    for path in ("secret.bin", "copy.bin", "config.json"):
        refused = await ada.get(f"/{repo.full_name}/resolve/refs%2Fpr%2F1/{path}", headers=_JSON)
        assert refused.status_code == 403, path
        assert refused.headers["x-error-code"] == "GatedRepo"
    asked = await ada.get(f"/{repo.full_name}.git/info/refs?service=git-upload-pack", headers=_JSON)
    assert asked.status_code == 403
    stands = (await ada.get(f"/api/models/{repo.full_name}/access", headers=_JSON)).json()
    fields = {"Affiliation": "University", "Country": "DE", "I agree to be kind": True}
    accepted = {"accept": [text["sha256"] for text in stands["terms"]], "fields": fields}
    assert (await ada.post(f"/api/models/{repo.full_name}/access", json=accepted)).status_code == 201
    assert (await ada.get(f"/{repo.full_name}/resolve/refs%2Fpr%2F1/copy.bin")).content == SECRET
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        changed = [AddFile("LICENSE", b"Be very kind.\n")]
        made = await repos.commit(session, repo, "main", changed, summary="Terms", by=by)
        await releases.take_note(session, repo, made, branch="main", by=by)
    # Whoever accepted the earlier terms is let in for days, to the proposal as to main; nobody else is.
    statuses = {
        (who, revision): (await browser.get(f"/{repo.full_name}/resolve/{revision}/config.json")).status_code
        for who, browser in (("ada", ada), ("alan", await site.as_("alan")))
        for revision in ("main", "refs%2Fpr%2F1")
    }
    assert statuses == {
        ("ada", "main"): 200,
        ("ada", "refs%2Fpr%2F1"): 200,
        ("alan", "main"): 403,
        ("alan", "refs%2Fpr%2F1"): 403,
    }


async def test_a_rewritten_proposal_stays_a_proposal(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        repo = await repos.create(session, RepoKind.MODEL, "lab", "gated", by=by)
        files = [AddFile("LICENSE", b"Be kind.\n"), AddFile("README.md", CARD.encode()), AddFile("config.json", b"{}")]
        await repos.commit(session, repo, "main", files, summary="Files", by=by)
    await put_secret(site, repo)
    ada, grace = await site.as_("ada"), await site.as_("grace")
    gone = {"key": "deletedFile", "value": {"path": "LICENSE"}}
    before = (await propose(ada, repo, gone, added("README.md", b"# Free for all\n"))).json()["commitOid"]
    settings = await grace.put(f"/api/models/{repo.full_name}/settings", json={"gated": "auto"})
    assert settings.status_code == 200, settings.text
    body = {"deletions": {"sha": [DIGEST], "rewriteHistory": True}}
    answer = await grace.post(f"/api/models/{repo.full_name}/lfs-files/batch", json=body)
    assert answer.status_code == 200, answer.text
    refs = (await grace.get(f"/api/models/{repo.full_name}/refs?include_prs=1", headers=_JSON)).json()
    now_at = refs["pullRequests"][0]["targetCommit"]
    assert now_at != before
    async with site.gatekeeper.db.read() as session:
        proposed = await proposals.find(session, repo.id, now_at)
    assert proposed is not None
    assert proposed.author_id == site.people["ada"].id
    refused = await ada.get(f"/{repo.full_name}/resolve/{now_at}/config.json", headers=_JSON)
    assert refused.headers["x-error-code"] == "GatedRepo"


async def test_git_fetches_a_proposal_for_its_author_and_the_owners(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    ada, alan, grace = [await site.as_(name) for name in ("ada", "alan", "grace")]
    await propose(ada, repo, added("mine.txt", b"mine"))
    for browser in (ada, alan):
        stands = (await browser.get(f"/api/models/{repo.full_name}/access", headers=_JSON)).json()
        fields = {"Affiliation": "University", "Country": "DE", "I agree to be kind": True}
        accepted = {"accept": [text["sha256"] for text in stands["terms"]], "fields": fields}
        assert (await browser.post(f"/api/models/{repo.full_name}/access", json=accepted)).status_code == 201
    for browser, is_there in ((ada, True), (grace, True), (alan, False)):
        told = await browser.get(f"/{repo.full_name}.git/info/refs?service=git-upload-pack", headers=_JSON)
        assert told.status_code == 200, told.text
        assert (" refs/pr/1\n" in told.text) is is_there


async def test_preupload_tells_a_stranger_how_to_send_and_nothing_else(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    await put_secret(site, repo)
    ada = await site.as_("ada")
    asked = {"files": [{"path": path, "sample": "", "size": 10} for path in ("secret.bin", "new.safetensors")]}
    url = f"/api/models/{repo.full_name}/preupload/main"
    told = (await ada.post(f"{url}?create_pr=1", json=asked, headers={"accept": "*/*"})).json()
    assert [(row["uploadMode"], row["oid"]) for row in told["files"]] == [("lfs", None), ("lfs", None)]
    assert (await ada.post(url, json=asked, headers={"accept": "*/*"})).status_code == 403


async def test_merging_into_a_staged_main_makes_a_draft_that_nobody_else_sees(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await propose(ada, repo, added("mine.txt", b"mine"))
    merged = await grace.post(f"/api/models/{repo.full_name}/discussions/1/merge", headers=_JSON)
    assert merged.status_code == 200, merged.text
    async with site.gatekeeper.db.read() as session:
        release = await releases.stage_of(session, repo, merged.json()["mergeCommitId"])
    assert release is not None
    assert release.stage is Stage.DRAFT
    assert (await ada.get(f"/{repo.full_name}/resolve/main/mine.txt")).status_code == 404
    assert (await grace.get(f"/{repo.full_name}/resolve/main/mine.txt")).status_code == 200


async def test_a_branch_made_of_a_proposal_is_a_branch_like_another(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await propose(ada, repo, added("mine.txt", b"mine"))
    made = await grace.post(f"/api/models/{repo.full_name}/branch/next", json={"startingPoint": "refs/pr/1"})
    assert made.status_code == 200, made.text
    assert (await ada.get(f"/api/models/{repo.full_name}/tree/refs%2Fpr%2F1")).status_code == 404
    assert (await grace.get(f"/api/models/{repo.full_name}/tree/next")).status_code == 200


async def test_moderators_act_where_nobody_may_write_any_more(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    ada, grace, olga = [await site.as_(name) for name in ("ada", "grace", "olga")]
    url = f"/api/models/{repo.full_name}/discussions"
    assert (await ada.post(url, json={"title": "Rude", "description": "words"})).status_code == 200
    comment = (await ada.get(f"{url}/1", headers=_JSON)).json()["events"][0]["id"]
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        await releases.hold(session, (await releases.list_for(session, repo))[0], by=by, reason="An incident.")
    assert (await ada.post(f"{url}/1/comment", json={"comment": "more"})).status_code == 403
    assert (await ada.post(f"{url}/1/title", json={"title": "Other"})).status_code == 403
    assert (await olga.post(f"{url}/1/comment/{comment}/hide")).status_code == 200
    assert (await grace.post(f"{url}/1/status", json={"status": "closed"})).status_code == 200
    seen = (await ada.get(f"{url}/1", headers=_JSON)).json()["events"][0]["data"]
    assert (seen["hidden"], seen["latest"]["html"], "words" in json.dumps(seen)) == (True, "", False)


async def test_what_a_closed_proposal_brought_is_removed_unless_something_else_names_it(site: Site) -> None:
    repo = await site.plain(RepoKind.MODEL, "plain")
    ada, alan, grace = [await site.as_(name) for name in ("ada", "alan", "grace")]
    own, both = b"\0of ada alone", b"\0of both"
    for content in (own, both):
        await send(ada, repo, content)
    first = [named("own.bin", _digest(own)), named("both.bin", _digest(both))]
    assert (await propose(ada, repo, *first)).status_code == 200
    await send(alan, repo, both)
    assert (await propose(alan, repo, named("both.bin", _digest(both)))).status_code == 200
    url = f"/api/models/{repo.full_name}/discussions/1"
    assert (await grace.post(f"{url}/status", json={"status": "closed"})).status_code == 200
    days = discarding.KEPT_DAYS
    handlers = house_handlers(site.gatekeeper)
    for after, expected in ((days - 1, {own, both}), (days + 1, {both})):
        with time_machine.travel(now() + timedelta(days=after), tick=False):
            while await work_once(site.gatekeeper.db, handlers):
                pass
            await repos.collect(site.gatekeeper.db, site.gatekeeper.store)
        async with site.gatekeeper.db.read() as session:
            stored = set(await session.scalars(sa.select(StoredObject.sha256)))
        assert stored == {_digest(content) for content in expected}
    assert (await ada.get(f"/{repo.full_name}/resolve/refs%2Fpr%2F2/both.bin")).content == both
    assert (await grace.post(f"{url}/status", json={"status": "open"})).status_code == 200
    refused = await grace.post(f"{url}/merge", headers=_JSON)
    assert (refused.status_code, refused.headers["x-error-code"]) == (422, "LfsObjectMissing")
    await send(ada, repo, own)
    again = lines({"key": "deletedFile", "value": {"path": "README.md"}}, named("own.bin", _digest(own)))
    at = f"/api/models/{repo.full_name}/commit/refs%2Fpr%2F1"
    assert (await ada.post(at, content=again, headers=_JSON)).status_code == 200


async def send(browser: httpx2.AsyncClient, repo: Repo, content: bytes) -> None:
    """Upload a large file by LFS, for a pull request."""
    asked = {"operation": "upload", "objects": [{"oid": _digest(content), "size": len(content)}]}
    told = (await browser.post(f"/{repo.full_name}.git/info/lfs/objects/batch", json=asked)).json()
    upload = told["objects"][0]["actions"]["upload"]["href"]
    assert (await browser.put(upload, content=content)).status_code == 200


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
