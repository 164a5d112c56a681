"""Fixtures for tests of accounts.

cheap_passwords   argon2's cheapest profile for every test here
key               key of the hashes in the database
make_person       builder: await make_person("ada") -> Person
"""

from collections.abc import Awaitable, Callable, Iterator

import pytest
from argon2 import PasswordHasher, profiles
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Person, passwords, people

MakePerson = Callable[..., Awaitable[Person]]


@pytest.fixture(autouse=True)
def cheap_passwords() -> Iterator[None]:
    before = passwords.current_hasher()
    passwords.use_hasher(PasswordHasher.from_parameters(profiles.CHEAPEST))
    yield
    passwords.use_hasher(before)


@pytest.fixture
def key() -> bytes:
    return b"k" * 32


@pytest.fixture
def make_person(session: AsyncSession) -> MakePerson:
    async def make(name: str = "ada", **more: object) -> Person:
        return await people.add(session, name, **({"email": f"{name}@example.org"} | more))  # type: ignore[arg-type]

    return make
