"""Signing in: what it says, what it counts, and what it must not give away."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from argon2 import PasswordHasher

from gatekeeper.accounts import OPERATOR, passwords, people, sessions, sign_in, throttle
from gatekeeper.accounts.tables import BrowserSession, SignInAttempt
from gatekeeper.db import Database
from gatekeeper.errors import NotSignedIn, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


@pytest.fixture
async def ada(database: Database) -> people.Person:
    async with database.write() as session:
        return await people.add(session, "Ada", email="ada@example.org", password=PASSWORD)


async def attempt(database: Database, key: bytes, name: str = "ada", password: str = PASSWORD, **more):
    return await sign_in(database, name, password, **({"address": "192.0.2.7", "key": key} | more))


@pytest.mark.parametrize("name", ["ada", "ADA", "Ada@Example.org"])
async def test_name_or_address_and_password_start_a_session(database: Database, ada, key, name: str) -> None:
    signed_in = await attempt(database, key, name)
    async with database.read() as session:
        principal = await sessions.resolve(session, signed_in.secret, key=key)
        events = list(await session.scalars(sa.select(LedgerEvent.kind)))
    assert principal.person_id == ada.id
    assert principal.session_id == signed_in.browser.id
    assert "accounts:session:start" in events


async def test_unknown_names_wrong_passwords_and_disabled_people_get_the_same_answer(database, ada, key) -> None:
    async with database.write() as session:
        bob = await people.add(session, "bob", email="bob@example.org", password=PASSWORD)
        await people.disable(session, bob, by=OPERATOR)
        await people.add(session, "carol", email="carol@example.org")
    said = set()
    tries = [("nobody", PASSWORD), ("ada", "wrong " * 3), ("bob", PASSWORD), ("carol", PASSWORD), ("carol", "")]
    for name, password in [*tries, ("ada", "x" * 2000), ("\ud800", "\udfff" * 12), ("a@b", "\x00" * 12)]:
        with pytest.raises(NotSignedIn) as caught:
            await attempt(database, key, name, password)
        said.add((caught.value.message, caught.value.next_step, caught.value.code))
    assert len(said) == 1


async def test_an_unknown_name_costs_as_much_hashing_as_a_known_one(database, ada, key, monkeypatch) -> None:
    verified = []

    class Counting(PasswordHasher):
        def verify(self, hash, password):
            verified.append(hash)
            return super().verify(hash, password)

    passwords.use_hasher(Counting(time_cost=1, memory_cost=8, parallelism=1))
    for name in ("ada", "nobody"):
        with pytest.raises(NotSignedIn):
            await attempt(database, key, name, "wrong " * 3)
    assert len(verified) == 2


async def test_failures_are_counted_for_an_account_and_say_when_to_come_back(database, ada, key) -> None:
    for number in range(throttle.PER_ACCOUNT):
        with pytest.raises(NotSignedIn):
            await attempt(
                database, key, ("ada", "ADA@example.org")[number % 2], "wrong " * 3, address=f"192.0.2.{number}"
            )
    with pytest.raises(TooMany) as caught:
        await attempt(database, key, address="198.51.100.1")
    assert 0 < caught.value.details["retry_after_seconds"] <= throttle.WINDOW_SECONDS
    with time_machine.travel(now() + timedelta(seconds=throttle.WINDOW_SECONDS + 1), tick=True):
        assert await attempt(database, key)


async def test_names_that_nobody_has_are_throttled_alike(database, key) -> None:
    for _ in range(throttle.PER_ACCOUNT):
        with pytest.raises(NotSignedIn):
            await attempt(database, key, "nobody")
    with pytest.raises(TooMany):
        await attempt(database, key, "NOBODY")


async def test_failures_are_counted_for_an_address_over_many_names(database, key) -> None:
    for number in range(throttle.PER_ADDRESS):
        with pytest.raises(NotSignedIn):
            await attempt(database, key, f"name{number}")
    with pytest.raises(TooMany):
        await attempt(database, key, "yet-another")
    with pytest.raises(NotSignedIn):
        await attempt(database, key, "yet-another", address="2001:db8::1")


async def test_a_hundred_guesses_at_once_are_not_all_tried(database, ada, key) -> None:
    outcomes = await asyncio.gather(
        *(attempt(database, key, password=f"guess number {n}", address=f"a{n}") for n in range(30)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, NotSignedIn) for outcome in outcomes) == throttle.PER_ACCOUNT
    assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 30 - throttle.PER_ACCOUNT


async def test_success_is_not_counted(database, ada, key) -> None:
    for _ in range(throttle.PER_ACCOUNT + 2):
        await attempt(database, key)
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(SignInAttempt)) == 0


async def test_neither_name_nor_address_is_stored_in_clear(database, ada, key) -> None:
    with pytest.raises(NotSignedIn):
        await attempt(database, key, "nobody-at-all", address="203.0.113.9")
    async with database.read() as session:
        rows = (await session.execute(sa.select(SignInAttempt.name_hash, SignInAttempt.address_hash))).all()
    assert len(rows) == 1
    assert "nobody" not in str(rows)
    assert "203.0.113" not in str(rows)


async def test_the_session_that_was_there_before_ends(database, ada, key) -> None:
    first = await attempt(database, key)
    second = await attempt(database, key, replaces=first.browser.id)
    async with database.read() as session:
        assert first.secret != second.secret
        assert await sessions.resolve(session, first.secret, key=key) is None
        assert await sessions.resolve(session, second.secret, key=key)


async def test_an_old_hash_is_renewed(database, ada, key) -> None:
    before = ada.password_hash
    passwords.use_hasher(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    await attempt(database, key)
    async with database.read() as session:
        after = (await people.find(session, "ada")).password_hash
    assert after != before
    assert "t=2" in after
    await attempt(database, key)


async def test_old_attempts_and_sessions_are_forgotten(database, ada, key) -> None:
    await attempt(database, key, days=1)
    with pytest.raises(NotSignedIn):
        await attempt(database, key, password="wrong " * 3)
    with time_machine.travel(now() + timedelta(days=32), tick=True):
        async with database.write() as session:
            await throttle.clean_up(session)
            await sessions.clean_up(session)
            for table in (SignInAttempt, BrowserSession):
                assert await session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
