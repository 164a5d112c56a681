"""Safety reports: what a set of prompts came to, refused by the screen or flagged in images at each level of steering.

The numbers come from `gatekeeper.generation.safety_runs` as JSON (format gatekeeper-safety-report-v1); prompts stand in
a report by their number only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.evaluation import reports
from gatekeeper.evaluation.tables import EvaluationReport, EvaluationRun, ReportKind, RunState
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.repos import manifests
from gatekeeper.repos.tables import Repo

Body = dict[str, Any]
OWN_CHECK = "concepts"  # the model's own check; what others flagged is told under their names


def written(screened: Mapping[str, Any], made: Sequence[Mapping[str, Any]]) -> Body:
    """The body of a report.

    screened  all prompts before the rules, nothing made
    made      for each level of steering: images of the prompts that hard rules leave, and what the checks said of them
    """
    chosen = screened["prompts"]
    levels = [
        {
            "sld_level": each["setting"]["sld_level"],
            "checker_sha256": each["setting"]["checker_sha256"],
            "sights": each["sights"],
            "unchecked": sum(result["unchecked"] for result in each["results"]),
            "failed": sum(result["ending"] == "failed" for result in each["results"]),
        }
        for each in made
    ]
    every = [each["setting"] for each in (screened, *made)]
    same = ("rules_version", "rules_sha256", "prompt_checks", "restrictions", "margin", "steps", "images")
    return {
        "grid": {"title": f"Safety: {chosen['name']}", "version": chosen["version"]},
        "settings": {name: every[-1][name] for name in (*same, "image_checks")},
        "prompts": chosen,
        "screen": [{name: row[name] for name in ("group", "side", "refused", "failed")} for row in screened["rows"]],
        "levels": levels,
        "is_fake": any(setting["is_fake"] for setting in every),
        "counts": {"prompts": chosen["evaluated"], "images": sum(_images(level) for level in levels)},
    }


def figures_of(body: Body) -> dict[str, dict[str, float]]:
    """The numbers that criteria ask for: refusals on both sides, and what each check flagged at each level."""
    found = {
        f"{row['side']}_refused_rate": _estimate(row["refused"]) for row in body["screen"] if row["group"] == "all"
    }
    for level in body["levels"]:
        for sight in level["sights"]:
            prefix = "" if sight["check"] == OWN_CHECK else f"{sight['check']}_"
            found[f"{prefix}{sight['side']}_flagged_{level['sld_level']}"] = _estimate(sight["flagged"])
    return found


async def sign(
    session: AsyncSession, repo: Repo, commit: str, body: Body, *, by: Principal, key: SigningKey
) -> EvaluationReport:
    """Sign and keep a report on a commit's files. Whoever carried it out answers for its numbers."""
    at, chosen = now(), body["prompts"]
    run = EvaluationRun(
        repo_id=repo.id,
        commit_id=commit,
        manifest_sha256=(await manifests.manifest(session, repo, commit)).sha256,
        grid_id=chosen["name"][:40],
        grid_sha256=chosen["sha256"],
        settings=body["settings"],
        started_by=by.person_id,
        state=RunState.DONE,
        images_total=body["counts"]["images"],
        images_done=body["counts"]["images"],
        ended_at=at,
    )
    session.add(run)
    await session.flush()  # the report refers to it
    report = EvaluationReport(
        kind=ReportKind.SAFETY,
        run_id=run.id,
        repo_id=repo.id,
        commit_id=commit,
        manifest_sha256=run.manifest_sha256,
        grid_id=run.grid_id,
        grid_sha256=run.grid_sha256,
        seeds=body["settings"]["images"],
        figures=figures_of(body),
        body=body,
        made_at=at,
    )
    return await reports.sign(session, report, repo, by=by, key=key)


def _images(level: Mapping[str, Any]) -> int:
    return sum(sight["flagged"]["whole"] for sight in level["sights"] if sight["check"] == OWN_CHECK)


def _estimate(share: Mapping[str, Any]) -> dict[str, float]:
    """A share as reports have figures; of nothing, nothing is known."""
    if not share["whole"]:
        return {"value": 0.0, "low": 0.0, "high": 1.0}
    return {"value": share["share"], "low": share["low"], "high": share["high"]}
