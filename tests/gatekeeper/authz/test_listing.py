"""Lists and single decisions agree, for every kind of repository and of person."""

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts import principals
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal
from gatekeeper.accounts.tables import Membership, Organization, Person, Role
from gatekeeper.accounts.team_tables import Team, TeamMember
from gatekeeper.authz import Action, Policies, decide, filter_known, listing_filter, load, visible
from gatekeeper.db import Database
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import team_rights
from gatekeeper.repos.tables import Gate, Repo, RepoKind
from gatekeeper.repos.team_rights import TeamRight
from tests.gatekeeper.authz.builders import NOW
from tests.gatekeeper.authz.folders import changed_folder

pytestmark = pytest.mark.anyio


async def make_world(session: AsyncSession) -> tuple[list[Repo], list[Principal]]:
    """Every kind of repository under a person and an organization, and every kind of person towards them."""
    ids = ["ada", "bob", "eve", "tess", "late", "root", "tim"]
    session.add_all(
        Person(id=name, name=name, name_key=name, email=f"{name}@example.org", email_key=f"{name}@example.org")
        for name in ids
    )
    session.add(Organization(id="acme", name="acme", name_key="acme"))
    await session.flush()
    kinds: list[dict[str, object]] = [
        {"is_private": is_private, "gate": gate} for is_private in (False, True) for gate in Gate
    ]
    ladders = [[stage] for stage in Stage] + [[], [Stage.DRAFT, Stage.OPEN], [Stage.INTERNAL, Stage.TRUSTED_TEST]]
    repos = []
    for owner in ({"owner_person_id": "ada"}, {"owner_organization_id": "acme"}):
        namespace = next(iter(owner.values()))
        for number, kind in enumerate(kinds):
            repos.append(
                Repo(namespace=namespace, name=f"plain-{number}", key=f"{namespace}-{number}", **owner, **kind)
            )
        for number, ladder in enumerate(ladders):
            repo = Repo(
                namespace=namespace, name=f"staged-{number}", key=f"{namespace}-s{number}", is_staged=True, **owner
            )
            repos.append(repo)
            session.add(repo)
            await session.flush()
            for place, stage in enumerate(ladder):
                side = {"held_at": NOW} if number % 3 == 1 else {"withdrawn_at": NOW} if number % 3 == 2 else {}
                session.add(
                    Release(repo_id=repo.id, commit_id=f"{place:040}", manifest_sha256="m", stage=stage, **side)
                )
    gone = Repo(namespace="ada", name="gone", key=None, owner_person_id="ada", deleted_at=NOW)
    session.add_all([*repos, gone])
    await session.flush()
    for repo in repos:
        session.add(AccessGrant(repo_id=repo.id, person_id="bob"))
        session.add(AccessGrant(repo_id=repo.id, person_id="tess", is_tester=True, ends_at=NOW + timedelta(seconds=1)))
        session.add(AccessGrant(repo_id=repo.id, person_id="late", is_tester=True, ends_at=NOW))
    await session.flush()
    tim = await make_team(session, [repo for repo in repos if repo.owner_organization_id])
    scopes = [None, frozenset({"read"}), frozenset({"admin", "read"}), frozenset[str]()]
    people = [
        Principal(person_id=name, name=name, is_admin=name == "root", organizations=roles, scopes=scope)
        for name in ids
        if name != "tim"
        for roles in ([{}, *({"acme": role} for role in Role)] if name == "eve" else [{}])
        for scope in (scopes if name in ("ada", "root") else [None])
    ]
    return repos, [ANONYMOUS, OPERATOR, tim, *people]


