import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases, repos
from gatekeeper.accounts import OPERATOR, Role, organizations, people
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases import Ladder, Release, Stage
from gatekeeper.releases.criteria import Candidate, Finding, check
from gatekeeper.repos import AddFile
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


async def test_a_base_of_ones_lab_is_judged_and_not_named(session: AsyncSession) -> None:
    lab, grace = await make_person(session, "lab"), await make_person(session, "grace")
    organization = await organizations.create(session, "inside", by=lab)
    base, _ = await make_repo(session, lab, name="secret", files={"LICENSE": EMOJI})
    base.owner_person_id, base.owner_organization_id, base.is_private = None, organization.id, True
    session.add(base)
    free = {"README.md": b"---\nbase_model: lab/secret\n---\n", "LICENSE": b"Do as you like."}
    assert (await found(session, grace, free)).detail == "No base here is under a RAIL text."

    person = await people.get(session, grace.person_id or "")
    assert person is not None
    await organizations.add_member(session, organization, person, Role.READ, by=OPERATOR)
    judged = await found(session, grace, free)

    assert not judged.is_met
    assert "A base model that not everybody may know asks for more" in judged.detail
    assert "secret" not in judged.detail


async def test_a_base_is_judged_by_its_release_not_by_a_later_draft(session: AsyncSession) -> None:
    lab = await make_person(session, "lab")
    base, commit = await make_repo(session, lab, name="base", files={"LICENSE": EMOJI}, is_staged=True)
    release = await releases.ensure(session, base, commit, by=lab)
    release.stage = Stage.GATED
    session.add(release)
    draft = await repos.commit(session, base, "main", [AddFile("LICENSE", b"Free.")], summary="freer", by=lab)
    await releases.ensure(session, base, draft, by=lab)
    gone = await releases.ensure(session, base, commit, by=lab)
    session.add(Release(**gone.model_dump(exclude={"id", "commit_id"}), commit_id="0" * 40))  # rewritten history
    await session.flush()
    assert not (await found(session, await make_person(session), {"LICENSE": b"Do as you like."})).is_met
