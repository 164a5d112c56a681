"""Two at once on PostgreSQL, where writers do not wait for each other by themselves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, schema
from gatekeeper.access import AccessGrant, AccessRequest
from gatekeeper.accounts import Person, Principal, people
from gatekeeper.db import Database
from gatekeeper.errors import Conflict
from gatekeeper.kit.sealing import Box
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo
from tests.postgres import running_postgres

pytestmark = pytest.mark.anyio

Act = Callable[[AsyncSession], Awaitable[object]]
PAIRS = [("approve", "reject"), ("reject", "withdraw"), ("withdraw", "approve")] * 3


async def test_of_two_acts_at_once_one_wins_on_postgresql() -> None:
    with running_postgres() as url:
        database = Database(url, personal=lambda: Box(bytes(32)))
        await schema.upgrade(database)
        async with database.write() as session:
            owner, other = await make_person(session), await make_person(session)
            repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
        for pair in PAIRS:
            await _decided_once(database, repo, owner, pair)
        for _ in range(5):
            await _blocked_whole(database, repo, owner)
        await _given_once_and_revoked_whole(database, repo, owner, other)
        await database.close()


async def _decided_once(database: Database, repo: Repo, owner: Principal, pair: tuple[str, str]) -> None:
    async with database.write() as session:
        ada = await make_person(session)
        asked = await access.submit(session, ada, repo, fields=None, bundle=None)

    def act(name: str) -> Act:
        async def carry_out(session: AsyncSession) -> object:
            request = await session.merge(asked, load=False)  # both have looked at it before either decides
            match name:
                case "approve":
                    return await access.approve(session, request, by=owner)
                case "reject":
                    return await access.reject(session, request, by=owner, reason="No.")
            return await access.withdraw(session, request, by=ada)

        return carry_out

    won = await _at_once(database, *map(act, pair))
    assert sorted(won) == [False, True]
    async with database.read() as session:
        told = sa.select(col(LedgerEvent.kind)).where(
            col(LedgerEvent.subject_id) == asked.id,
            col(LedgerEvent.kind).in_([f"access:request:{name}" for name in ("approve", "reject", "withdraw")]),
        )
        assert list(await session.scalars(told)) == [f"access:request:{pair[won.index(True)]}"]
        assert await _open_grants(session, ada) == (1 if pair[won.index(True)] == "approve" else 0)


async def _blocked_whole(database: Database, repo: Repo, owner: Principal) -> None:
    async with database.write() as session:
        asked = await access.submit(session, await make_person(session), repo, fields=None, bundle=None)
        person = await session.get_one(Person, asked.person_id)

    async def approve(session: AsyncSession) -> object:
        return await access.approve(session, await session.merge(asked, load=False), by=owner)

    async def block(session: AsyncSession) -> object:
        return await access.block(session, person, by=owner, reason="Misuse.", is_revoking=True)

    assert (await _at_once(database, approve, block))[1]
    async with database.read() as session:
        assert await _open_grants(session, Principal(person.id, person.name)) == 0


async def _given_once_and_revoked_whole(database: Database, repo: Repo, owner: Principal, other: Principal) -> None:
    async with database.write() as session:
        eve = await make_person(session)
        person = await people.get(session, eve.person_id or "")
        assert person is not None

    def give(by: Principal, person: Person = person) -> Act:
        return lambda session: access.grant_directly(session, repo, person, by=by)

    assert sorted(await _at_once(database, give(owner), give(other))) == [False, True]
    async with database.write() as session:
        assert await _open_grants(session, eve) == 1
        request = await access.latest_request(session, person.id, repo.id)
        assert request is not None
        grant = await access.open_grant_of(session, request)
        assert grant is not None
        session.add(AccessGrant(repo_id=repo.id, person_id=person.id))  # as two at once could leave it before
        await session.flush()
        await access.revoke(session, grant, by=owner, reason="Misuse.")
        assert await _open_grants(session, eve) == 0


async def _at_once(database: Database, *acts: Act) -> list[bool]:
    """Carry each out in a transaction of its own, begun before any of them acts; which were not refused."""
    begun = asyncio.Barrier(len(acts))

    async def attempt(act: Act) -> bool:
        try:
            async with database.write() as session:
                await session.execute(sa.select(sa.func.count()).select_from(AccessRequest))
                await begun.wait()
                await act(session)
        except Conflict:
            return False
        return True

    return await asyncio.gather(*map(attempt, acts))


async def _open_grants(session: AsyncSession, who: Principal) -> int:
    found = sa.select(sa.func.count()).where(
        col(AccessGrant.person_id) == who.person_id, col(AccessGrant.revoked_at).is_(None)
    )
    return int(await session.scalar(found) or 0)
