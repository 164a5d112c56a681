"""Criteria of a promotion: checks of exactly the files that are released, each with its finding in one sentence."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import evaluation, licensing
from gatekeeper.kit.clock import instant_words, now
from gatekeeper.releases.holders import users_since
from gatekeeper.releases.ladder import CRITERIA, Ladder
from gatekeeper.releases.passing_on import passes_on
from gatekeeper.releases.stage_terms import terms_in_force
from gatekeeper.releases.surroundings import drilled, no_open_incident, questions_answered, quotas_limit
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import cards, history, manifests, scanning
from gatekeeper.repos.tables import Repo

# Files that run code when they are loaded: pickles and archives of them, compiled code, saved graphs with code.
_UNSAFE = re.compile(
    r"\.(?:bin|ckpt|pt|pth|pkl|pickle|joblib|dill|np[yz]|h5|hdf5|keras|pb|mar|nemo|py|pyc|so|dll|dylib|jar"
    r"|zip|tar|t?gz|bz2|xz|7z|rar)",
    re.IGNORECASE,
)
_MIN_CARD_CHARS = 80
_NOT_WAIVABLE = frozenset({"not_held", "below_target"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. A waiver names who lets it pass and why; it shows on the public page."""

    id: str
    is_met: bool
    detail: str
    waived_by: str | None = None
    waiver: str = ""

    @property
    def passes(self) -> bool:
        """Met, or waived."""
        return self.is_met or self.waived_by is not None

    def as_json(self) -> dict[str, Any]:
        """The form in `Proposal.criteria`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release on its way to a stage."""

    repo: Repo
    release: Release
    target: Stage
    ladder: Ladder
    scans: dict[str, scanning.FileResult] = field(default_factory=dict, compare=False)  # by `_scans`, once for all


Check = Callable[[AsyncSession, Candidate], Awaitable[tuple[bool, str]]]


async def check(session: AsyncSession, candidate: Candidate) -> list[Finding]:
    """The findings for every criterion of the target stage."""
    rule = candidate.ladder.rule(candidate.target)
    by_value = (
        ("soak_time", rule.soak_days),
        ("testers", rule.testers),
        ("bias_report", rule.bias),
        ("safety_report", rule.safety),
    )
    asked = dict.fromkeys([*rule.criteria, *(id for id, is_asked in by_value if is_asked)])
    return [Finding(id, *await _CHECKS[id](session, candidate)) for id in asked]


def can_be_waived(criterion: str) -> bool:
    """Whether a maintainer may let the criterion pass with a reason."""
    return criterion not in _NOT_WAIVABLE


