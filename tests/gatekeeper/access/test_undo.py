"""Undo: a decision that was a slip is taken back at once by who made it; what came of it meanwhile is never undone."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, ledger, notices
from gatekeeper.access import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices.tables import Notice
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio


async def story(database: Database) -> tuple[Repo, Principal, Principal, Principal, AccessRequest]:
    async with database.write() as session:
        owner, other, ada = [await make_person(session) for _ in range(3)]
        repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
        request = await access.submit(session, ada, repo, fields=None, bundle=None)
    return repo, owner, other, ada, request


async def use(session: AsyncSession, repo: Repo, ada: Principal) -> bool:
    """What a download does: it asks for the grant and leaves its event."""
    grant = await access.grant_in_force(session, ada.person_id or "", repo.id, now())
    if grant is not None:
        await ledger.record(session, "repos:file:download", actor=ada.person_id, repo=repo.id)
    return grant is not None


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_an_undone_decision_leaves_the_request_as_it_was_and_both_events(
    database: Database, decision: str
) -> None:
    _, owner, other, _, request = await story(database)
    async with database.write() as session:
        await _decide(session, request, decision, owner)
    async with database.write() as session:
        with pytest.raises(NotAllowed, match="who decided"):
            await access.undo(session, await access.get(session, request.id), by=other)
        await access.undo(session, await access.get(session, request.id), by=owner)
    async with database.read() as session:
        fresh = await access.get(session, request.id)
        kinds = list(await session.scalars(sa.select(col(LedgerEvent.kind)).where(col(LedgerEvent.actor_id) != "")))
        live = await session.scalar(sa.select(sa.func.count()).where(col(AccessGrant.revoked_at).is_(None)))
    assert (fresh.state, fresh.round, fresh.waiting_since, live) == (
        RequestState.IN_REVIEW,
        request.round,
        request.waiting_since,
        0,
    )
    assert (fresh.decided_by, fresh.reason, fresh.conditions) == (None, "", "")
    assert {f"access:request:{decision}", "access:request:undo"} <= set(kinds)


async def test_after_a_minute_a_decision_stays(database: Database) -> None:
    _, owner, _, _, request = await story(database)
    async with database.write() as session:
        await access.reject(session, request, by=owner, reason="No.")
    with time_machine.travel(now() + access.UNDO_WITHIN + timedelta(seconds=1)):
        async with database.write() as session:
            with pytest.raises(Conflict, match="for a minute"):
                await access.undo(session, await access.get(session, request.id), by=owner)


async def test_what_the_applicant_did_since_is_not_undone(database: Database) -> None:
    repo, owner, _, ada, request = await story(database)
    async with database.write() as session:
        await access.approve(session, request, by=owner, conditions="Tell us.")
        fresh = await access.get(session, request.id)
        await access.confirm(session, fresh, by=ada, conditions_sha256=access.digest_of_reason(fresh.conditions) or "")
    async with database.write() as session:
        with pytest.raises(Conflict, match="Something happened"):
            await access.undo(session, await access.get(session, request.id), by=owner)
        assert await use(session, repo, ada)


async def test_of_undo_and_use_at_once_one_happens(database: Database) -> None:
    for number in range(4):
        repo, owner, _, ada, request = await story(database)
        async with database.write() as session:
            await access.approve(session, request, by=owner)

        async def undo(request: AccessRequest = request, owner: Principal = owner) -> bool:
            try:
                async with database.write() as session:
                    await access.undo(session, await access.get(session, request.id), by=owner)
            except Conflict:
                return False
            return True

        async def download(repo: Repo = repo, ada: Principal = ada) -> bool:
            async with database.write() as session:
                return await use(session, repo, ada)

        both = [undo(), download()]
        assert sorted(await asyncio.gather(*(both if number % 2 else reversed(both)))) == [False, True]


async def test_of_two_undos_at_once_one_is_done(database: Database) -> None:
    _, owner, _, _, request = await story(database)
    async with database.write() as session:
        await access.approve(session, request, by=owner)
    async with database.read() as session:
        seen = await access.get(session, request.id)

    async def undo() -> bool:
        try:
            async with database.write() as session:
                await access.undo(session, seen, by=owner)
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(*(undo() for _ in range(3)))) == [False, False, True]


async def test_the_applicant_is_told_of_a_decision_that_stays_and_not_of_one_that_was_undone(
    database: Database,
) -> None:
    _, owner, _, ada, request = await story(database)
    async with database.write() as session:
        await access.reject(session, request, by=owner, reason="A slip.")
        await access.undo(session, await access.get(session, request.id), by=owner)
        await access.approve(session, await access.get(session, request.id), by=owner)
    async with database.write() as session:
        told = {
            event.kind: await notices.tell_applicant(session, {"event": event.id})
            for event in await session.scalars(
                sa.select(LedgerEvent).where(
                    col(LedgerEvent.kind).in_(["access:request:approve", "access:request:reject"])
                )
            )
        }
        [notice] = list(await session.scalars(sa.select(Notice)))
    assert told == {"access:request:reject": False, "access:request:approve": True}
    assert (notice.person_id, notice.kind) == (ada.person_id, "request-approved")


async def _decide(session: AsyncSession, request: AccessRequest, decision: str, by: Principal) -> None:
    if decision == "approve":
        await access.approve(session, request, by=by)
    else:
        await access.reject(session, request, by=by, reason="No.")
