"""The steps of the flows, as programs and people take them."""

from typing import Any

import httpx2
import sqlalchemy as sa

from gatekeeper.ledger import LedgerEvent
from gatekeeper.tokens.oauth import HUB_CLI_ID
from tests.gatekeeper.web.site import Site

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


async def begin(program: httpx2.AsyncClient, **more: str) -> dict[str, Any]:
    """A program asks for codes."""
    answer = await program.post("/oauth/device", data={"client_id": HUB_CLI_ID} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def poll(program: httpx2.AsyncClient, device_code: str, **more: str) -> httpx2.Response:
    """A program asks whether it was let in."""
    sent = {"grant_type": DEVICE_CODE, "device_code": device_code, "client_id": HUB_CLI_ID}
    return await program.post("/oauth/token", data=sent | more)


async def answer(
    browser: httpx2.AsyncClient, user_code: str, *, scopes: tuple[str, ...] = ("read", "write"), decision: str = "allow"
) -> httpx2.Response:
    """A person decides on the page."""
    return await browser.post("/device", data={"user_code": user_code, "scopes": scopes, "decision": decision})


async def log_in(site: Site, program: httpx2.AsyncClient, name: str = "ada", **options: Any) -> dict[str, Any]:
    """The whole device flow; returns the token endpoint's answer."""
    codes = await begin(program)
    browser = await site.as_(name)
    done = await answer(browser, codes["user_code"], **options)
    assert done.status_code == 200, done.text
    got = await poll(program, codes["device_code"])
    assert got.status_code == 200, got.text
    return got.json()


async def refresh(program: httpx2.AsyncClient, token: str, **more: str) -> httpx2.Response:
    """A program renews its token."""
    sent = {"grant_type": "refresh_token", "refresh_token": token, "client_id": HUB_CLI_ID}
    return await program.post("/oauth/token", data=sent | more)


async def whoami(program: httpx2.AsyncClient, token: str) -> httpx2.Response:
    """Who the hub says this token is."""
    return await program.get("/api/whoami-v2", headers={"Authorization": f"Bearer {token}"})


async def events(site: Site) -> list[LedgerEvent]:
    """The evidence so far, oldest first."""
    async with site.gatekeeper.db.read() as session:
        return list(await session.scalars(sa.select(LedgerEvent).order_by(LedgerEvent.id)))