async def make_team(session: AsyncSession, repos: list[Repo]) -> Principal:
    """A guest whose team has each role in turn in every second of these repositories."""
    session.add(Team(id="team", organization_id="acme", name="team", name_key="team"))
    session.add(Membership(id="tim", organization_id="acme", person_id="tim", role=Role.GUEST))
    await session.flush()
    session.add(TeamMember(team_id="team", membership_id="tim"))
    for repo, role in zip(repos[::2], itertools.cycle(team_rights.ROLES), strict=False):
        session.add(TeamRight(team_id="team", repo_id=repo.id, role=role))
    await session.flush()
    return await principals.for_person(session, await session.get_one(Person, "tim"))


async def test_lists_and_single_decisions_agree(session: AsyncSession, policies: Policies) -> None:
    repos, principals = await make_world(session)
    counts = set()
    for principal in principals:
        single = {
            repo.name + repo.namespace
            for repo in repos
            if decide(policies, principal, Action.KNOW, await load(session, principal, repo), NOW)
        }
        condition = listing_filter(policies, principal, NOW)
        rows = (await session.scalars(sa.select(Repo).where(condition))).all()
        assert single <= {repo.name + repo.namespace for repo in rows}, "the filter leaves out what may be known"
        shown = await filter_known(session, policies, principal, rows, NOW)
        assert {repo.name + repo.namespace for repo in shown} == single, principal
        counts.add(len(single))
    assert len(counts) > 4  # the world really tells people apart


async def test_the_filter_leaves_little_to_the_single_decision(session: AsyncSession, policies: Policies) -> None:
    _, principals = await make_world(session)
    for principal in principals:
        rows = (await session.scalars(sa.select(Repo).where(listing_filter(policies, principal, NOW)))).all()
        shown = await filter_known(session, policies, principal, rows, NOW)
        assert len(shown) == len(rows), principal


async def test_a_page_costs_a_few_queries_however_long_it_is(database: Database, policies: Policies) -> None:
    async with database.write() as session:
        await make_world(session)
    statements: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    async with database.read() as session:
        found = await visible(session, policies, Principal(person_id="bob", name="bob"), None, instant=NOW, limit=100)
    assert len(found) > 8
    assert sum("SELECT" in statement for statement in statements) <= 8


async def test_pages_are_cut_and_narrowed(session: AsyncSession, policies: Policies) -> None:
    await make_world(session)
    every = await visible(session, policies, ANONYMOUS, RepoKind.MODEL, instant=NOW, limit=100)
    parts = [
        repo
        for offset in range(0, 100, 5)
        for repo in await visible(session, policies, ANONYMOUS, RepoKind.MODEL, instant=NOW, limit=5, offset=offset)
    ]
    assert [repo.id for repo in parts] == [repo.id for repo in every]
    assert await visible(session, policies, ANONYMOUS, RepoKind.SPACE, instant=NOW) == []
    own = await visible(
        session, policies, ANONYMOUS, None, instant=NOW, where=[sa.column("namespace") == "acme"], limit=100
    )
    assert {repo.namespace for repo in own} == {"acme"}


async def test_a_rule_that_takes_two_facts_at_once_is_followed_by_lists(session: AsyncSession, tmp_path: Path) -> None:
    """Members see what is internal only with a grant: neither the role nor the grant alone tells."""
    folder = changed_folder(
        tmp_path,
        know=(
            'context.isMember && resource.stage != "draft"',
            'context.isMember && context.grant && resource.stage != "draft"',
        ),
    )
    narrowed = Policies.load(folder)
    repos, _ = await make_world(session)
    bob = Principal(person_id="bob", name="bob", organizations={"acme": Role.READ})
    eve = Principal(person_id="eve", name="eve", organizations={"acme": Role.READ})
    counts = []
    for principal in (bob, eve):
        single = {
            repo.id
            for repo in repos
            if decide(narrowed, principal, Action.KNOW, await load(session, principal, repo), NOW)
        }
        rows = (await session.scalars(sa.select(Repo).where(listing_filter(narrowed, principal, NOW)))).all()
        shown = await filter_known(session, narrowed, principal, rows, NOW)
        assert {repo.id for repo in shown} == single
        counts.append(len(single))
    assert counts[0] > counts[1]
