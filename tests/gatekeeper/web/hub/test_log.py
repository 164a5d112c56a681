"""The evidence log over HTTP: hashes for everybody, events for those who may read them."""

import base64

import pytest
from anyio import to_thread
from click.testing import CliRunner

from gatekeeper import ledger, tokens
from gatekeeper.cli.main import main
from gatekeeper.kit.note import open_note
from gatekeeper.ledger import offline
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio


async def test_hashes_are_for_everybody_and_events_for_auditors(site: Site) -> None:
    house = site.gatekeeper
    sealer = ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin)
    await sealer.seal()
    nobody, auditor, ada = site.browser(), await site.as_("olga"), await site.as_("ada")
    await sealer.seal()
    note = (await nobody.get("/api/ledger/checkpoint")).text
    size = int(note.split("\n")[1])
    tile = await nobody.get(f"/api/ledger/tile/0/000.p/{size}")
    assert (tile.status_code, len(tile.content)) == (200, 32 * size)
    assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await nobody.get(f"/api/ledger/tile/0/000.p/{size + 1}")).status_code == 404
    assert (await nobody.get("/api/ledger/tile/-1/000")).status_code == 404
    entries = f"/api/ledger/tile/entries/000.p/{size}"
    assert (await nobody.get(entries)).status_code == 401
    assert (await ada.get(entries)).status_code == 403
    found = await auditor.get(entries)
    assert b'"kind":"accounts:person:add"' in found.content
    assert "private" in found.headers["cache-control"]
    grown = await nobody.get("/api/ledger/consistency?from=1")
    assert grown.json()["new_size"] == size
    for wrong in ("", "-1", "1.5", "9" * 40):
        assert (await nobody.get(f"/api/ledger/consistency?from={wrong}")).status_code in (400, 404)
    assert (await nobody.get(f"/api/ledger/consistency?from={size + 1}")).status_code == 404


async def test_an_auditor_without_an_account_gets_the_key_and_checks_the_head_with_it(site: Site) -> None:
    house = site.gatekeeper
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    nobody = site.browser()
    key = (await nobody.get("/api/ledger/key")).text
    name, _, encoded = key.strip().split("+", 2)
    assert name == house.settings.ledger_origin
    note = (await nobody.get("/api/ledger/checkpoint")).text
    assert open_note(note, base64.b64decode(encoded)[1:], name=name)
    env = {"GATEKEEPER_DATA_DIR": str(house.settings.data_dir), "GATEKEEPER_PUBLIC_URL": house.settings.public_url}
    told = await to_thread.run_sync(lambda: CliRunner().invoke(main, ["ledger", "key"], env=env))
    assert told.output == key


async def test_a_proof_holds_the_event_only_for_whoever_may_read_it(site: Site) -> None:
    house = site.gatekeeper
    async with house.db.write() as session:
        event = await ledger.record(session, "tests:thing:do", actor=site.people["ada"].id, body={"n": 1})
        waiting = event.id
        _, secret = await tokens.issue(
            session, site.people["ada"], label="write only", role="write", scopes=["write"], key=house.keys.tokens
        )
    address = f"/api/ledger/proofs/{waiting}"
    nobody = site.browser()
    assert (await nobody.get(address)).status_code == 404
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    assert "extra" not in (await nobody.get(address)).text
    assert (await nobody.get("/api/ledger/proofs/nothing")).status_code == 404
    narrow = await nobody.get(address, headers={"authorization": f"Bearer {secret}"})
    assert "extra" not in narrow.text
    for name, reads in (("ada", True), ("olga", True), ("alan", False)):
        answer = await (await site.as_(name)).get(address)
        assert ("extra " in answer.text) is reads, name
        if reads:
            assert offline.check(answer.content, house.keys.signing.public).is_valid
