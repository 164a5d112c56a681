from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, licensing, releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.authz import Action, Code, Denied
from gatekeeper.errors import Conflict
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing import Terms
from gatekeeper.releases import Ladder, Release, Stage
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import LICENSE, accept_terms, events, make_person, make_repo
from tests.gatekeeper.releases.conftest import CARD, safetensors

pytestmark = pytest.mark.anyio

RESEARCH = b"For research alone."
STATED = CARD.replace(b"license: other\n", b"license: other\nstage_licenses:\n  gated: RESEARCH.md\n")
FILES = {"README.md": STATED, "LICENSE": LICENSE, "RESEARCH.md": RESEARCH, "unet/model.safetensors": safetensors()}
KEY = SigningKey(Ed25519PrivateKey.generate())


async def staged(session: AsyncSession, owner: Principal, files: dict[str, bytes]) -> tuple[Repo, Release]:
    repo, _ = await make_repo(session, owner, files=files)
    return repo, await releases.enable_staging(session, repo, by=owner)


async def raised(session: AsyncSession, repo: Repo, release: Release, stage: Stage, by: Principal) -> Release:
    ladder = Ladder.load()
    proposal = await releases.propose(session, repo, release.commit_id, stage, by=by, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=by)
    proposal = await releases.get_proposal(session, proposal.id)
    return await releases.promote(session, proposal, by=by, ladder=ladder)


async def in_force(session: AsyncSession, repo: Repo, release: Release) -> Terms:
    """The terms that pages show, which must be those that the release is bound to."""
    terms = await releases.terms_in_force(session, repo, release.commit_id)
    assert terms is not None
    assert terms.sha256 == release.bundle_sha256
    return terms


async def test_release_stands_under_the_terms_of_its_stage_on_the_way_up_and_down(
    session: AsyncSession, owner: Principal
) -> None:
    repo, release = await staged(session, owner, FILES)
    at_first = await in_force(session, repo, release)
    assert at_first.texts == (sha256_hex(LICENSE),)
    release = await raised(session, repo, release, Stage.GATED, owner)
    assert (await in_force(session, repo, release)).texts == (sha256_hex(RESEARCH),)
    [event] = await events(session, "releases:release:promote")
    assert event.body["bundle_sha256"] == release.bundle_sha256
    release = await raised(session, repo, release, Stage.OPEN, owner)
    assert await in_force(session, repo, release) == at_first
    release = await releases.demote(session, release, Stage.GATED, by=owner, reason="Not yet.", ladder=Ladder.load())
    assert (await in_force(session, repo, release)).texts == (sha256_hex(RESEARCH),)


async def test_decision_asks_for_the_text_of_the_stage_and_gives_time_when_the_stage_changes_it(
    session: AsyncSession, owner: Principal
) -> None:
    policies, at = authz.Policies.load(), now()
    repo, release = await staged(session, owner, FILES)
    release = await raised(session, repo, release, Stage.GATED, owner)
    reader = await make_person(session)

    async def answer(*, days: int = 0) -> authz.Decision:
        facts = await authz.load(session, reader, repo, commit=release.commit_id)
        return authz.decide(policies, reader, Action.GENERATE, facts, at + timedelta(days=days))

    everywhere = await licensing.terms_for(session, repo, release.commit_id)
    assert everywhere is not None
    withdrawn = await accept_terms(session, reader, repo, everywhere, KEY)
    denied = await answer()
    assert isinstance(denied, Denied)
    assert denied.code is Code.TERMS_CHANGED
    await licensing.withdraw_acceptance(session, reader, withdrawn)
    await accept_terms(session, reader, repo, await in_force(session, repo, release), KEY)
    assert await answer()
    release = await raised(session, repo, release, Stage.OPEN, owner)
    assert await answer(days=1)
    assert not await answer(days=15)


async def test_text_that_is_not_there_keeps_the_release_down(session: AsyncSession, owner: Principal) -> None:
    repo, release = await staged(session, owner, {name: body for name, body in FILES.items() if name != "RESEARCH.md"})
    release = await raised(session, repo, release, Stage.INTERNAL, owner)
    assert (await in_force(session, repo, release)).texts == (sha256_hex(LICENSE),)
    with pytest.raises(Conflict, match="RESEARCH"):
        await raised(session, repo, release, Stage.GATED, owner)


async def test_misspelled_stage_is_found_before_a_promotion(session: AsyncSession, owner: Principal) -> None:
    files = FILES | {"README.md": STATED.replace(b"  gated:", b"  gatd:")}
    repo, release = await staged(session, owner, files)
    with pytest.raises(Conflict, match="gatd"):
        await raised(session, repo, release, Stage.GATED, owner)


async def test_license_of_the_catalogue_may_stand_at_a_stage(session: AsyncSession, owner: Principal) -> None:
    await licensing.add_license(session, "house-research", RESEARCH, title="House research license")
    files = FILES | {"README.md": STATED.replace(b"RESEARCH.md", b"house-research")}
    repo, release = await staged(session, owner, files)
    release = await raised(session, repo, release, Stage.GATED, owner)
    assert [document.title for document in (await in_force(session, repo, release)).documents] == [
        "House research license"
    ]
