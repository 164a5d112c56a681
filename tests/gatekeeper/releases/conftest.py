"""Fixtures for tests of releases.

owner     a person
repo      their staged repository: card, license, safetensors weights
release   its head, a draft
ladder    the bundled one
"""

import json
import struct

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.releases import Ladder, Release
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import LICENSE, make_person, make_repo

CARD = b"---\nlicense: other\npipeline_tag: text-to-image\n---\n" + b"Draws small pictures of everyday things. " * 4


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


@pytest.fixture
def ladder() -> Ladder:
    return Ladder.load()


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session)


@pytest.fixture
async def repo(session: AsyncSession, owner: Principal) -> Repo:
    files = {"README.md": CARD, "LICENSE": LICENSE, "unet/model.safetensors": safetensors(), "model_index.json": b"{}"}
    made, _ = await make_repo(session, owner, files=files)
    await releases.enable_staging(session, made, by=owner)
    return made


@pytest.fixture
async def release(session: AsyncSession, repo: Repo) -> Release:
    [made] = await releases.list_for(session, repo)
    return made
