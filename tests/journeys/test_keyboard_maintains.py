"""With nothing but keys: a maintainer leads a release up and back, says what a change of terms is, and ends grants."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, expect

from gatekeeper import accounts, releases, repos
from gatekeeper.app import assemble, close
from gatekeeper.cli.demo import NAMESPACE
from gatekeeper.repos import AddFile, RepoKind
from gatekeeper.settings import Settings
from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys
from tests.journeys.kinds import ORGANIZER
from tests.journeys.looking import look
from tests.journeys.walk import MODEL

HOME = f"/{NAMESPACE}/stepwise"
_CARD = "# Stepwise\n"  # too little of a card for a wide release
_TERMS = ("Do no harm.\n", "Do no harm, and say so.\n")


@pytest.fixture(scope="module")
def stepwise(demo: Demo) -> str:
    """A model of two revisions, the second under changed terms, not staged yet."""
    with ThreadPoolExecutor(1) as pool:  # Playwright has this thread's event loop
        pool.submit(asyncio.run, _make(demo)).result()
    return HOME


def test_a_release_goes_up_and_back_by_keys_alone(stepwise: str, visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("maintainer"))
    page.goto(f"{stepwise}/terms")
    keys.open("Say what kind of change this is")
    keys.write("Kind of change", "Clarification")
    keys.write("Note", "One duty is named that was meant before.")
    look(page)
    keys.follow("Save")
    expect(page.get_by_text("One duty is named that was meant before.").first).to_be_visible()

    keys.follow("Releases")
    keys.follow("Turn staging on")
    propose(keys, "Internal")
    keys.follow("Promote to Internal")
    propose(keys, "Gated")
    keys.open("Waive it")
    keys.write("Reason", "It is tried by its makers alone.")
    keys.follow("Waive publicly")
    expect(page.get_by_text("It is tried by its makers alone.").first).to_be_visible()
    page.goto(f"{stepwise}/releases")
    keys.open("Take it back or refuse it")
    keys.write("Reason", "First it is looked at again.")
    keys.follow("End it without effect")

    page.goto(f"{stepwise}/releases")
    keys.follow("Timeline")
    keys.follow("rollback drill")
    keys.follow("I went through this drill")
    keys.follow("Put it back")
    keys.write("Reason", "It went up too early.")
    look(page)
    keys.follow("Put back now")
    expect(page.locator(".page-head .stage").last).to_have_text("Draft")
    keys.follow("Withdraw it for good")
    keys.write("Reason", "Another model does the same better.")
    keys.follow("Withdraw now")
    expect(page.get_by_text("Withdrawn:")).to_be_visible()


def propose(keys: Keys, stage: str) -> None:
    """Propose the first revision of the page for a stage."""
    keys.open("Propose a promotion")
    keys.write("To stage", stage)
    keys.follow("Propose")


def test_grants_end_together_by_keys_alone(stepwise: str, visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("maintainer"))
    for model in (MODEL, stepwise):
        page.goto(f"{model}/grants")
        keys.write("Name of the person", ORGANIZER)
        keys.follow("Grant access")
    page.goto("/admin/grants")
    keys.open("Choose what to see")
    keys.write("Person", ORGANIZER)
    keys.follow("Show")
    for model in (MODEL, stepwise):
        keys.tick(f"Choose the access of {ORGANIZER} to {model[1:]}")
    keys.follow("Revoke what is ticked")
    keys.choose("Kind of reason")
    keys.write("Reason", "The course is over.")
    keys.follow("Revoke access")
    expect(page.get_by_text("2 of 2 revoked.")).to_be_visible()


async def _make(demo: Demo) -> None:
    house = assemble(Settings(data_dir=demo.data_dir, inference_url="off", _env_file=None))
    try:
        async with house.db.write() as session:
            maintainer = await accounts.people.find(session, "maintainer")
            assert maintainer is not None
            by = await accounts.principals.for_person(session, maintainer)
            repo = await repos.create(session, RepoKind.MODEL, NAMESPACE, HOME.rpartition("/")[2], by=by)
            for terms in _TERMS:
                files = {"README.md": _CARD, "LICENSE": terms, "model_index.json": "{}"}
                added = [AddFile(path, text.encode()) for path, text in files.items()]
                made = await repos.commit(session, repo, "main", added, summary="As it is", by=by)
                await releases.take_note(session, repo, made, branch="main", by=by)
    finally:
        await close(house)
