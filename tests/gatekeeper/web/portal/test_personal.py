"""My data: taken away whole, and forgotten without a trace, while every proof stays valid."""

from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import time_machine

from gatekeeper import accounts, ledger, privacy, repos, tokens
from gatekeeper.accounts import OPERATOR, Person
from gatekeeper.kit.clock import now
from gatekeeper.ledger import offline
from gatekeeper.repos import Repo, RepoKind
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.web.site import MODEL, PASSWORD, Site, ask_for_access, words

pytestmark = pytest.mark.anyio

NAME = "zephyrine-quux"
SEALED = "Xylographic Institute"  # an answer: never in clear on the disk
SECRETS = ("zephyrine", "Quuxworth", SEALED, "Cromulent Browser", "a vellichor apple", "crwthlabel")


@pytest.fixture
async def zephyrine(site: Site) -> Person:
    async with site.gatekeeper.db.write() as session:
        return await accounts.people.add(
            session,
            NAME,
            email=f"{NAME}@example.org",
            fullname="Zephyrine Quuxworth",
            password=PASSWORD,
            by=OPERATOR,
        )


async def live(site: Site, person: Person) -> httpx2.AsyncClient:
    """Do what people do: sign in, accept, ask, order an image, make a token, like something."""
    site.worker(StubWorker())
    browser = site.browser()
    browser.headers["user-agent"] = "Cromulent Browser 1.0"
    signed_in = await browser.post("/login", data={"name": NAME, "password": PASSWORD})
    assert signed_in.status_code == 303
    asked = await ask_for_access(browser, **{"q-0": SEALED})
    assert asked.status_code == 303
    order = {"prompt": "a vellichor apple", "steps": "5", "guidance": "4", "images": "1", "seed": "7"}
    made = await browser.post(f"{MODEL}/playground", data=order)
    assert "/generations/" in made.headers["location"] or made.status_code == 303
    async with site.gatekeeper.db.write() as session:
        await tokens.issue(
            session, person, label="crwthlabel", role="read", max_days=30, key=site.gatekeeper.keys.tokens
        )
    return browser


def traces(data_dir: Path) -> list[str]:
    """Which of the person's bytes are still somewhere in the data directory, and where."""
    found = []
    for path in sorted(data_dir.rglob("*")):
        if path.is_file():
            content = path.read_bytes().lower()
            found += [f"{secret} in {path.name}" for secret in SECRETS if secret.lower().encode() in content]
    return found


async def test_after_deletion_no_byte_of_the_person_is_left_and_every_proof_holds(
    site: Site, model: Repo, zephyrine: Person
) -> None:
    house = site.gatekeeper
    browser = await live(site, zephyrine)
    sealer = ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin)
    await sealer.seal()
    async with house.db.read() as session:
        kept = (await ledger.newest_checkpoint(session)).note  # type: ignore[union-attr]
        mine = [event.id for event in (await ledger.events(session, actor=zephyrine.id)).items]
        proof = (await ledger.prove(session, mine[0])).as_text(with_event=True)
    await house.db.purge()
    assert {line.partition(" in ")[0] for line in traces(house.settings.data_dir)} == set(SECRETS) - {SEALED}
    assert list((house.settings.data_dir / "images").iterdir())

    renamed = "zephyrine-b"
    assert (await browser.post("/settings/name", data={"name": renamed})).status_code == 303
    assert [row["name"] for row in (await browser.get("/api/account/data")).json()["former_names"]] == [NAME]
    page = words((await browser.get("/settings/data")).text)
    assert "what you wrote stays, without your name" in page
    other = await browser.post("/settings/data/delete", data={"name": "ada"})
    assert (other.status_code, "not your name" in words(other.text)) == (422, True)
    gone = await browser.post("/settings/data/delete", data={"name": renamed})
    assert (gone.status_code, gone.headers["location"]) == (303, "/?done=account-deleted")

    assert traces(house.settings.data_dir) == []
    assert not list((house.settings.data_dir / "images").iterdir())
    assert (await site.browser().post("/login", data={"name": NAME, "password": PASSWORD})).status_code != 303
    assert (await browser.get("/settings")).status_code in (303, 401)
    await sealer.seal()
    async with house.db.read() as session:
        report = await ledger.verify(session, house.keys.signing.public, kept=[kept])
        again = (await ledger.prove(session, mine[0])).as_text(with_event=True)
        erased = (await ledger.events(session, kind="privacy:person:erase")).items
    assert report.is_intact, report.faults
    assert offline.check(proof.encode(), house.keys.signing.public).is_valid
    assert offline.check(again.encode(), house.keys.signing.public).is_valid
    assert [event.subject_id for event in erased] == [zephyrine.id]
    assert erased[0].body["removed"]["acceptance"] == 1


