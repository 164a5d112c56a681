"""Asking any route, with whatever its path names, and keeping nothing of it.

kept  fixture: write transactions of requests are rolled back meanwhile, and those with something to keep are counted
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.db import Database
from gatekeeper.web.routing import RawRoute
from tests.agreement.hub import Hub

# Set while a request is made. What the server does on its own account meanwhile runs outside of it.
_asking: ContextVar[bool] = ContextVar("asking", default=False)
_VALUES = {
    "kind": "models",
    "rev": "main",
    "num": "1",
    "branch": "main",
    "target": "main",
    "range": "main..main",
    "path": "config.json",
    "sha256": "0" * 64,
    "id": "0" * 26,
}


class Kept:
    """How many transactions of requests would have been committed with something in them."""

    count = 0


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    kept, written = Kept(), Database.write

    @asynccontextmanager
    async def write(database: Database) -> AsyncIterator[AsyncSession]:
        if not _asking.get():
            async with written(database) as session:
                yield session
            return
        async with AsyncSession(database._writers, expire_on_commit=False) as session:
            await session.begin()
            try:
                yield session
                await session.flush()
                kept.count += 1
            finally:
                await session.rollback()

    monkeypatch.setattr(Database, "write", write)
    return kept


def ask(
    hub: Hub, route: RawRoute, method: str, credential: Mapping[str, str], *, namespace: str, name: str
) -> httpx2.Response:
    """One request to a route, about the repository `namespace/name` where it names one."""
    values = _VALUES | {"ns": namespace, "name": name}
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: values.get(found[1], "0"), route.pattern)
    options: dict[str, Any] = {} if method in ("GET", "HEAD") else {"json": {}}
    token = _asking.set(True)
    try:
        return hub.ask(method, path, credential, **options)
    finally:
        _asking.reset(token)
