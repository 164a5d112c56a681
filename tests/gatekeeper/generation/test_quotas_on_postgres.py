"""Reservations by many at once on PostgreSQL, where writers do not wait for each other by themselves."""

import asyncio
from dataclasses import replace

import pytest

from gatekeeper import schema
from gatekeeper.accounts import OPERATOR, Principal, Role, organizations, people, principals
from gatekeeper.db import Database
from gatekeeper.errors import TooMany
from gatekeeper.generation import Budget, Once, quotas, usage
from gatekeeper.kit.clock import now
from tests.gatekeeper.generation.test_admission import SAFETY, admitted
from tests.gatekeeper.licensing.builders import make_person, make_repo
from tests.postgres import running_postgres

pytestmark = pytest.mark.anyio

SHARED = replace(SAFETY, organization=Budget(6, 10_000, 100))


async def test_quotas_and_keys_hold_against_many_at_once() -> None:
    with running_postgres() as url:
        database = Database(url)
        await schema.upgrade(database)
        async with database.write() as session:
            place = await make_repo(session, await make_person(session))
            lab = await organizations.create(session, "lab", by=OPERATOR)
            members = []
            for name in ("grace", "alan"):
                person = await people.add(session, name, email=f"{name}@example.org")
                await organizations.add_member(session, lab, person, Role.READ, by=OPERATOR)
                members.append(await principals.for_person(session, person))

        async def attempt(person: Principal, once: Once | None = None) -> str | None:
            try:
                async with database.write() as session:
                    return (await admitted(session, person, place, images=2, safety=SHARED, once=once)).made.id
            except TooMany:
                return None

        same = await asyncio.gather(*(attempt(members[0], Once("key")) for _ in range(6)))
        assert len(set(same)) == 1
        ids = await asyncio.gather(*(attempt(members[number % 2]) for number in range(12)))
        assert len([id for id in ids if id]) == 2  # three orders of two images fill the six of the lab
        async with database.read() as session:
            scopes = await quotas.scopes(session, members[0], SHARED, [(place[0], SHARED.at(None))])
            [_, own, of_lab] = await quotas.standings(session, scopes)
            assert of_lab.images == 6
            assert own.running >= 1
            orders = usage.of_people(lab, now() - quotas.WINDOW)
            models, days = await usage.by_model(session, orders, lab), await usage.by_day(session, orders)
            assert ([sum.orders for sum in models.values()], list(models)) == ([3], [""])
            assert sum(day.orders for day in days.values()) == 3
            assert "grace" in await usage.by_member(session, orders)
            assert [line.ordered for line in await usage.lines(session, orders, limit=9, owner=lab)] == [2, 2, 2]
            assert len(await usage.standings(session, members[0], SHARED)) == 3
        await database.close()
