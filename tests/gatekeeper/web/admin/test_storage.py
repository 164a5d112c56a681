"""The page of storage: sums, flagged files with their place, and a scan that is asked for anew."""

import re

import pytest
import sqlalchemy as sa

from gatekeeper import accounts, ledger, repos
from gatekeeper.jobs import Job
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import AddFile, Repo, RepoKind, lfs, scanning
from gatekeeper.repos.tables import ContentScan, Upload
from gatekeeper.web.admin import storage
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio

SIZES = {"a" * 64: 3_000_000, "b" * 64: 1_000_000}
EVIL = b"cposix\nsystem\n(S'true'\ntR."


async def filled(site: Site) -> Repo:
    """Two repositories that share a file of 3 MB; the second has another, and a pickle that runs a program."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        first, second = [await repos.create(session, RepoKind.MODEL, "lab", name, by=by) for name in ("one", "two")]
        for repo, digests in ((first, "a"), (second, "ab")):
            for letter in digests:
                sha256 = letter * 64
                await lfs.possess(session, repo, sha256, SIZES[sha256], person_id=by.person_id)
        evil = [AddFile("evil <now>.pkl", EVIL), AddFile("more.pkl", EVIL.replace(b"true", b"false"))]
        await repos.commit(session, second, "main", evil, summary="Upload", by=by)
        session.add(Upload(repo_id=first.id, person_id=by.person_id, sha256="c" * 64, size_bytes=5_000_000))
        body = {"removed": {"freed_bytes": 7_000_000, "objects": 4, "uncommitted": 1, "staged": 0, "xorbs": 0}}
        await ledger.record(session, "repos:store:clean", body=body)
        await repos.keep_outcome(session, repos.Report(checked=9, missing=["x"], orphaned=["y", "z"]))
        head = (await scanning.heads(session, second))[0]
    await scanning.scan(site.gatekeeper.db, site.gatekeeper.store, second.id, [head], seconds=60)
    return second


async def test_what_takes_room_and_what_was_found_is_told_to_who_runs_the_hub(site: Site) -> None:
    repo = await filled(site)
    olga, grace = await site.as_("olga"), await site.as_("grace")

    html = (await olga.get("/admin/storage")).text
    refused = [
        (await grace.get("/admin/storage")).status_code,
        (await grace.post(f"/admin/storage/{repo.id}/rescan")).status_code,
    ]
    page = words(html)

    assert refused == [403, 403]
    assert "4 MB in 2 files of the store" in page
    assert "3 MB saved" in page
    assert "1 upload not finished, 5 MB" in page
    assert "7 MB became free" in page
    assert "1 missing, 0 damaged" in page
    assert "nothing referred to 2 files" in page
    assert page.index("lab/two 4 MB") < page.index("lab/one 3 MB")
    assert "lab 7 MB" in page
    assert "evil &lt;now&gt;.pkl" in html
    assert "evil%20%3Cnow%3E.pkl" in html
    assert "Unsafe" in page


async def test_files_that_need_a_look_are_listed_in_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(site)
    olga = await site.as_("olga")
    monkeypatch.setattr(storage, "_MOST", 1)
    page, seen = (await olga.get("/admin/storage")).text, []
    while more := re.search(r'rel="next"\s+href="([^"]+)"', page):
        seen += re.findall(r"<code>(.*\.pkl)</code>", page)
        page = (await olga.get(more[1])).text
    assert sorted(seen + re.findall(r"<code>(.*\.pkl)</code>", page)) == ["evil &lt;now&gt;.pkl", "more.pkl"]
    assert "Repositories with the most in large files: the first 1" in page


async def test_a_scan_that_is_asked_for_looks_at_what_was_looked_at_already(site: Site) -> None:
    repo = await filled(site)
    olga = await site.as_("olga")
    async with site.gatekeeper.db.write() as session:
        wrong = {"status": "safe", "result": {"findings": [], "imports": [], "facts": {}}}
        await session.execute(sa.update(ContentScan).values(**wrong))
        await session.execute(sa.delete(Job))
    before = words((await olga.get("/admin/storage")).text)

    asked = await olga.post(f"/admin/storage/{repo.id}/rescan")
    missing = await olga.post("/admin/storage/nothing/rescan")
    async with site.gatekeeper.db.read() as session:
        job = await session.scalar(sa.select(Job).where(Job.kind == "repos:scan"))
        event = await session.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "repos:file:rescan"))
    assert job is not None
    await scanning.handle(site.gatekeeper.db, site.gatekeeper.store, job.payload)

    assert "Nothing was found" in before
    assert (asked.status_code, missing.status_code) == (303, 404)
    assert event is not None
    assert (event.actor_id, event.repo_id) == (site.people["olga"].id, repo.id)
    assert event.occurred_at <= now()
    assert "Unsafe" in words((await olga.get("/admin/storage")).text)