async def _license_text(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    repo, commit = candidate.repo, candidate.release.commit_id
    stated = (await cards.card_of(session, repo, commit)).stage_licenses
    if unknown := sorted(set(stated) - set(Stage)):
        return False, f"The card states licenses for stages that there are not: {', '.join(unknown)[:200]}."
    terms = await licensing.terms_for(session, repo, commit, stage=candidate.target)
    if terms is None or not terms.documents:
        return False, "No license text is in force: add a LICENSE file, or name a license of the catalogue in the card."
    if terms.problems:
        return False, terms.problems[0]
    bound = await terms_in_force(session, repo, commit)
    if bound is None or bound.sha256 != candidate.release.bundle_sha256:
        return False, "The terms have changed since the release was made a draft."
    names = ", ".join(f"{document.title} ({document.sha256[:12]})" for document in terms.documents)
    return True, f"In force{f' at {terms.stage}' if terms.stage else ''}: {names}."


async def _flow_down(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    commit, ladder = candidate.release.commit_id, candidate.ladder
    return await passes_on(session, candidate.repo, commit, candidate.target, ladder=ladder)


async def _card_complete(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    card = await cards.card_of(session, candidate.repo, candidate.release.commit_id)
    missing = []
    if card.problem:
        missing.append(f"readable metadata ({card.problem})")
    if not card.license:
        missing.append("license")
    if not (card.pipeline_tag or card.library_name):
        missing.append("pipeline_tag or library_name")
    if len(card.text.strip()) < _MIN_CARD_CHARS:
        missing.append(f"a description of at least {_MIN_CARD_CHARS} characters")
    if missing:
        return False, f"The card lacks {', '.join(missing)}."
    return True, "The card names license and use, and describes the model."


async def _safetensors_only(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    manifest = await manifests.manifest(session, candidate.repo, candidate.release.commit_id)
    if manifest.sha256 != candidate.release.manifest_sha256:
        return False, "The files are not those the release was made of."
    unsafe = [path for path, _, _ in manifest.files if _is_unsafe(path)]
    if unsafe:
        return False, f"These files could run code when they are loaded: {_few(unsafe)}."
    results = await _scans(session, candidate)
    if disguised := [path for path, result in results.items() if result.is_pickle]:
        return False, f"These files are pickles, whatever they are called: {_few(disguised)}."
    weights = sum(path.endswith(".safetensors") for path, _, _ in manifest.files)
    return True, f"{weights} safetensors files, nothing that runs code."


async def _scan_clean(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    results = await _scans(session, candidate)
    if bad := [result.path for result in scanning.issues(results)]:
        return False, f"The scan found something in {_few(bad)}."
    if waiting := [path for path, result in results.items() if result.verdict is None]:
        return False, f"Not scanned yet: {_few(waiting)}. Scans run by themselves; try again in a moment."
    return True, f"{len(results)} files scanned, nothing found."


async def _not_held(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    if candidate.release.withdrawn_at is not None:
        return False, "The release was withdrawn."
    if candidate.release.held_at is not None:
        return False, "The release is on hold."
    return True, "Neither held nor withdrawn."


async def _below_target(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    ladder, stage = candidate.ladder, candidate.release.stage
    if ladder.rank(stage) < ladder.rank(candidate.target):
        return True, f"“{stage}” lies below “{candidate.target}”."
    return False, f"The release stands at “{stage}” already."


async def _soak_time(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    """Time since it reached its present stage; a hold does not stop the clock, a demotion starts it again."""
    needed, release = candidate.ladder.rule(candidate.target).soak_days, candidate.release
    days = (now() - release.staged_at).days
    if days >= needed:
        return True, f"It has stood at “{release.stage}” for {days} days; {needed} were asked for."
    ready = release.staged_at + timedelta(days=needed)
    return False, f"It has stood at “{release.stage}” for {days} of {needed} days: until {instant_words(ready)}."


async def _testers(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    """Different people who downloaded it or made images with it since it reached its present stage."""
    needed = candidate.ladder.rule(candidate.target).testers
    found = await users_since(session, candidate.release)
    return found >= needed, f"{found} of {needed} different people have used it at “{candidate.release.stage}”."


async def _no_open_incident(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    return await no_open_incident(session, candidate.repo, candidate.release)


async def _questions_answered(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    return await questions_answered(session, candidate.repo)


async def _rollback_drill(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    return await drilled(session, candidate.repo)


async def _quota_limits(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    return await quotas_limit(session, candidate.ladder.quotas.get(candidate.target, {}))


async def _bias_report(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    return await _reports(session, candidate, candidate.ladder.rule(candidate.target).bias)


async def _safety_report(session: AsyncSession, candidate: Candidate) -> tuple[bool, str]:
    return await _reports(session, candidate, candidate.ladder.rule(candidate.target).safety)


async def _reports(
    session: AsyncSession, candidate: Candidate, demands: Sequence[evaluation.Demand]
) -> tuple[bool, str]:
    """Reports on exactly the released files; one on others, on an older grid or with fewer images is none."""
    repo, release, ladder = candidate.repo, candidate.release, candidate.ladder
    if ladder.safety_at is None:
        return False, "With which safety images are made at this stage is not known here."
    terms = await licensing.terms_for(session, repo, release.commit_id, stage=candidate.target)
    texts = terms.texts if terms else ()
    known = [await licensing.recognized(session, sha256, catalogue=ladder.licenses) for sha256 in texts]
    safety = ladder.safety_at(candidate.target, known)
    found = [
        await evaluation.demands.check(
            session, repo, release.manifest_sha256, demand, safety, ladder.grids, ladder.prompt_sets
        )
        for demand in demands
    ]
    return all(is_met for is_met, _ in found), " ".join(detail for _, detail in found) or "No report is asked for."


def _is_unsafe(path: str) -> bool:
    return _UNSAFE.fullmatch(PurePosixPath(path).suffix) is not None


async def _scans(session: AsyncSession, candidate: Candidate) -> dict[str, scanning.FileResult]:
    if not candidate.scans:
        files = await history.tree(session, candidate.repo, candidate.release.commit_id, recursive=True)
        candidate.scans.update(await scanning.results_now(session, candidate.repo, files))
    return candidate.scans


def _few(paths: Sequence[str]) -> str:
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


_CHECKS: dict[str, Check] = {
    "license_text": _license_text,
    "flow_down": _flow_down,
    "card_complete": _card_complete,
    "safetensors_only": _safetensors_only,
    "scan_clean": _scan_clean,
    "not_held": _not_held,
    "below_target": _below_target,
    "soak_time": _soak_time,
    "testers": _testers,
    "bias_report": _bias_report,
    "safety_report": _safety_report,
    "no_open_incident": _no_open_incident,
    "questions_answered": _questions_answered,
    "rollback_drill": _rollback_drill,
    "quota_limits": _quota_limits,
}
assert set(_CHECKS) == CRITERIA
