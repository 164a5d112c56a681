"""Who can do what, and who would gain or lose by other policies."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, ledger
from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts.tables import Person
from gatekeeper.authz import Action, Policies
from gatekeeper.repos.tables import Gate, Repo
from gatekeeper.tokens import AccessToken, Scope
from tests.gatekeeper.authz.builders import NOW
from tests.gatekeeper.authz.folders import changed_folder

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
async def gated(session: AsyncSession) -> Repo:
    """ada owns it; bob holds a grant for an hour, late held one; root runs the hub; eve has no part in it."""
    for name in ("ada", "bob", "eve", "late", "root", "off"):
        session.add(
            Person(
                id=name,
                name=name,
                name_key=name,
                email=f"{name}@example.org",
                email_key=f"{name}@example.org",
                is_admin=name == "root",
                is_disabled=name == "off",
            )
        )
    await session.flush()
    repo = Repo(namespace="ada", name="gated", key="models/ada/gated", owner_person_id="ada", gate=Gate.MANUAL)
    session.add(repo)
    await session.flush()
    session.add(AccessGrant(repo_id=repo.id, person_id="bob", ends_at=NOW + HOUR))
    session.add(AccessGrant(repo_id=repo.id, person_id="late", ends_at=NOW))
    session.add(AccessGrant(repo_id=repo.id, person_id="off"))
    await session.flush()
    return repo


async def test_who_names_everybody_who_may_and_until_when(
    session: AsyncSession, policies: Policies, gated: Repo
) -> None:
    found = await authz.who(session, policies, Action.DOWNLOAD, gated, instant=NOW)
    assert [(able.name, able.valid_until) for able in found.people] == [("ada", None), ("bob", NOW + HOUR)]
    assert found.people[1].rules == ("gated-repositories",)
    assert (found.audience, found.asked) == ("", 5)
    assert "bob (gated-repositories), until" in found.text
    known = await authz.who(session, policies, Action.KNOW, gated, instant=NOW)
    assert known.audience == "everyone"
    asking = await authz.who(session, policies, Action.REQUEST_ACCESS, gated, instant=NOW)
    assert asking.audience == "signed-in"


async def test_a_simulation_names_who_gains_and_who_loses(
    session: AsyncSession, policies: Policies, gated: Repo, tmp_path: Path
) -> None:
    changed = Policies.load(
        changed_folder(
            tmp_path,
            files=("context.grant && (context.termsAccepted || !resource.hasTerms)", "context.isSiteAdmin"),
        )
    )
    found = await authz.simulate(session, policies, changed, instant=NOW)
    told = {(change.who, change.action, change.is_gain) for change in found.rights}
    assert ("bob", Action.DOWNLOAD, False) in told
    assert ("root", Action.DOWNLOAD, True) in told
    assert {change.who for change in found.rights} == {"bob", "root"}
    assert found.decisions >= 100
    assert "loses: bob download ada/gated (no rule allows it)" in found.text
    assert "gains: root download ada/gated (by gated-repositories)" in found.text


async def test_acts_of_the_log_are_decided_again_on_todays_facts(
    session: AsyncSession, policies: Policies, gated: Repo, tmp_path: Path
) -> None:
    await session.flush()
    for actor, action in (("bob", "download"), ("bob", "download"), ("ada", "read_card"), ("late", "download")):
        await ledger.record(
            session, "repos:file:download", actor=actor, repo=gated.id, body={"action": action, "path": "w.bin"}
        )
    await session.flush()
    changed = Policies.load(changed_folder(tmp_path, files=("context.grant && (", "context.tester && (")))
    found = await authz.simulate(session, policies, changed, instant=NOW)
    assert [(change.who, change.action, change.is_gain) for change in found.acts] == [("bob", Action.DOWNLOAD, False)]
    assert found.replayed == 3  # the same act twice is one; late may not by either


async def test_a_change_of_the_rules_about_tokens_is_seen(
    session: AsyncSession, policies: Policies, gated: Repo, tmp_path: Path
) -> None:
    token = AccessToken(person_id="bob", label="x", secret_hash="x", hint="x", role="read", scopes=["read"])
    session.add(token)
    await session.flush()
    for used in (token.id, token.id, "gone"):
        body = {"action": "download", "path": "w.bin"}
        await ledger.record(session, "repos:file:download", actor="bob", token=used, repo=gated.id, body=body)
    await session.flush()
    needed = '!context.scopes.contains("download") };'
    changed = Policies.load(changed_folder(tmp_path, tokens=(needed, "context.scopes.isEmpty() };")))
    found = await authz.simulate(session, policies, changed, instant=NOW)
    assert [(change.who, change.token) for change in found.acts] == [("bob", "of the scopes read")]
    assert (found.replayed, found.lost_tokens) == (2, 1)
    told = {(change.token, change.is_gain) for change in found.rights}
    assert told == {(f"with the scope {scope} alone", True) for scope in Scope if scope is not Scope.DOWNLOAD}
    assert "gains: ada, for one, download ada/gated with a token with the scope read alone" in found.text
    assert "(2 decided again, 1 of them without their token, which is gone)" in found.text


async def test_the_matrix_of_audiences_is_compared(session: AsyncSession, policies: Policies, tmp_path: Path) -> None:
    changed = Policies.load(
        changed_folder(tmp_path, files=('when { resource.stage == "open" };', 'when { resource.stage == "gated" };'))
    )
    found = await authz.simulate(session, policies, changed, instant=NOW)
    assert "  small files (config, tokenizer) at gated: with access becomes everyone" in found.text
    assert "  small files (config, tokenizer) at open: everyone becomes members" in found.text
    unchanged = await authz.simulate(session, policies, policies, instant=NOW)
    assert (unchanged.cells, unchanged.rights, unchanged.acts) == ([], [], [])
    assert "nothing changes" in unchanged.text
