"""Fixtures for tests of the doors.

site   a hub with people and nothing released yet (see site.py)
model  the model lab/emoji, released at the stage "gated"
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatekeeper.app import close
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import Site, open_site


@pytest.fixture
async def site(template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(template, data_dir / "gatekeeper.sqlite3")
    site = await open_site(data_dir)
    yield site
    await site.gatekeeper.studio.close()
    await close(site.gatekeeper)


@pytest.fixture
async def model(site: Site) -> Repo:
    return await site.model()
