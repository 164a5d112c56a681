import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases import Ladder, Stage
from gatekeeper.releases.criteria import Candidate, Finding, check
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio

EMOJI = (bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt").read_bytes()
CARD = b"---\nbase_model: lab/base\n---\n# Made from it\n"
STAGES = [stage for stage in Stage if stage not in (Stage.DRAFT, Stage.INTERNAL)]


async def found(session: AsyncSession, owner: Principal, files: dict[str, bytes]) -> Finding:
    repo, commit = await make_repo(session, owner, files={"README.md": CARD, **files}, is_staged=True)
    release = await releases.ensure(session, repo, commit, by=owner)
    findings = await check(session, Candidate(repo, release, Stage.TRUSTED_TEST, Ladder.load()))
    return next(finding for finding in findings if finding.id == "flow_down")


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_leaves_internal_without_it(stage: Stage) -> None:
    assert "flow_down" in Ladder.load().rule(stage).criteria


async def test_the_missing_clauses_are_named(session: AsyncSession) -> None:
    lab = await make_person(session, "lab")
    await make_repo(session, lab, name="base", files={"LICENSE": EMOJI})
    bare = await found(session, await make_person(session), {"LICENSE": b"Do as you like."})
    assert not bare.is_met
    assert "lab/base is under Gatekeeper Emoji Open RAIL-M License" in bare.detail
    assert "Exploiting or harming minors" in bare.detail
    assert "NOTICE" in bare.detail
    whole = await found(session, lab, {"LICENSE": EMOJI, "NOTICE": b"The unet was tuned."})
    assert (whole.is_met, whole.detail) == (True, "Passed on from lab/base.")


async def test_a_draft_of_somebody_else_is_not_told_of(session: AsyncSession) -> None:
    lab = await make_person(session, "lab")
    base, commit = await make_repo(session, lab, name="base", files={"LICENSE": EMOJI}, is_staged=True)
    release = await releases.ensure(session, base, commit, by=lab)
    stranger = await make_person(session)
    hidden = await found(session, stranger, {"LICENSE": b"Do as you like."})
    assert (hidden.is_met, "lab" in hidden.detail) == (True, False)
    assert not (await found(session, lab, {"LICENSE": b"Do as you like."})).is_met
    release.stage = Stage.GATED
    session.add(release)
    await session.flush()
    assert not (await found(session, stranger, {"LICENSE": b"Do as you like."})).is_met
