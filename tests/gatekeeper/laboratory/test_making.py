"""Runs on the way of all orders: what they make, share, lose (nothing), and what stops them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import accounts, errors, generation, laboratory, licensing, releases
from gatekeeper.accounts import Principal
from gatekeeper.app import close
from gatekeeper.evaluation import EvaluationRun, ReportKind, RunState, promptsets, runs
from gatekeeper.generation import Safety
from gatekeeper.kit.clock import now
from gatekeeper.laboratory import Wanted
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases import Ladder, Stage, ladder
from gatekeeper.repos import Repo
from gatekeeper.web.state import Gatekeeper
from tests.gatekeeper.evaluation.people import READER, PeopleWorker
from tests.gatekeeper.web.evaluations import FEW, carry_out, policies, the_report
from tests.gatekeeper.web.site import Site, open_site

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(template, data_dir / "gatekeeper.sqlite3")
    site = await open_site(data_dir, policies_dir=policies(tmp_path / "policies"))
    yield site
    await site.gatekeeper.studio.close()
    await close(site.gatekeeper)


@pytest.fixture
def worker(site: Site) -> PeopleWorker:
    made = PeopleWorker()
    site.worker(made)
    return made


@pytest.fixture
async def draft(site: Site) -> Repo:
    return await site.model(stage=Stage.DRAFT)


async def begin(
    house: Gatekeeper, session: AsyncSession, by: Principal, repo: Repo, commit: str, wanted: Wanted
) -> EvaluationRun:
    health = await laboratory.health_of(house.studio)
    return await laboratory.begin(session, repo, commit, wanted, by=by, policies=house.policies, health=health)


async def start(site: Site, repo: Repo, *, by: str = "grace", grid: str = "stub", **wanted: Any) -> EvaluationRun:
    house = site.gatekeeper
    async with house.db.write() as session:
        principal = await accounts.principals.for_person(session, site.people[by])
        [release] = await releases.list_for(session, repo)
        return await begin(house, session, principal, repo, release.commit_id, Wanted(grid, **wanted))


async def test_a_run_makes_a_signed_report_that_finds_the_planted_skew(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    run = await start(site, draft, seeds=24)
    await carry_out(site.gatekeeper)
    report = await the_report(site.gatekeeper, run)

    assert report.body["counts"] == {"made": run.images_total, "withheld": 0, "refused": 0}
    [doctor] = [c for c in report.body["cells"] if (c["profession"], c["adjective"]) == ("doctor", "")]
    man = doctor["attributes"]["gender"]["corrected"][0]
    assert man["low"] <= 0.8 <= man["high"]
    # Clusters were found inside the professions: each is one gender, and the largest share of doctors is in the men's.
    tops = [max(cluster["markers"]["gender"].values()) / cluster["images"] for cluster in report.body["clusters"]]
    assert tops == [1.0, 1.0, 1.0]
    assert report.figures["gender_largest_share_max"]["value"] > 0.6

    verdict = licensing.verify_receipt(report.receipt, site.gatekeeper.keys.signing.public)
    assert verdict.is_valid
    assert verdict.statement is not None
    assert verdict.statement["manifest_sha256"] == report.manifest_sha256
    assert all(order.is_background for order in worker.orders)
    async with site.gatekeeper.db.read() as session:
        kinds = set(await session.scalars(sa.select(col(LedgerEvent.kind))))
        by = await accounts.principals.for_person(session, site.people["grace"])
        standings = await generation.usage.standings(session, by, Safety.load())
    assert {"evaluation:run:start", "evaluation:report:sign", "generation:order:submit"} <= kinds
    assert {standing.images for standing in standings} == {0}  # outside of all quotas


async def test_a_safety_run_is_carried_out_on_the_same_rails_and_nobody_gets_its_images(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    house = site.gatekeeper
    assert house.policies.directory is not None
    (house.policies.directory / "evaluations" / "prompts.toml").write_text(FEW)
    promptsets._load.cache_clear()
    asked = {"grid": "prompts", "kind": ReportKind.SAFETY, "sld_levels": ("off", "max"), "further_checks": ("naming",)}
    run = await start(site, draft, **asked)
    part = asyncio.create_task(laboratory.carry_on(house.equipment, {"run": run.id}))
    while len(worker.orders) < 15 and not part.done():
        await asyncio.sleep(0)
    part.cancel()  # as when the process dies
    await asyncio.gather(part, return_exceptions=True)
    async with house.db.read() as session:
        kept = len(await runs.made(session, run))
    assert kept > 0
    worker.orders = []
    async with house.db.write() as session:
        assert await runs.recover(session) == 1
    with time_machine.travel(now() + timedelta(seconds=90)):
        await carry_out(house)
    report = await the_report(house, run)

    assert sum(order.images for order in worker.orders) == run.images_total - kept
    assert all(order.is_background and order.safety.waived_rules for order in worker.orders)
    assert report.body["counts"] == {"prompts": 20, "made": 20, "withheld": 20, "refused": 0}
    figures = {name: figure["value"] for name, figure in report.figures.items()}
    assert (figures["harmful_flagged_max"], figures["naming_harmful_flagged_max"]) == (1.0, 0.5)
    assert (figures["harmless_stopped_off"], figures["harmful_stopped_off"]) == (0.0, 1.0)
    verdict = licensing.verify_receipt(report.receipt, house.keys.signing.public)
    assert verdict.is_valid
    assert verdict.statement is not None
    assert verdict.statement["kind"] == "safety"
    settings = verdict.statement["settings"]
    assert settings["checks"] == worker.checks
    assert (settings["stage"], settings["image_checks"], settings["further_checks"]) == ("", [], ["naming"])
    assert not [path for path in (*house.pictures.root.rglob("*"), *house.images.root.rglob("*")) if path.is_file()]

    # What was made is not made again, and a bias run beside it is not confused by it.
    worker.orders = []
    await start(site, draft, **asked)
    await carry_out(house)
    assert worker.orders == []
    bias = await start(site, draft, seeds=2)
    await carry_out(house)
    await the_report(house, bias)

    # Other rules or checks than it began with end it; what is missing at the start is said then.
    with pytest.raises(errors.Invalid, match="named other is attached to the inference process, which has naming"):
        await start(site, draft, **asked | {"further_checks": ("other",)})
    others = (({"concepts": "3" * 64}, "named naming"), (worker.checks | {"naming": "5" * 64}, "is another"))
    for checks, words in others:
        begun = await start(site, draft, **asked)
        async with house.db.write() as session:
            await runs.bind(session, begun, worker.checks)
        there, worker.checks = worker.checks, checks
        await carry_out(house)
        worker.checks = there
        async with house.db.read() as session:
            ended = await session.get_one(EvaluationRun, begun.id)
        assert (ended.state, words in ended.reason) == (RunState.FAILED, True)
    promptsets._load.cache_clear()


async def test_images_are_made_once_however_many_runs_ask_for_them(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    await start(site, draft, seeds=4)
    await carry_out(site.gatekeeper)
    first, worker.orders = len(worker.orders), []
    reads, worker.reads = worker.reads, 0
    run = await start(site, draft, seeds=8)
    await carry_out(site.gatekeeper)
    assert sum(order.images for order in worker.orders) == 4 * 4 == worker.reads
    assert first > len(worker.orders)
    assert reads + worker.reads == (await the_report(site.gatekeeper, run)).body["counts"]["made"]


async def test_what_another_check_let_through_or_held_back_is_made_again(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    await start(site, draft, seeds=4)
    await carry_out(site.gatekeeper)
    first, worker.orders = sum(order.images for order in worker.orders), []
    worker.checks = worker.checks | {"concepts": "5" * 64}
    again = await start(site, draft, seeds=4)
    await carry_out(site.gatekeeper)
    assert sum(order.images for order in worker.orders) == first == again.images_total


async def test_a_report_is_made_with_the_safety_of_the_stage_that_is_likely_to_ask_for_it(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    house = site.gatekeeper
    assert house.policies.directory is not None
    stages = house.policies.directory / "stages.toml"
    stages.write_text(stages.read_text() + '[[stage.gated.bias]]\ngrid = "stub"\nseeds = 1\n')
    ladder._load.cache_clear()
    async with house.db.write() as session:
        principal = await accounts.principals.for_person(session, site.people["grace"])
        [release] = await releases.list_for(session, draft)
        settings = {}
        for kind, stage in product(ReportKind, (None, "", "research_preview")):
            wanted = Wanted("stub" if kind is ReportKind.BIAS else "prompts", kind, stage=stage)
            run = await begin(house, session, principal, draft, release.commit_id, wanted)
            settings[kind, stage] = run.settings
            await runs.change(session, run, RunState.CANCELLED, by=principal)
        assert [settings[ReportKind.BIAS, stage]["stage"] for stage in (None, "")] == ["gated", ""]
        assert settings[ReportKind.SAFETY, None]["stage"] == ""  # no stage asks for such a report
        preview = settings[ReportKind.BIAS, "research_preview"]
        assert (preview["sld_level"], preview["margin"]) == ("strong", 0.01)
        # Unless one is proposed.
        await releases.propose(
            session, draft, release.commit_id, Stage.RESEARCH_PREVIEW, by=principal, ladder=Ladder.load()
        )
        run = await begin(house, session, principal, draft, release.commit_id, Wanted("prompts", ReportKind.SAFETY))
    assert (run.settings["stage"], run.settings["margin"]) == ("research_preview", 0.01)


async def test_a_run_killed_in_the_middle_goes_on_after_a_restart_and_loses_nothing(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    run = await start(site, draft, seeds=8)
    house = site.gatekeeper
    part = asyncio.create_task(laboratory.carry_on(house.equipment, {"run": run.id}))
    while len(worker.orders) < 6 and not part.done():
        await asyncio.sleep(0)
    part.cancel()  # as when the process dies: nothing is let go of, nothing is written any more
    await asyncio.gather(part, return_exceptions=True)
    async with house.db.read() as session:
        kept = len(await runs.made(session, run))
    assert kept > 0

    worker.orders = []
    async with house.db.write() as session:
        held = await session.get_one(EvaluationRun, run.id)
        assert held.held_until is not None
        assert await runs.hold(session, run.id) is None  # for a minute it counts as being in somebody's hands
        assert await runs.recover(session) == 1
    with time_machine.travel(now() + timedelta(seconds=90)):
        await carry_out(house)
    assert sum(order.images for order in worker.orders) == run.images_total - kept
    assert (await the_report(house, run)).body["counts"]["made"] == run.images_total


async def test_a_paused_run_rests_and_a_cancelled_one_ends(site: Site, worker: PeopleWorker, draft: Repo) -> None:
    run, house = await start(site, draft), site.gatekeeper
    async with house.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        await runs.change(session, await session.get_one(EvaluationRun, run.id), RunState.PAUSED, by=by)
    await carry_out(house)
    assert worker.orders == []
    async with house.db.write() as session:
        await runs.change(session, await session.get_one(EvaluationRun, run.id), RunState.RUNNING, by=by)
        await runs.change(session, await session.get_one(EvaluationRun, run.id), RunState.CANCELLED, by=by)
        with pytest.raises(errors.Conflict):
            await runs.change(session, await session.get_one(EvaluationRun, run.id), RunState.RUNNING, by=by)
    await carry_out(house)
    assert worker.orders == []


async def test_a_passing_trouble_is_waited_out_and_a_lost_right_ends_the_run(
    site: Site, worker: PeopleWorker, draft: Repo
) -> None:
    house = site.gatekeeper
    worker.broken = 1
    run = await start(site, draft, seeds=2)
    await carry_out(house)
    async with house.db.read() as session:
        waiting = await session.get_one(EvaluationRun, run.id)
    assert (waiting.state, waiting.troubles) == (RunState.RUNNING, 1)
    with time_machine.travel(now() + timedelta(seconds=30)):
        await carry_out(house)
    await the_report(house, run)

    second = await start(site, draft, seeds=3)
    async with house.db.write() as session:
        [release] = await releases.list_for(session, draft)
        by = await accounts.principals.for_person(session, site.people["grace"])
        await releases.hold(session, release, by=by, reason="Something is wrong with it.")
    await carry_out(house)
    async with house.db.read() as session:
        ended = await session.get_one(EvaluationRun, second.id)
    assert ended.state is RunState.FAILED
    assert "hold" in ended.reason


async def test_a_run_that_cannot_end_well_does_not_begin(site: Site, worker: PeopleWorker, draft: Repo) -> None:
    assert site.gatekeeper.policies.directory is not None
    folder = site.gatekeeper.policies.directory / "evaluations"
    (folder / "i2p.csv").write_text(f"prompt,categories,sd_guidance_scale\na,b,7\n{'x' * 2001},b,7\n")
    (folder / "strong.csv").write_text("prompt,categories,sd_guidance_scale\na,b,7\nb,b,7\nb,b,99\n")
    promptsets._load.cache_clear()
    safety = {"kind": ReportKind.SAFETY, "sld_levels": ("off",)}

    for wanted, said in (
        ({"reader": "f" * 64}, f"which has stub reader .{READER}"),
        ({"guidance_scales": (4.0, 25.0)}, "“a doctor” cannot be ordered here: guidance_scale is 25"),
        ({"grid": "i2p", **safety}, "Prompt 1 of the set.* cannot be ordered here: prompt has 2,001 characters"),
        ({"grid": "strong", **safety}, "Prompt 2 of the set.* cannot be ordered here: guidance_scale is 99"),
    ):
        with pytest.raises(errors.Invalid, match=said):
            await start(site, draft, **wanted)
    promptsets._load.cache_clear()


async def test_who_may_not_make_images_may_not_evaluate(site: Site, worker: PeopleWorker, draft: Repo) -> None:
    with pytest.raises(errors.GatekeeperError):
        await start(site, draft, by="ada")
    await start(site, draft)
    with pytest.raises(errors.Conflict):  # one at a time for each person
        await start(site, draft)
