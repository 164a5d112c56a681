"""A token looked up by one plain statement stands for the same as by the verb, or is left to the verb."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import time_machine

from gatekeeper import tokens
from gatekeeper.accounts import OPERATOR, Organization, Person, Principal, Role, organizations, people, teams
from gatekeeper.accounts.principal import Reach
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import new_secret

pytestmark = pytest.mark.anyio
KEY = b"k" * 32


@pytest.fixture
async def at_once(database: Database) -> AsyncIterator[tokens.AtOnce]:
    lookup = tokens.AtOnce(database, key=KEY)
    yield lookup
    lookup.close()


async def _ada(database: Database) -> tuple[Person, Organization]:
    """ada, a maintainer of one organization and a guest with a team of another, which is returned."""
    async with database.write() as session:
        ada = await people.add(session, "ada", email="ada@example.org", is_admin=True, by=OPERATOR)
        await organizations.create(session, "lab", by=Principal(person_id=ada.id))
        other = await organizations.create(session, "works", by=OPERATOR)
        await organizations.add_member(session, other, ada, Role.GUEST, by=OPERATOR)
        team = await teams.create(session, other, "painters", by=OPERATOR)
        await teams.add(session, other, team, ada, by=OPERATOR)
    return ada, other


async def _issue(database: Database, ada: Person, **limits: object) -> str:
    async with database.write() as session:
        _, secret = await tokens.issue(session, ada, label=new_secret(""), key=KEY, **limits)  # type: ignore[arg-type]
    return secret


async def test_both_ways_find_the_same_principal(database: Database, at_once: tokens.AtOnce) -> None:
    ada, _ = await _ada(database)
    for limits in ({}, {"role": "write"}, {"expires_at": now() + timedelta(days=3)}):
        secret = await _issue(database, ada, **limits)

        found = at_once.resolve(secret)

        async with database.read() as session:
            assert found == await tokens.resolve(session, secret, key=KEY)
        assert found is not None
        assert len(found.in_teams) == len(found.organizations) == 1


async def test_what_is_not_ordinary_is_left_to_the_verb(database: Database, at_once: tokens.AtOnce) -> None:
    ada, other = await _ada(database)
    limited = await _issue(database, ada, reach=Reach(is_public=True))
    brief = await _issue(database, ada, expires_at=now() + timedelta(hours=1))
    plain = await _issue(database, ada)
    assert at_once.resolve(plain) is not None

    with time_machine.travel(now() + timedelta(hours=1)):
        assert at_once.resolve(brief) is None
    for secret in (limited, new_secret("gk_"), "", "\ud800", "x" * 100_000):
        assert at_once.resolve(secret) is None
    async with database.write() as session:
        await tokens.approval.set_policy(session, other, needs_approval=True, max_days=None, by=OPERATOR)
    assert at_once.resolve(plain) is None, "an organization of theirs has a word in it"


async def test_an_end_binds_on_the_next_look(database: Database, at_once: tokens.AtOnce) -> None:
    ada, _ = await _ada(database)
    revoked, kept = await _issue(database, ada), await _issue(database, ada)
    found = at_once.resolve(revoked)
    assert found is not None
    async with database.write() as session:
        await tokens.revoke(session, found.token_id or "", by=OPERATOR)
    assert at_once.resolve(revoked) is None
    assert at_once.resolve(kept) is not None

    async with database.write() as session:
        await people.add(session, "bob", email="bob@example.org", is_admin=True, by=OPERATOR)
        await people.disable(session, await people.find(session, "ada"), by=OPERATOR)  # type: ignore[arg-type]
    assert at_once.resolve(kept) is None
