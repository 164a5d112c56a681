"""Fixtures and builders for tests of repositories.

ada, grace   signed-in people with a namespace each
store        an empty store in a temporary directory
repo         the model `ada/demo`, as `create` leaves it
stored       puts bytes into the store and lets a repository refer to them
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Person
from gatekeeper.repos import Repo, RepoKind, RepoObject, Store, StoredObject, catalogue
from gatekeeper.repos.rows import insert_missing

Stored = Callable[[Repo, bytes], Awaitable[str]]


async def make_person(session: AsyncSession, name: str) -> Principal:
    email = f"{name}@example.org"
    person = Person(name=name, name_key=name.lower(), email=email, email_key=email)
    session.add(person)
    await session.flush()
    session.add(Namespace(key=name.lower(), name=name, skeleton=name.lower(), person_id=person.id))
    await session.flush()
    return Principal(person_id=person.id, name=name)


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session, "ada")


@pytest.fixture
async def grace(session: AsyncSession) -> Principal:
    return await make_person(session, "grace")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "files")
    store.prepare()
    return store


@pytest.fixture
async def repo(session: AsyncSession, ada: Principal) -> Repo:
    return await catalogue.create(session, RepoKind.MODEL, "ada", "demo", by=ada)


@pytest.fixture
def stored(session: AsyncSession, store: Store) -> Stored:
    async def put(repo: Repo, content: bytes) -> str:
        sha256 = await store.add_bytes(content)
        assert sha256 == hashlib.sha256(content).hexdigest()
        await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": len(content)}])
        await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])
        return sha256

    return put
