"""Whose runs are whose: a counter-run is its starter's to see and to stop, and not the maintainers'."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gatekeeper import accounts, evaluation, releases, repos
from gatekeeper.app import close
from gatekeeper.evaluation import promptsets, reports, runs
from gatekeeper.generation import measuring
from gatekeeper.repos import RepoKind
from tests.gatekeeper.evaluation.people import PeopleWorker
from tests.gatekeeper.web.evaluations import FEW, policies, safety_report
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, open_site, words

pytestmark = pytest.mark.anyio

HOME = f"{MODEL}/evaluations"
API = f"/api/models{MODEL}/evaluation-runs"


@pytest.fixture
async def site(template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(template, data_dir / "gatekeeper.sqlite3")
    folder = policies(tmp_path / "policies")
    (folder / "evaluations" / "prompts.toml").write_text(FEW)
    promptsets._load.cache_clear()
    site = await open_site(data_dir, policies_dir=folder)
    site.worker(PeopleWorker())
    yield site
    promptsets._load.cache_clear()
    await site.gatekeeper.studio.close()
    await close(site.gatekeeper)


async def contested(site: Site) -> tuple[str, httpx2.AsyncClient]:
    """Ada, who accepted the terms, contests a report of grace's: (the run's id, her browser)."""
    repo = await site.model()
    async with site.gatekeeper.db.read() as session:
        [release] = await releases.list_for(session, repo)
    prompts = evaluation.load_prompt_sets(site.gatekeeper.policies.directory)["prompts"]
    report = await safety_report(site.gatekeeper, repo, release.commit_id, prompts, by=site.people["grace"])
    ada = await site.as_("ada")
    await ask_for_access(ada)
    begun = await ada.post(f"/api/models{HOME}/{report.id}/contest")
    assert begun.status_code == 201, begun.text
    return begun.json()["id"], ada


def acts(page: str) -> set[str]:
    return set(re.findall(rf'action="{HOME}/runs/[^/"]+/([a-z]+)"', page))


async def test_whoever_contests_sees_and_stops_their_run(site: Site) -> None:
    run, ada = await contested(site)

    page = (await ada.get(HOME)).text
    assert "Counter-run to this safety report Started by you" in words(page)
    assert acts(page) == {"pause", "cancel"}
    assert (await ada.get(f"{API}/{run}")).json()["state"] == "running"
    assert (await ada.post(f"{HOME}/runs/{run}/pause")).status_code == 303
    assert acts((await ada.get(HOME)).text) == {"resume", "cancel"}
    assert (await ada.post(f"{API}/{run}/cancel")).json()["state"] == "cancelled"

    # To others, it is not there.
    alan = await site.as_("alan")
    assert "Started by" not in words((await alan.get(HOME)).text)
    for answer in (await alan.get(f"{API}/{run}"), await alan.post(f"{API}/{run}/resume")):
        assert answer.status_code == 404
    assert (await site.browser().get(f"{API}/{run}")).status_code == 401


async def test_a_counter_run_is_made_as_its_report_was_or_not_at_all(site: Site) -> None:
    _, ada = await contested(site)
    house, grid = site.gatekeeper, evaluation.load_grids(site.gatekeeper.policies.directory)["stub"]
    async with house.db.write() as session:
        repo = await repos.require(session, RepoKind.MODEL, MODEL.removeprefix("/"))
        commit = await repos.resolve_revision(session, repo, "main")
        by = await accounts.principals.for_person(session, site.people["grace"])
        settings = grid.plan(evaluation.StageSafety("off", 0.0, (), (), measuring.rules_here().sha256))
        run = await runs.start(session, repo, commit, grid, settings, by=by)
        body = reports.written(grid, [], None, None)
        report = await reports.make(session, run, repo, grid, body, key=house.keys.signing)

    answer = await ada.post(f"/api/models{HOME}/{report.id}/contest")

    assert (answer.status_code, "sld_level is 'off'" in answer.json()["error"]) == (409, True), answer.text


async def test_a_maintainer_sees_a_counter_run_and_cannot_stop_it(site: Site) -> None:
    run, _ = await contested(site)
    grace, olga = await site.as_("grace"), await site.as_("olga")

    page = (await grace.get(HOME)).text
    assert "Counter-run to this safety report Started by ada" in words(page)
    assert not acts(page)
    for path in (f"{HOME}/runs/{run}/pause", f"{API}/{run}/cancel"):
        answer = await grace.post(path)
        assert (answer.status_code, "stopped by whoever started it" in answer.text) == (403, True)
    assert (await olga.post(f"{API}/{run}/pause")).json()["state"] == "paused"
