"""Fixtures for tests of discussions.

ada, bob   signed-in people with a namespace each; the repository is ada's
store      an empty store in a temporary directory
repo       the model `ada/demo` with some files on main
"""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import OPERATOR, Principal, people, principals
from gatekeeper.repos import AddFile, Repo, RepoKind, Store, catalogue, history
from gatekeeper.repos.storage import DirectoryStore

FILES = {"a.txt": b"one\ntwo\nthree\n", "folder/b.txt": b"b\n", "folder/c.txt": b"c\n"}


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await _person(session, "ada")


@pytest.fixture
async def bob(session: AsyncSession) -> Principal:
    return await _person(session, "bob")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = DirectoryStore(tmp_path / "files")
    store.prepare()
    return store


@pytest.fixture
async def repo(session: AsyncSession, ada: Principal) -> Repo:
    made = await catalogue.create(session, RepoKind.MODEL, "ada", "demo", by=ada)
    operations = [AddFile(path, content) for path, content in FILES.items()]
    await history.commit(session, made, "main", operations, summary="Files", by=ada)
    return made


async def _person(session: AsyncSession, name: str) -> Principal:
    person = await people.add(session, name, email=f"{name}@example.org", by=OPERATOR)
    await session.flush()
    return await principals.for_person(session, person)