async def test_what_stands_in_the_way_is_said_before_and_held_to(site: Site, model: Repo) -> None:
    house = site.gatekeeper
    grace, ada = await site.as_("grace"), await site.as_("ada")
    async with house.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["ada"])
        await repos.create(session, RepoKind.MODEL, "ada", "mine", by=by)
    for browser, name, said in ((grace, "grace", "Nobody else administers lab"), (ada, "ada", "ada/mine")):
        assert said in words((await browser.get("/settings/data")).text)
        answer = await browser.post("/settings/data/delete", data={"name": name})
        assert (answer.status_code, said in words(answer.text)) == (409, True)


async def test_a_hold_keeps_a_person_until_it_is_lifted(site: Site) -> None:
    house, alan = site.gatekeeper, site.people["alan"]
    browser = await site.as_("alan")
    async with house.db.write() as session:
        await privacy.hold(session, alan, reason="Claim 7", by=OPERATOR)
    sent = {"name": "alan"}
    assert (await browser.post("/settings/data/delete", data=sent)).status_code == 409
    async with house.db.write() as session:
        await privacy.lift_hold(session, alan, by=OPERATOR)
    assert (await browser.post("/settings/data/delete", data=sent)).status_code == 303


async def test_the_last_administrator_stays(site: Site) -> None:
    olga = await site.as_("olga")
    answer = await olga.post("/settings/data/delete", data={"name": "olga"})
    assert answer.status_code == 409


async def test_everything_about_a_person_is_in_their_export_and_no_secret(
    site: Site, model: Repo, zephyrine: Person
) -> None:
    browser = await live(site, zephyrine)

    answer = await browser.get("/api/account/data")

    assert answer.headers["cache-control"] == "private, no-store"
    data = answer.json()
    assert data["person"]["email"] == f"{NAME}@example.org"
    assert data["requests"][0]["fields"]["Affiliation"] == SEALED
    assert data["acceptances"][0]["receipt"]["statement"]["person"]["name"] == NAME
    assert data["generations"][0]["prompt"] == "a vellichor apple"
    assert data["sessions"][0]["user_agent"] == "Cromulent Browser 1.0"
    assert [token["label"] for token in data["tokens"]] == ["crwthlabel"]
    assert data["names"][data["requests"][0]["repo_id"]] == "lab/emoji"
    assert "licensing:terms:accept" in {act["kind"] for act in data["acts"]}
    for secret in ("hash", "sealed", "argon2"):
        assert secret not in answer.text
    _, token = await _token(site, zephyrine)
    by_token = await site.browser().get("/api/account/data", headers={"authorization": f"Bearer {token}"})
    assert by_token.status_code == 403
    assert (await site.browser().get("/api/account/data")).status_code == 401


async def _token(site: Site, person: Person) -> tuple[object, str]:
    async with site.gatekeeper.db.write() as session:
        return await tokens.issue(
            session, person, label="all", role="write", max_days=30, key=site.gatekeeper.keys.tokens
        )


async def test_an_unlocked_screen_is_not_enough(site: Site) -> None:
    alan = await site.as_("alan")
    with time_machine.travel(now() + timedelta(hours=2), tick=False):
        for answer in (
            await alan.post("/settings/data/delete", data={"name": "alan"}, headers={"origin": site.url}),
            await alan.get("/settings/data/my-data.json"),
        ):
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?again=1")
        assert (await alan.get("/api/account/data")).status_code == 403
