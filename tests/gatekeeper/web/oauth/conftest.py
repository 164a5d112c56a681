"""Fixtures for tests of the authorization server's door.

site      a hub that people reach over TLS, as applications demand
program   a client without cookies: a program
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gatekeeper.app import close
from tests.gatekeeper.web.site import Site, open_site


@pytest.fixture
async def site(template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(template, data_dir / "gatekeeper.sqlite3")
    site = await open_site(data_dir, url="https://hub.test")
    yield site
    await site.gatekeeper.studio.close()
    await close(site.gatekeeper)


@pytest.fixture
async def program(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site.app), base_url=site.url) as client:
        yield client
