"""The page where maintainers begin: what is counted for whom, and in how few queries."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gatekeeper import ledger
from gatekeeper.jobs import Job
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import DeliveryState, Webhook, WebhookDelivery
from gatekeeper.releases import Release, Stage
from gatekeeper.releases.tables import Proposal, ProposalState
from gatekeeper.repos import Repo
from gatekeeper.repos.scanning.verdict import SCANNER, Status
from gatekeeper.repos.tables import ContentScan, FileScan, StoredObject, StoredXorb
from gatekeeper.transparency.tables import RefusalCount
from gatekeeper.worker import sum_up
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio


async def test_what_waits_is_counted_in_ones_care_and_the_hubs_health_is_for_who_runs_it(
    site: Site, model: Repo
) -> None:
    grace, alan, olga = await site.as_("grace"), await site.as_("alan"), await site.as_("olga")
    await ask_for_access(await site.as_("ada"))
    nobody = site.browser()
    await nobody.post(f"{MODEL}/report", data={"problem": "other", "text": "Odd."})
    for path in (f"{MODEL}/resolve/main/unet/config.json", f"{MODEL}.git/info/refs?service=git-upload-pack"):
        assert (await nobody.get(path)).status_code == 401
    await sum_up(site.gatekeeper)
    async with site.gatekeeper.db.write() as session:
        session.add(RefusalCount(day=now().date(), code="held", rule="held-releases", total=41))
        session.add(StoredObject(sha256="1" * 64, size_bytes=2_000_000))
        session.add(StoredXorb(xorb_hash="1" * 64, place="x", size_bytes=1_000_000, chunks=b""))
        session.add(Job(kind="tests:job", failed_at=now(), error="It <broke>."))
        session.add(Job(kind="tests:late", run_at=now() - timedelta(hours=1)))
        session.add(LedgerEvent(kind="tests:event:old", occurred_at=now() - timedelta(hours=1)))

    of_grace, of_alan, of_olga = [words((await each.get("/admin")).text) for each in (grace, alan, olga)]

    assert "1 request waits" in of_grace
    assert "1 incident or report" in of_grace
    assert "ada asks for lab/emoji" in of_grace
    assert "0 requests wait" in of_alan
    assert "What was refused in your care, by rule" in of_grace
    assert re.search(r"Sign in required 2\b", of_grace)
    for page in (of_grace, of_alan):
        assert "How the hub does" not in page
        assert "held-releases" not in page
        assert "Large files stored" not in page
    assert "What was refused" not in of_alan
    assert "due, the oldest for minutes" in of_olga
    assert "to be sealed, the oldest for minutes" in of_olga
    assert "no mail server is set" in of_olga
    assert "It <broke>." in of_olga
    today = now().date().isoformat()
    assert f"{today} {of_grace.count('asks for')}" in of_grace
    assert f"{today}: 43" in (await olga.get("/admin")).text
    assert re.search(rf"{today} 1 43 0 3 MB", of_olga)


async def test_damaged_files_flagged_ones_and_changed_evidence_are_said_where_one_begins(
    site: Site, model: Repo
) -> None:
    olga, keys = await site.as_("olga"), site.gatekeeper.keys
    await ledger.Sealer(site.gatekeeper.db, keys.signing, origin="test").seal()
    well = (await olga.get("/admin")).text
    async with site.gatekeeper.db.write() as session:
        body = {"checked": 3, "missing": 1, "damaged": 2, "orphaned": 0}
        await ledger.record(session, "repos:store:verify", body=body)
        scan = {"sha256": "0" * 64, "scanner": SCANNER}
        session.add(ContentScan(**scan, format="pickle", status=Status.UNSAFE.value, result={}))
        session.add(FileScan(repo_id=model.id, object_id="0" * 40, sha256=scan["sha256"]))
        for name in ("sealed", "pending"):
            await session.execute(sa.text(f"DROP TRIGGER guard_ledger_event_{name}"))
        await session.execute(sa.update(LedgerEvent).where(LedgerEvent.number == 1).values(body={"forged": True}))
    ill = (await olga.get("/admin")).text

    assert "nothing found in any file" in words(well)
    assert "the newest events are unchanged" in words(well)
    assert "1 missing and 2 damaged when last verified" in words(ill)
    assert "1 file with something found" in words(ill)
    assert "the newest events are unchanged" not in words(ill)
    for part, href in (("Files", "storage"), ("Chain of evidence", "ledger"), ("Inference", "inference")):
        assert f'<a href="/admin/{href}">{part}</a>' in ill
    counts = [each == "0" for each in re.findall(r"<strong[^>]*>([0-9,]+)</strong>", ill)]
    assert counts == sorted(counts), "what there is of comes first"


async def test_a_longer_list_takes_no_more_queries(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    await ask_for_access(await site.as_("ada"))
    queries = 0

    def count(*_: object) -> None:
        nonlocal queries
        queries += 1

    engine = site.gatekeeper.db.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        await grace.get("/admin")
        few, queries = queries, 0
        for name in ("second", "third"):
            await site.model(name)
        alan = await site.as_("alan")
        for name in ("emoji", "second", "third"):
            await ask_for_access(alan, f"/lab/{name}")
        queries = 0
        await grace.get("/admin")
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)
    assert queries <= few < 20


async def test_repositories_are_found_by_what_waits_in_them(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    async with site.gatekeeper.db.write() as session:
        release = Release(
            repo_id=model.id, commit_id="0" * 40, manifest_sha256="0" * 64, stage=Stage.INTERNAL, held_at=now()
        )
        session.add(release)
        await session.flush()
        session.add(Proposal(release_id=release.id, target=Stage.GATED))
    home = (await grace.get("/admin")).text
    assert "/admin/repositories?waiting=proposal" in home
    assert "/admin/repositories?waiting=held" in home
    found = {"waiting=held": True, "waiting=proposal": True, "q=LAB%2FEM": True, "q=100%25": False}
    for query, is_there in found.items():
        assert ("lab/emoji" in words((await grace.get(f"/admin/repositories?{query}")).text)) is is_there, query
    async with site.gatekeeper.db.write() as session:
        await session.execute(sa.update(Release).values(held_at=None))
        await session.execute(sa.update(Proposal).values(state=ProposalState.WITHDRAWN))
    for query in ("waiting=held", "waiting=proposal"):
        assert "No repository like that" in words((await grace.get(f"/admin/repositories?{query}")).text)


async def test_work_that_was_given_up_is_taken_up_again_by_who_runs_the_hub(site: Site) -> None:
    grace, olga = await site.as_("grace"), await site.as_("olga")
    async with site.gatekeeper.db.write() as session:
        session.add(Job(kind="tests:job", failed_at=now(), error="It broke."))
    assert (await grace.post("/admin/jobs/retry", data={"kind": "tests:job"})).status_code == 403
    assert (await olga.post("/admin/jobs/retry", data={"kind": "tests:job"})).status_code == 303
    assert "It broke." not in (await olga.get("/admin")).text
    assert (await olga.post("/admin/jobs/retry", data={"kind": "tests:job"})).status_code == 409
    async with site.gatekeeper.db.read() as session:
        [event] = await session.scalars(sa.select(LedgerEvent).where(LedgerEvent.kind == "jobs:failed:retry"))
    assert event.body == {"kind": "tests:job", "count": 1}


async def test_deliveries_that_were_given_up_are_listed_and_sent_again(site: Site) -> None:
    olga, ada = await site.as_("olga"), site.people["ada"]
    async with site.gatekeeper.db.write() as session:
        hook = Webhook(owner_id=ada.id, url="https://hooks.example.org/secret-path")
        session.add(hook)
        await session.flush()
        lost = WebhookDelivery(
            webhook_id=hook.id, domain="repo", action="update", scope="repo.content", subject_key="x", position=0
        )
        lost.state, lost.error = DeliveryState.FAILED, "no answer"
        session.add(lost)
    page = (await olga.get("/admin/webhooks/failed")).text
    assert "hooks.example.org" in page
    assert "no answer" in page
    assert "secret-path" not in page
    sent = await olga.post(f"/admin/webhooks/{hook.id}/deliveries/{lost.id}/redeliver")
    assert sent.status_code == 303
    async with site.gatekeeper.db.read() as session:
        states = sorted((await session.scalars(sa.select(WebhookDelivery.state))).all())
        [event] = await session.scalars(sa.select(LedgerEvent).where(LedgerEvent.kind == "notices:webhook:redeliver"))
    assert states == [DeliveryState.FAILED, DeliveryState.WAITING]
    assert (event.actor_id, event.subject_id) == (site.people["olga"].id, hook.id)
