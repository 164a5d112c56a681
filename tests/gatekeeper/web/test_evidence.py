"""What every event says beside its act: by which door, with what credential, under which policies."""

import base64
import json

import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import ledger, tokens
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, inputs

pytestmark = pytest.mark.anyio


async def recorded(site: Site) -> list[LedgerEvent]:
    """What was recorded through a door."""
    async with site.gatekeeper.db.read() as session:
        query = sa.select(LedgerEvent).where(col(LedgerEvent.door).is_not(None)).order_by(col(LedgerEvent.id))
        return list(await session.scalars(query))


async def test_what_is_done_in_a_browser_names_the_policies_and_how_the_session_began(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await ask_for_access(ada)
    [request] = {event.subject_id for event in await recorded(site) if event.kind == "access:request:submit"}
    page = (await grace.get(f"/admin/requests/{request}")).text
    assert (await grace.post(f"/admin/requests/{request}/claim", data=inputs(page))).status_code == 303
    await ada.post(f"{MODEL}/access/withdraw")

    events = {event.kind: event for event in await recorded(site)}

    assert {event.policy_sha256 for event in events.values()} == {site.gatekeeper.policies.sha256}
    for kind in ("licensing:terms:present", "licensing:terms:accept", "access:request:submit"):
        assert (events[kind].door, events[kind].credential) == ("portal", "password")
    assert events["access:request:claim"].door == "admin"
    assert events["access:request:withdraw"].door == "portal"
    # Who signs in had proved nothing yet.
    assert (events["accounts:session:start"].door, events["accounts:session:start"].credential) == ("portal", None)


async def test_what_a_program_does_in_a_transaction_of_its_own_names_them_too(site: Site, model: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        scopes = ["read", "write", "download"]
        _, secret = await tokens.issue(session, site.people["grace"], label="t", role="write", scopes=scopes, key=key)
    program = site.browser()
    program.headers = {"Authorization": f"Bearer {secret}"}
    lines = [
        {"key": "header", "value": {"summary": "More"}},
        {"key": "file", "value": {"path": "more.txt", "content": base64.b64encode(b"more").decode()}},
    ]
    body = "\n".join(json.dumps(line) for line in lines)
    assert (await program.post("/api/models/lab/emoji/commit/main", content=body)).status_code == 200
    for _ in range(2):  # the second is answered from what is remembered of the first
        assert (await program.get("/lab/emoji/resolve/main/more.txt")).status_code == 200
    await site.gatekeeper.evidence.append_durably({"kind": "tests:evidence:wait"})

    events = await recorded(site)

    assert {event.kind for event in events} >= {"repos:branch:commit", "repos:file:download"}
    for event in events:
        assert (event.door, event.credential) == ("hub", "token"), event.kind
        assert event.policy_sha256 == site.gatekeeper.policies.sha256, event.kind


async def test_work_begun_within_other_work_leaves_it_as_it_was() -> None:
    with ledger.working("portal", policy=lambda: "a" * 64):
        ledger.tell(credential="passkey")
        with ledger.working("job"):
            assert ledger.fields("tests:work:do")["credential"] is None
        found = ledger.fields("tests:work:do")
    assert (found["door"], found["credential"], found["policy_sha256"]) == ("portal", "passkey", "a" * 64)
    assert ledger.fields("tests:work:do")["door"] is None
