"""The same statements on PostgreSQL: what locks, counts and cascades there differently than on SQLite."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gatekeeper import schema, tokens
from gatekeeper.accounts import (
    OPERATOR,
    Role,
    offers,
    organizations,
    people,
    principals,
    seen,
    sessions,
    sign_in,
    teams,
)
from gatekeeper.accounts.team_tables import TeamMember
from gatekeeper.accounts.throttle import PER_ACCOUNT
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, GatekeeperError, NotSignedIn, TooMany
from gatekeeper.repos import RepoKind, catalogue, team_rights
from tests.postgres import running_postgres

pytestmark = pytest.mark.anyio
KEY = b"k" * 32
PASSWORD = "correct horse battery"


async def test_identity_on_postgresql() -> None:
    with running_postgres() as url:
        database = Database(url)
        await schema.upgrade(database)
        await _guesses_at_once_are_counted(database)
        await _two_administrators_who_leave_at_once_leave_one(database)
        await _teams_and_invitations(database)
        await _sessions_and_tokens(database)
        await database.close()


async def _guesses_at_once_are_counted(database: Database) -> None:
    async with database.write() as session:
        await people.add(session, "ada", email="ada@example.org", password=PASSWORD)

    async def guess() -> str:
        try:
            await sign_in(database, "ada", "wrong wrong wrong", address="192.0.2.1", key=KEY)
        except (NotSignedIn, TooMany) as error:
            return type(error).__name__
        return "in"

    told = await asyncio.gather(*(guess() for _ in range(PER_ACCOUNT + 6)))
    assert sorted(told) == ["NotSignedIn"] * PER_ACCOUNT + ["TooMany"] * 6


async def _two_administrators_who_leave_at_once_leave_one(database: Database) -> None:
    async with database.write() as session:
        pair = [await people.add(session, name, email=f"{name}@example.org") for name in ("bob", "eve")]
        lab = await organizations.create(session, "lab", by=OPERATOR)
        for person in pair:
            await organizations.add_member(session, lab, person, Role.ADMIN, by=OPERATOR)

    async def leave(name: str) -> str:
        try:
            async with database.write() as session:
                person = await people.find(session, name)
                assert person is not None
                by = await principals.for_person(session, person)
                await organizations.remove_member(session, lab, person, by=by)
        except GatekeeperError as error:
            return type(error).__name__
        return "left"

    assert sorted(await asyncio.gather(leave("bob"), leave("eve"))) == [Conflict.__name__, "left"]


async def _teams_and_invitations(database: Database) -> None:
    async with database.write() as session:
        grace, tim = [await people.add(session, name, email=f"{name}@example.org") for name in ("grace", "tim")]
        by = await principals.for_person(session, grace)
        studio = await organizations.create(session, "studio", by=by)
        by = await principals.for_person(session, grace)
        offer = await offers.make(session, studio, tim, Role.GUEST, by=by)
        await offers.accept(session, offer.id, by=await principals.for_person(session, tim))
        team = await teams.create(session, studio, "readers", by=by)
        await teams.add(session, studio, team, tim, by=by)
        repo = await catalogue.create(session, RepoKind.MODEL, "studio", "one", by=by, private=True)
        await team_rights.give(session, studio, team, repo, Role.READ, by=by)
    async with database.write() as session:
        assert await team_rights.roles_of(session, tim.id, [repo]) == {repo.id: Role.READ}
        await organizations.remove_member(session, studio, tim, by=OPERATOR)
    async with database.read() as session:
        assert await team_rights.roles_of(session, tim.id, [repo]) == {}
        assert await session.scalar(sa.select(sa.func.count()).select_from(TeamMember)) == 0


async def _sessions_and_tokens(database: Database) -> None:
    async with database.write() as session:
        ada = await people.find(session, "ada")
        assert ada is not None
        browser, secret = await sessions.start(session, ada, key=KEY, user_agent="", days=1)
        token, held = await tokens.issue(session, ada, label="t", key=KEY)
    seen.saw(browser.id, "192.0.2.1")
    await seen.write_last_seen(database)
    async with database.write() as session:
        assert await sessions.resolve(session, secret, key=KEY, idle=timedelta(hours=1)) is not None
        assert (await tokens.resolve(session, held, key=KEY)).token_id == token.id
        await tokens.revoke(session, token.id, by=await principals.for_person(session, ada))
        await sessions.end_all(session, ada, by=OPERATOR)
    async with database.read() as session:
        assert await sessions.resolve(session, secret, key=KEY) is None
        with pytest.raises(NotSignedIn):
            await tokens.resolve(session, held, key=KEY)
