"""The page where maintainers begin: what is counted for whom, and in how few queries."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from gatekeeper.jobs import Job
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from gatekeeper.transparency.tables import RefusalCount
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, words

pytestmark = pytest.mark.anyio


async def test_what_waits_is_counted_in_ones_care_and_the_hubs_health_is_for_who_runs_it(
    site: Site, model: Repo
) -> None:
    grace, alan, olga = await site.as_("grace"), await site.as_("alan"), await site.as_("olga")
    await ask_for_access(await site.as_("ada"))
    await site.browser().post(f"{MODEL}/report", data={"problem": "other", "text": "Odd."})
    async with site.gatekeeper.db.write() as session:
        session.add(RefusalCount(day=now().date(), code="held", rule="held-releases", total=41))
        session.add(Job(kind="tests:job", failed_at=now(), error="It <broke>."))
        session.add(Job(kind="tests:late", run_at=now() - timedelta(hours=1)))
        session.add(LedgerEvent(kind="tests:event:old", occurred_at=now() - timedelta(hours=1)))

    of_grace, of_alan, of_olga = [words((await each.get("/admin")).text) for each in (grace, alan, olga)]

    assert "1 request waits" in of_grace
    assert "1 incident or report" in of_grace
    assert "ada asks for lab/emoji" in of_grace
    assert "0 requests wait" in of_alan
    for page in (of_grace, of_alan):
        assert "How the hub does" not in page
        assert "Refusals" not in page
    assert "due, the oldest for minutes" in of_olga
    assert "to be sealed, the oldest for minutes" in of_olga
    assert "no mail server is set" in of_olga
    assert "It <broke>." in of_olga
    today = now().date().isoformat()
    assert f"{today} {of_grace.count('asks for')}" in of_grace
    assert f"{today}: 41" in (await olga.get("/admin")).text


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
