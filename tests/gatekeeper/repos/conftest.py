"""Fixtures and builders for tests of repositories.

ada, grace   signed-in people with a namespace each
store        an empty store in a temporary directory
bucket       an empty store in a bucket of a real S3 server
any_store    both, one after the other: for what must hold wherever files lie
repo         the model `ada/demo`, as `create` leaves it
stored       puts bytes into the store and lets a repository refer to them
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Person
from gatekeeper.kit.ids import new_id
from gatekeeper.repos import Repo, RepoKind, RepoObject, StoredObject, catalogue
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.storage import BucketStore, DirectoryStore, Store, open_store
from gatekeeper.settings import Settings
from tests.seaweed import Seaweed

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
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "files")
    store.prepare()
    return store


@pytest.fixture
def bucket(seaweed: Seaweed, tmp_path: Path) -> BucketStore:
    settings = Settings(data_dir=tmp_path / "data", _env_file=None, **seaweed.settings(new_id()))
    store = open_store(settings)
    assert isinstance(store, BucketStore)
    return store


@pytest.fixture(params=["directory", "bucket"])
def any_store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue("store" if request.param == "directory" else "bucket")


@pytest.fixture
async def repo(session: AsyncSession, ada: Principal) -> Repo:
    return await catalogue.create(session, RepoKind.MODEL, "ada", "demo", by=ada)


async def put(store: Store, content: bytes, *, limit: int | None = None, **announced: Any) -> str:
    """Store `content`; its digest."""
    async with store.stage(limit=limit) as staged:
        await staged.write(content)
        return await staged.keep(**announced)


@pytest.fixture
def stored(session: AsyncSession, store: Store) -> Stored:
    async def store_for(repo: Repo, content: bytes) -> str:
        sha256 = await put(store, content)
        assert sha256 == hashlib.sha256(content).hexdigest()
        await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": len(content)}])
        await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])
        return sha256

    return store_for
