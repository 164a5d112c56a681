"""Fixtures for tests of accounts.

key           key of the hashes in the database
make_person   builder: await make_person("ada") -> Person
"""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Person, people

MakePerson = Callable[..., Awaitable[Person]]


@pytest.fixture
def key() -> bytes:
    return b"k" * 32


@pytest.fixture
def make_person(session: AsyncSession) -> MakePerson:
    async def make(name: str = "ada", **more: object) -> Person:
        return await people.add(session, name, **({"email": f"{name}@example.org"} | more))  # type: ignore[arg-type]

    return make
