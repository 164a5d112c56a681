"""A change of policies binds on the next request, in every door, without a restart."""

from pathlib import Path

import httpx2
import pytest

from gatekeeper import authz
from gatekeeper.accounts.principal import OPERATOR
from tests.gatekeeper.authz.folders import changed_folder
from tests.gatekeeper.web.site import URL, Site

pytestmark = pytest.mark.anyio


async def test_policies_put_in_force_bind_on_the_next_request_and_so_does_taking_them_back(
    site: Site, tmp_path: Path
) -> None:
    gatekeeper = site.gatekeeper
    folder = changed_folder(tmp_path, know=("// Who knows", "// Changed. Who knows"))
    transport = httpx2.ASGITransport(app=site.app)
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as browser:
        await browser.get("/api/models")
        before = gatekeeper.policies.sha256
        async with gatekeeper.db.write() as session:
            await authz.follow_folder(session, gatekeeper.policies)
            row = await authz.activate(session, folder, by=OPERATOR, note="A clearer comment.")
        await browser.get("/api/models")
        assert gatekeeper.policies.sha256 == row.bundle_sha256 != before
        assert gatekeeper.policies.directory is not None
        async with gatekeeper.db.write() as session:
            await authz.roll_back(session, by=OPERATOR, note="It was clearer before.")
        await browser.get("/api/models")
        assert gatekeeper.policies.sha256 == before
