"""Bundles are put in force and taken back; a bad one leaves the old one there."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import authz
from gatekeeper.accounts.principal import OPERATOR
from gatekeeper.authz import BrokenPolicies, InForce, Policies
from gatekeeper.authz.tables import PolicyActivation, PolicyBundle, Source
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.ledger.tables import LedgerEvent
from tests.gatekeeper.authz.folders import changed_folder

pytestmark = pytest.mark.anyio

CLOSED = ('["research_preview", "gated", "open"].contains(resource.stage)', 'resource.stage == "open"')


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    """A folder that differs by a comment, so that its cases still pass."""
    return changed_folder(tmp_path, name="stricter", know=("// Who knows", "// Changed. Who knows"))


async def test_the_first_start_puts_its_folder_in_force_and_later_ones_only_what_changed(
    session: AsyncSession, policies: Policies, stricter: Path
) -> None:
    first = await authz.follow_folder(session, policies)
    assert first.source is Source.FOLDER
    assert (await authz.follow_folder(session, policies)).id == first.id
    second = await authz.follow_folder(session, Policies.load(stricter))
    assert (second.number, second.bundle_sha256) == (2, Policies.load(stricter).sha256)
    kinds = await session.execute(
        sa.select(LedgerEvent.kind, LedgerEvent.policy_sha256).where(col(LedgerEvent.subject_id).is_not(None))
    )
    assert [tuple(row) for row in kinds] == [
        ("policies:bundle:activate", policies.sha256),
        ("policies:bundle:activate", second.bundle_sha256),
    ]


async def test_what_a_person_put_in_force_outlives_starts_and_is_rolled_back_by_name(
    session: AsyncSession, policies: Policies, stricter: Path, tmp_path: Path
) -> None:
    await authz.follow_folder(session, policies)
    activated = await authz.activate(session, stricter, by=OPERATOR, note="A clearer comment.")
    in_force = InForce(policies, tmp_path / "shelf")
    assert (await in_force.refresh(session)).sha256 == activated.bundle_sha256
    assert in_force.current.directory == tmp_path / "shelf" / activated.bundle_sha256
    assert (in_force.current.directory / "stages.toml").is_file()
    assert (await authz.follow_folder(session, policies)).id == activated.id  # a restart changes nothing
    back = await authz.roll_back(session, by=OPERATOR, note="It was clearer before.", to=policies.sha256[:12])
    assert back.bundle_sha256 == policies.sha256
    assert (await in_force.refresh(session)).sha256 == policies.sha256
    again = await authz.roll_back(session, by=OPERATOR, note="No, after all.")
    assert again.bundle_sha256 == activated.bundle_sha256
    assert [row.number for row in await authz.history(session)] == [4, 3, 2, 1]


async def test_a_bad_folder_is_refused_and_the_old_one_stays(
    session: AsyncSession, policies: Policies, tmp_path: Path
) -> None:
    await authz.follow_folder(session, policies)
    failing_cases = changed_folder(tmp_path, name="cases", know=CLOSED)
    unreadable = changed_folder(tmp_path, name="syntax", know=("permit(", "permitt("))
    for folder in (failing_cases, unreadable):
        with pytest.raises(BrokenPolicies, match=r"know\.cedar|announced-releases-are-seen"):
            await authz.activate(session, folder, by=OPERATOR, note="Try.")
    assert len(await authz.history(session)) == 1


async def test_a_bundle_that_this_program_cannot_load_leaves_the_old_one_in_force(
    session: AsyncSession, policies: Policies, tmp_path: Path
) -> None:
    session.add(PolicyBundle(sha256="b" * 64, files={"know.cedar": "nonsense", "schema.cedarschema": "entity X;"}))
    await session.flush()
    session.add(PolicyActivation(number=1, bundle_sha256="b" * 64, source=Source.COMMAND))
    await session.flush()
    in_force = InForce(policies, tmp_path / "shelf")
    assert await in_force.refresh(session) is policies


async def test_a_changed_file_on_the_shelf_is_not_believed(
    session: AsyncSession, policies: Policies, stricter: Path, tmp_path: Path
) -> None:
    row = await authz.activate(session, stricter, by=OPERATOR, note="Try.")
    folder = await authz.active_folder(session, tmp_path / "shelf")
    assert folder is not None
    (folder / "know.cedar").write_text("permit(principal, action, resource);")
    loaded = await InForce(policies, tmp_path / "shelf").refresh(session)
    assert loaded.sha256 == row.bundle_sha256
    assert (folder / "know.cedar").read_text() == (stricter / "know.cedar").read_text()


async def test_nothing_is_looked_up_while_the_version_stands(
    session: AsyncSession, policies: Policies, stricter: Path, tmp_path: Path
) -> None:
    in_force = InForce(policies, tmp_path / "shelf")
    await in_force.refresh(session, version=7)
    row = await authz.activate(session, stricter, by=OPERATOR, note="Try.")
    assert await in_force.refresh(session, version=7) is policies
    assert (await in_force.refresh(session, version=8)).sha256 == row.bundle_sha256


async def test_what_cannot_be_meant_is_refused(session: AsyncSession, policies: Policies, stricter: Path) -> None:
    with pytest.raises(Conflict, match="yet"):
        await authz.roll_back(session, by=OPERATOR, note="x")
    await authz.follow_folder(session, policies)
    with pytest.raises(Conflict, match="No other"):
        await authz.roll_back(session, by=OPERATOR, note="x")
    await authz.activate(session, stricter, by=OPERATOR, note="x")
    with pytest.raises(Conflict, match="already"):
        await authz.activate(session, stricter, by=OPERATOR, note="x")
    for note in ("", "  ", "x" * 2001):
        with pytest.raises(Invalid, match="Say why"):
            await authz.roll_back(session, by=OPERATOR, note=note)
    with pytest.raises(Invalid, match="does not name"):
        await authz.roll_back(session, by=OPERATOR, note="x", to=policies.sha256[:4])
    with pytest.raises(NotFound, match="does not name"):
        await authz.roll_back(session, by=OPERATOR, note="x", to="0" * 12)


async def test_an_earlier_bundle_that_cannot_be_used_any_more_stays_out(
    session: AsyncSession, policies: Policies, stricter: Path
) -> None:
    session.add(PolicyBundle(sha256="a" * 64, files={"know.cedar": "permitt("}))
    await session.flush()
    session.add(PolicyActivation(number=1, bundle_sha256="a" * 64, source=Source.FOLDER, note="long ago"))
    await session.flush()
    await authz.activate(session, stricter, by=OPERATOR, note="x")
    with pytest.raises(BrokenPolicies):
        await authz.roll_back(session, by=OPERATOR, note="x")
    assert len(await authz.history(session)) == 2


@pytest.mark.parametrize("table", ["policy_bundle", "policy_activation"])
async def test_what_was_in_force_is_evidence(session: AsyncSession, policies: Policies, table: str) -> None:
    await authz.follow_folder(session, policies)
    await session.flush()
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET rowid = rowid"):
        with pytest.raises(sa.exc.IntegrityError, match="never changed"):
            async with session.begin_nested():
                await session.execute(sa.text(statement))


async def test_a_start_with_a_stage_that_is_gone_is_refused_by_name(session: AsyncSession, tmp_path: Path) -> None:
    folder = changed_folder(tmp_path)
    ladder = folder / "stages.toml"
    ladder.write_text(ladder.read_text().replace('"internal", "trusted_test"', '"trusted_test"'))
    with pytest.raises(BrokenPolicies, match="ladder must name each of"):
        await authz.follow_folder(session, Policies.load(folder))
    assert await authz.history(session) == []
