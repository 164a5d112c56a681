"""Fixtures for signing in through providers: two real ones, and a hub that knows both.

company, partner  providers that run for the whole session; what they say of people is as at the start in each test
hub               a site that knows both, in whose organization "lab" a group of the company's has a role
"""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatekeeper.app import close
from tests.gatekeeper.web.site import URL, Site, open_site
from tests.identity_provider import PEOPLE, IdentityProvider, entry, identity_provider

RULES = """
[[company.roles]]
value = "researchers"
organization = "lab"
role = "write"
[[company.roles]]
value = "heads"
organization = "lab"
role = "admin"
[company.administrators]
claim = "groups"
value = "hub-admins"
"""


@pytest.fixture(scope="session")
def _company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with identity_provider(tmp_path_factory.mktemp("company"), hub=URL, name="company") as provider:
        yield provider


@pytest.fixture(scope="session")
def _partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with identity_provider(tmp_path_factory.mktemp("partner"), hub=URL, name="partner") as provider:
        yield provider


@pytest.fixture
def company(_company: IdentityProvider) -> IdentityProvider:
    return _fresh(_company)


@pytest.fixture
def partner(_partner: IdentityProvider) -> IdentityProvider:
    return _fresh(_partner)


@pytest.fixture
async def hub(
    template: Path, tmp_path: Path, company: IdentityProvider, partner: IdentityProvider
) -> AsyncIterator[Site]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(template, data_dir / "gatekeeper.sqlite3")
    file = tmp_path / "identity.toml"
    file.write_text(entry(company, "company") + RULES + entry(partner, "partner", admits='"invited"'))
    site = await open_site(data_dir, identity_file=file)
    yield site
    await site.gatekeeper.studio.close()
    await close(site.gatekeeper)


def _fresh(provider: IdentityProvider) -> IdentityProvider:
    provider.accounts.clear()
    provider.accounts.update(json.loads(json.dumps(PEOPLE)))
    provider.say("bea")
    return provider
