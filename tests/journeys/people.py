"""People of the demo for one journey, beside the running server; and time that passes for them."""

import asyncio
import sqlite3
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page

from gatekeeper import access, accounts, repos
from gatekeeper.accounts import OPERATOR
from gatekeeper.app import build
from gatekeeper.repos import RepoKind
from gatekeeper.settings import Settings
from tests.gatekeeper.web.site import PASSWORD, Site, ask_for_access
from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys
from tests.journeys.walk import MODEL

_ANSWERS = {"q-0": "Somebody", "q-1": "None", "q-2": "Teaching", "q-3": "yes"}


def in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run it where no event loop runs: Playwright's has this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def applicants(demo: Demo, *names: str, approved: str = "") -> None:
    """People who ask for the bundled model; one of them was let in."""
    in_thread(_apply(demo, names, approved))
    demo.passwords.update(dict.fromkeys(names, PASSWORD))


def let_time_pass(demo: Demo, person: str) -> None:
    """The last sign-in of this person becomes an hour old."""
    with sqlite3.connect(demo.data_dir / "gatekeeper.sqlite3", timeout=30) as database:
        changed = database.execute(
            "UPDATE browser_session SET signed_in_at = datetime(signed_in_at, '-1 hour')"
            " WHERE person_id = (SELECT id FROM person WHERE name = ?)",
            (person,),
        )
        assert changed.rowcount, f"{person} is not signed in"


def sign_in_again(demo: Demo, hands: Keys) -> None:
    """Where an act asked for it; it leads back."""
    assert urlsplit(hands.page.url).path == "/login"
    hands.write("Password", demo.passwords["maintainer"])
    hands.follow("Sign in$")


def until(page: Page, path: str, text: str) -> None:
    """Open the page until it says what the hub's worker still does."""
    for _ in range(100):
        page.goto(path)
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{path} never says {text!r}")


async def _apply(demo: Demo, names: tuple[str, ...], approved: str) -> None:
    app = build(Settings(data_dir=demo.data_dir, public_url="http://localhost", inference_url="off", _env_file=None))
    house = app._app.state.gatekeeper  # type: ignore[attr-defined]
    site = Site(app, house, {}, "http://localhost")
    try:
        for name in names:
            async with house.db.write() as session:
                await accounts.people.add(session, name, email=f"{name}@example.org", password=PASSWORD, by=OPERATOR)
            answer = await ask_for_access(await site.as_(name), MODEL, **_ANSWERS)
            assert answer.status_code == 303, answer.text
        if approved:
            async with house.db.write() as session:
                repo = await repos.require(session, RepoKind.MODEL, MODEL[1:])
                person = await accounts.people.find(session, approved)
                maintainer = await accounts.people.find(session, "maintainer")
                assert person is not None
                assert maintainer is not None
                request = await access.latest_request(session, person.id, repo.id)
                assert request is not None
                await access.approve(session, request, by=await accounts.principals.for_person(session, maintainer))
    finally:
        await house.db.close()
