"""The obvious way to build the gate, as a baseline: an ORM session, Cedar from text and a commit for each request.

Run by bench/gate.py under uvicorn. It checks the same things as the house does for one public file: the token's hash,
its person, the policies, and it leaves a row. Nothing is prepared or kept.
"""

import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import cedarpy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlmodel import Field, SQLModel, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SECRET = "gk_obvious"
POLICIES = "\n".join(
    f'@id("p{number}") permit(principal, action == Action::"download", resource)'
    f' when {{ resource.stage == "{stage}" && context.scope.contains("download") }};'
    for number, stage in enumerate(("internal", "trusted", "preview", "gated", "open") * 2)
)
_HEADERS = {"location": "http://127.0.0.1/elsewhere", "x-repo-commit": "b" * 40, "cache-control": "private, no-cache"}


class Owner(SQLModel, table=True):
    """A person."""

    id: int = Field(primary_key=True)
    name: str


class Token(SQLModel, table=True):
    """A token by its hash."""

    secret_hash: str = Field(primary_key=True)
    owner_id: int = Field(foreign_key="owner.id")


class Repository(SQLModel, table=True):
    """A repository with its stage."""

    name: str = Field(primary_key=True)
    stage: str


class Line(SQLModel, table=True):
    """A row of evidence."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex, primary_key=True)
    owner_id: int
    what: str
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['OBVIOUS_DATABASE']}")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Tables with one of each."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        if await session.get(Owner, 1) is None:
            session.add(Owner(id=1, name="bench"))
            session.add(Token(secret_hash=hashlib.sha256(SECRET.encode()).hexdigest(), owner_id=1))
            session.add(Repository(name="bench/model", stage="open"))
            await session.commit()
    yield


async def head(request: Request) -> Response:
    """A 302 for whoever may download."""
    secret = request.headers.get("authorization", "").removeprefix("Bearer ")
    name = f"{request.path_params['ns']}/{request.path_params['name']}"
    async with AsyncSession(engine) as session:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        token = (await session.execute(select(Token).where(Token.secret_hash == digest))).scalar_one_or_none()
        repository = await session.get(Repository, name)
        if token is None or repository is None:
            return Response(status_code=401)
        owner = await session.get(Owner, token.owner_id)
        assert owner is not None
        asked = {
            "principal": f'User::"{owner.id}"',
            "action": 'Action::"download"',
            "resource": f'Repo::"{repository.name}"',
            "context": {"scope": ["download"]},
        }
        entities = [
            {"uid": {"type": "Repo", "id": repository.name}, "attrs": {"stage": repository.stage}, "parents": []}
        ]
        if not cedarpy.is_authorized(asked, POLICIES, entities).allowed:
            return Response(status_code=403)
        session.add(Line(owner_id=owner.id, what=request.url.path))
        await session.commit()
    return Response(status_code=302, headers=_HEADERS)


app = Starlette(
    routes=[Route("/{ns}/{name}/resolve/{rev}/{path:path}", head, methods=["HEAD", "GET"])], lifespan=lifespan
)
