"""Two at once, on a real database file with two connections."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access
from gatekeeper.access import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio

Decide = Callable[[AsyncSession, AccessRequest, Principal], Awaitable[object]]


async def approve(session: AsyncSession, request: AccessRequest, by: Principal) -> object:
    return await access.approve(session, request, by=by)


async def reject(session: AsyncSession, request: AccessRequest, by: Principal) -> object:
    return await access.reject(session, request, by=by, reason="No.")


async def story(database: Database) -> tuple[Repo, Principal, Principal, Principal]:
    async with database.write() as session:
        owner, other, ada = [await make_person(session) for _ in range(3)]
        repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    return repo, owner, other, ada


async def submitted(database: Database, repo: Repo, ada: Principal) -> AccessRequest:
    async with database.write() as session:
        return await access.submit(session, ada, repo, fields=None, bundle=None)


@pytest.mark.parametrize(("first", "second"), [(approve, approve), (approve, reject), (reject, approve)])
async def test_second_of_two_decisions_learns_what_happened(database: Database, first: Decide, second: Decide) -> None:
    repo, owner, other, ada = await story(database)
    request = await submitted(database, repo, ada)
    async with database.read() as session:  # both reviewers look at the page before either decides
        seen = await access.get(session, request.id)
    async with database.write() as session:
        await first(session, request, owner)
    with pytest.raises(Conflict, match=f"by {owner.name}"):
        async with database.write() as session:
            await second(session, seen, other)
    async with database.read() as session:
        kinds = list(
            await session.scalars(
                sa.select(col(LedgerEvent.kind)).where(
                    col(LedgerEvent.subject_id) == request.id,
                    col(LedgerEvent.actor_id) != ada.person_id,
                    col(LedgerEvent.kind) != "access:request:activate",
                )
            )
        )
    assert len(kinds) == 1


async def test_of_many_simultaneous_decisions_one_wins(database: Database) -> None:
    repo, owner, other, ada = await story(database)
    request = await submitted(database, repo, ada)

    async def decide(number: int) -> bool:
        try:
            async with database.write() as session:
                mine = await access.get(session, request.id)
                await (approve if number % 2 else reject)(session, mine, owner if number % 3 else other)
        except Conflict:
            return False
        return True

    results = await asyncio.gather(*(decide(number) for number in range(12)))
    # a rejection may be turned into an approval, so at most these two follow each other
    assert 1 <= sum(results) <= 2
    async with database.read() as session:
        final = await access.get(session, request.id)
        grants = list(await session.scalars(sa.select(AccessGrant)))
    assert len(grants) == (1 if final.state is RequestState.ACTIVE else 0)


async def test_of_two_submissions_one_is_kept(database: Database) -> None:
    repo, _, _, ada = await story(database)

    async def send() -> bool:
        try:
            await submitted(database, repo, ada)
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(*(send() for _ in range(4)))) == [False, False, False, True]
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(AccessRequest)) == 1


async def test_unique_index_holds_where_both_looked_first(database: Database) -> None:
    repo, _, _, ada = await story(database)
    async with database.read() as session:
        session.add_all(AccessRequest(repo_id=repo.id, person_id=ada.person_id) for _ in range(2))
        with pytest.raises(sa.exc.IntegrityError):
            await session.flush()


async def test_withdrawal_and_approval_at_once_leave_one_of_them(database: Database) -> None:
    repo, owner, _, ada = await story(database)
    request = await submitted(database, repo, ada)
    async with database.read() as session:
        seen = await access.get(session, request.id)
    async with database.write() as session:
        await access.withdraw(session, request, by=ada)
    with pytest.raises(Conflict, match="withdrawn by the applicant"):
        async with database.write() as session:
            await access.approve(session, seen, by=owner)
    async with database.read() as session:
        assert (await session.scalars(sa.select(AccessGrant))).first() is None


async def withdraw(session: AsyncSession, request: AccessRequest, by: Principal) -> object:
    return await access.withdraw(session, request, by=by)


async def test_of_simultaneous_pairs_each_leaves_one_state_and_one_winner_in_the_log(database: Database) -> None:
    """Every pair has looked at the same request; GATEKEEPER_TEST_RACES says how many pairs there are."""
    pairs = int(os.environ.get("GATEKEEPER_TEST_RACES", "9"))
    repo, owner, other, _ = await story(database)
    acts = {"approve": approve, "reject": reject, "withdraw": withdraw}
    ends = {"approve": RequestState.ACTIVE, "reject": RequestState.REJECTED, "withdraw": RequestState.WITHDRAWN}
    for number in range(pairs):
        async with database.write() as session:
            person = await make_person(session)
        seen = await submitted(database, repo, person)
        chosen = [("approve", "reject"), ("reject", "withdraw"), ("withdraw", "approve")][number % 3]

        async def act(name: str, by: Principal, seen: AccessRequest = seen, person: Principal = person) -> str | None:
            try:
                async with database.write() as session:
                    await acts[name](session, seen, person if name == "withdraw" else by)
            except Conflict:
                return None
            return name

        results = await asyncio.gather(act(chosen[0], owner), act(chosen[1], other))

        [winner] = [result for result in results if result]
        async with database.read() as session:
            final = await access.get(session, seen.id)
            won = list(
                await session.scalars(
                    sa.select(col(LedgerEvent.kind)).where(
                        col(LedgerEvent.subject_id) == seen.id,
                        col(LedgerEvent.kind).in_([f"access:request:{name}" for name in acts]),
                    )
                )
            )
            grants = await session.scalar(sa.select(sa.func.count()).where(col(AccessGrant.request_id) == seen.id))
        assert final.state is ends[winner]
        assert won == [f"access:request:{winner}"]
        assert grants == (1 if winner == "approve" else 0)


async def test_a_reminder_never_tells_of_what_was_decided(database: Database) -> None:
    repo, owner, _, _ = await story(database)
    async with database.write() as session:
        people = [await make_person(session) for _ in range(6)]
    requests = [await submitted(database, repo, who) for who in people]

    async def decide(request: AccessRequest) -> None:
        async with database.write() as session:
            await access.approve(session, await access.get(session, request.id), by=owner)

    async def remind(request: AccessRequest) -> bool:
        async with database.write() as session:
            return await access.tell_of_delay(session, {"request_id": request.id, "round": request.round})

    for number, request in enumerate(requests):
        both = [decide(request), remind(request)]
        await asyncio.gather(*(both if number % 2 else reversed(both)))
        assert not await remind(request)

    async with database.read() as session:
        for request in requests:
            told = sa.select(col(LedgerEvent.kind)).where(col(LedgerEvent.subject_id) == request.id)
            kinds = list(await session.scalars(told.order_by(col(LedgerEvent.id))))
            assert kinds.count("access:request:approve") == 1
            if "access:request:overdue" in kinds:
                assert kinds.index("access:request:overdue") < kinds.index("access:request:approve")
