"""A stage that demands a report, met by a maintainer through the pages; and a safety run on the bundled
model, by keys alone."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, authz, evaluation, releases, repos
from gatekeeper.accounts import OPERATOR, Person
from gatekeeper.app import assemble, close
from gatekeeper.cli.demo import NAME, NAMESPACE
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.repos import AddFile, Repo, RepoKind
from gatekeeper.settings import Settings
from tests.gatekeeper.web.evaluations import FEW, safety_report
from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys

HOME = f"/{NAMESPACE}/demanding"
DEMAND = """
[[stage.internal.safety]]
prompts = "prompts-few.toml"
images = 1
at_most = { harmful_flagged_medium = 0.5 }
"""


def test_a_promotion_goes_up_only_with_a_green_report_on_its_own_files(
    demo: Demo, visit: Callable[..., Page], tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(bundled_dir("policies"), folder)
    (folder / "evaluations" / "prompts-few.toml").write_text(FEW)
    (stages := folder / "stages.toml").write_text(stages.read_text() + DEMAND)
    first, second = in_thread(_two_revisions(demo, folder))
    page = visit("maintainer")
    try:
        propose(page, first)
        expect(page.get_by_text("There is no safety report on exactly these files").first).to_be_visible()

        in_thread(_report(demo, folder, second, flagged=1))
        page.reload()
        expect(page.get_by_text("There is one on other files").first).to_be_visible()

        in_thread(_report(demo, folder, first, flagged=9))
        page.reload()
        expect(page.get_by_text("harmful_flagged_medium is 0.9").first).to_be_visible()
        expect(page.get_by_role("button", name="Promote to Internal")).to_have_count(0)

        propose(page, second)
        page.get_by_role("button", name="Promote to Internal").click()
        page.goto(HOME)
        expect(page.locator("main .stage").get_by_text("Internal").first).to_be_visible()
        expect(page.get_by_role("link", name="Safety: prompts-few").first).to_be_visible()
    finally:
        in_thread(_roll_back(demo))


def test_a_safety_run_is_begun_on_the_page_and_its_report_stands_there(demo: Demo, visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("maintainer", java_script_enabled=False))
    page.goto(f"/{NAMESPACE}/{NAME}/evaluations")
    keys.write("At most so many prompts", "2")
    keys.tick("off")
    keys.write("Steps", "4")
    keys.follow("Start the safety evaluation")
    expect(page.get_by_text("The evaluation has begun", exact=False)).to_be_visible()
    run = page.locator("section[aria-labelledby=runs] li").first
    for _ in range(300):
        if not run.get_by_text("Going on").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    expect(run.get_by_text("Done: 2 of 2 images of the prompts", exact=False)).to_be_visible()
    keys.follow("Safety: prompts on")
    whole = evaluation.load_prompt_sets()["prompts"].whole
    expect(page.get_by_text(f"2 of {whole}", exact=False).first).to_be_visible()
    expect(page.get_by_role("button", name="Contest it with a counter-run")).to_be_visible()


def propose(page: Page, commit: str) -> None:
    page.goto(f"{HOME}/releases")
    form = page.locator(f"form[action$='/{commit}/propose']")
    page.locator("details", has=form).last.locator("summary").click()
    form.get_by_label("To stage").select_option("internal")
    form.get_by_role("button").click()


def in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Playwright has this thread's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _two_revisions(demo: Demo, folder: Path) -> list[str]:
    """A model of two revisions, both drafts, under policies that demand a report."""
    house = assemble(Settings(data_dir=demo.data_dir, inference_url="off", _env_file=None))
    try:
        async with house.db.write() as session:
            by = await accounts.principals.for_person(session, await _maintainer(session))
            repo = await repos.create(session, RepoKind.MODEL, NAMESPACE, HOME.rpartition("/")[2], by=by)
            found = []
            for number in (1, 2):
                files = [AddFile("README.md", f"# Revision {number}\n".encode()), AddFile("model_index.json", b"{}")]
                made = await repos.commit(session, repo, "main", files, summary=f"Revision {number}", by=by)
                found.append(made if isinstance(made, str) else made.oid)
            await releases.enable_staging(session, repo, by=by)
            await releases.ensure(session, repo, found[0], by=by)
            await authz.activate(session, folder, by=OPERATOR, note="Internal models are evaluated.")
        return found
    finally:
        await close(house)


async def _roll_back(demo: Demo) -> None:
    house = assemble(Settings(data_dir=demo.data_dir, inference_url="off", _env_file=None))
    try:
        async with house.db.write() as session:
            await authz.roll_back(session, by=OPERATOR, note="The journey is over.")
    finally:
        await close(house)


async def _report(demo: Demo, folder: Path, commit: str, *, flagged: int) -> None:
    """A report without its images, on one of the revisions."""
    house = assemble(Settings(data_dir=demo.data_dir, inference_url="off", _env_file=None))
    try:
        async with house.db.read() as session:
            repo: Repo = await repos.require(session, RepoKind.MODEL, HOME[1:])
            person = await _maintainer(session)
        prompts = evaluation.load_prompt_sets(folder)["prompts-few"]
        await safety_report(house, repo, commit, prompts, by=person, flagged=flagged)
    finally:
        await close(house)


async def _maintainer(session: AsyncSession) -> Person:
    person = await accounts.people.find(session, "maintainer")
    assert person is not None
    return person
