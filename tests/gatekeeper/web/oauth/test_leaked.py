"""Whoever finds a token in the open can end it, and learns nothing by trying."""

import httpx2
import pytest

from gatekeeper import tokens
from gatekeeper.accounts import principals
from tests.gatekeeper.web.oauth import flow
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio


async def report(program: httpx2.AsyncClient, token: str) -> tuple[int, bytes]:
    answer = await program.post("/oauth/leaked", data={"token": token})
    return answer.status_code, answer.content


async def test_a_token_made_by_hand_ends_when_it_is_reported(site: Site, program: httpx2.AsyncClient) -> None:
    async with site.gatekeeper.db.write() as session:
        ada = await principals.for_person(session, site.people["ada"])
        _, secret = await tokens.issue(session, site.people["ada"], label="ci", key=site.gatekeeper.keys.tokens, by=ada)
    assert (await flow.whoami(program, secret)).status_code == 200
    assert await report(program, secret) == (204, b"")
    assert (await flow.whoami(program, secret)).status_code == 401
    assert (await flow.events(site))[-1].body == {"why": "reported as leaked"}


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_token_of_an_application_takes_its_grant_with_it(
    site: Site, program: httpx2.AsyncClient, which: str
) -> None:
    got = await flow.log_in(site, program)
    assert (await report(program, got[which]))[0] == 204
    assert (await flow.whoami(program, got["access_token"])).status_code == 401
    assert (await flow.refresh(program, got["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("token", ["", "gk_" + "A" * 44, "x" * 10_000, "\u00e9", "gk_\x00", "gr_" + "A" * 44])
async def test_what_is_no_token_is_answered_alike(site: Site, program: httpx2.AsyncClient, token: str) -> None:
    before = len(await flow.events(site))
    assert await report(program, token) == (204, b"")
    assert len(await flow.events(site)) == before
