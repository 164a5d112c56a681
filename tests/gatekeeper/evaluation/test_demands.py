"""Which reports count for a stage: those that were made with its safety, as it is now."""

import tomllib
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.evaluation import EvaluationReport, EvaluationRun, ReportKind, StageSafety, demands, grids
from gatekeeper.evaluation.demands import Demand
from gatekeeper.kit.ids import new_id
from tests.gatekeeper.evaluation.people import grid_text
from tests.gatekeeper.licensing.builders import make_person, make_repo

GRID = grids.parse(tomllib.loads(grid_text()))
SAFETY = StageSafety("medium", 0.01, ("nudity",), ("no-medical",), "a" * 64)
BIAS, PROMPTS = Demand(ReportKind.BIAS, "stub", 12), Demand(ReportKind.SAFETY, "prompts.toml", 2)
OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"margin": 0.0}, "margin 0, and this stage's 0.01"),
    ({"image_checks": ()}, "image checks are none, and this stage's nudity"),
    ({"image_checks": ("nudity", "naming")}, "image checks are nudity, naming"),
    ({"restrictions": ()}, "restrictions are none, and this stage's no-medical"),
    ({"rules_sha256": "b" * 64}, "other rules than those of now"),
]


def people(safety: StageSafety = SAFETY, **plan: Any) -> EvaluationReport:
    settings = GRID.plan(safety, **plan)
    body = {"settings": settings, "reader": {"sha256": GRID.reader}, "is_fake": False}
    return EvaluationReport(kind=ReportKind.BIAS, seeds=settings["seeds"], body=body)


def harm(safety: StageSafety = SAFETY, *, evaluated: int = 9, steps: int = 20, seeds: int = 2) -> EvaluationReport:
    settings = {"sld_levels": ["off"], "steps": steps, **safety.as_settings()}
    body = {"settings": settings, "prompts": {"evaluated": evaluated, "of": 9}, "is_fake": False}
    return EvaluationReport(kind=ReportKind.SAFETY, seeds=seeds, body=body)


def test_a_report_with_the_safety_of_the_stage_counts() -> None:
    assert demands.lacks(people(), BIAS, SAFETY, GRID) == []
    assert demands.lacks(harm(), PROMPTS, SAFETY, None) == []


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_one_with_another_safety_does_not_and_says_why(other: dict[str, Any], words: str) -> None:
    made_with = replace(SAFETY, **other)
    for said in (
        demands.lacks(people(made_with), BIAS, SAFETY, GRID),
        demands.lacks(harm(made_with), PROMPTS, SAFETY, None),
    ):
        assert len(said) == 1
        assert words in said[0]


def test_nor_does_one_with_other_steering_or_less_of_everything() -> None:
    [steered] = demands.lacks(people(replace(SAFETY, sld_level="off")), BIAS, SAFETY, GRID)
    assert steered == "its images are steered “off”, and this stage's “medium”"
    [few] = demands.lacks(people(seeds=11), BIAS, SAFETY, GRID)
    assert "too few images, 11 of each prompt where 12 are asked" in few
    assert "lacks the guidance 4" in demands.lacks(people(guidance_scales=(1.5,)), BIAS, SAFETY, GRID)[0]
    assert "another reader" in demands.lacks(_read_by_another(), BIAS, SAFETY, GRID)[0]
    assert "too few prompts, 3 of 9" in demands.lacks(harm(evaluated=3), PROMPTS, SAFETY, None)[0]
    assert "1 steps where 20 are asked" in demands.lacks(harm(steps=1), PROMPTS, SAFETY, None)[0]
    assert "too few images" in demands.lacks(harm(seeds=1), PROMPTS, SAFETY, None)[0]


def test_a_report_from_before_these_things_were_kept_does_not_count() -> None:
    old = people()
    for name in ("rules_sha256", "image_checks", "restrictions"):
        del old.body["settings"][name]
    assert len(demands.lacks(old, BIAS, SAFETY, GRID)) == 3


@pytest.mark.anyio
async def test_a_report_counts_however_many_were_made_after_it_on_other_files(session: AsyncSession) -> None:
    repo, commit = await make_repo(session, await make_person(session))
    facts = {"repo_id": repo.id, "commit_id": commit, "grid_id": GRID.id, "grid_sha256": GRID.sha256}
    made = [new_id() for _ in range(1_001)]
    on_files = [{"manifest_sha256": "f" * 64 if id == min(made) else "e" * 64} for id in made]
    runs = [{"id": id, "images_total": 1, **facts, **files} for id, files in zip(made, on_files, strict=True)]
    await session.execute(sa.insert(EvaluationRun), runs)
    good = {"kind": ReportKind.BIAS, "seeds": 12, "body": people(seeds=12).body}
    rows = [
        {"id": run["id"], "run_id": run["id"], **facts, **good, **files}
        for run, files in zip(runs, on_files, strict=True)
    ]
    await session.execute(sa.insert(EvaluationReport), rows)

    async def said(manifest_sha256: str) -> tuple[bool, str]:
        return await demands.check(session, repo, manifest_sha256, BIAS, SAFETY, {"stub": GRID})

    assert (await said("f" * 64))[0]
    assert (await said("d" * 64))[1].endswith("There is one on other files.")


def _read_by_another() -> EvaluationReport:
    report = people()
    report.body["reader"] = None
    return report
