"""A site made with the public client's helper, `attach_huggingface_oauth`, signs people in with this hub."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import httpx2

from tests.wire.server import Hub

BACK = "https://app.test/oauth/huggingface/callback?_target_url=%2F%3F"

SITE = """
import asyncio, re
from html import unescape
import httpx2
from fastapi import FastAPI, Request
from huggingface_hub import attach_huggingface_oauth, parse_huggingface_oauth

app = FastAPI()
attach_huggingface_oauth(app)

@app.get("/")
def me(request: Request):
    found = parse_huggingface_oauth(request)
    user = found.user_info
    return {
        "token": found.access_token, "scope": found.scope, "name": user.preferred_username, "sub": user.sub,
        "email": user.email, "verified": user.email_verified, "pro": user.is_pro, "profile": user.profile,
        "orgs": [(org.preferred_username, org.role_in_org) for org in user.orgs or []],
    }

async def go():
    site = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="https://app.test")
    browser = httpx2.AsyncClient(base_url=values["hub"], headers={"accept": "text/html"}, trust_env=False)
    async with site, browser:
        signed_in = await browser.post("/login", data={"name": "bob", "password": values["password"]})
        assert signed_in.status_code == 303
        away = await site.get("/oauth/huggingface/login")
        page = await browser.get(away.headers["location"])
        assert page.status_code == 200, page.text
        hidden = dict(re.findall(r'<input type="hidden"\\s+name="([^"]+)"\\s+value="([^"]*)"', page.text))
        sent = {name: unescape(value) for name, value in hidden.items()} | {"decision": "allow"}
        back = await browser.post("/oauth/authorize", data=sent)
        home = await site.get(back.headers["location"])
        assert home.status_code == 307, home.text
        return (await site.get(home.headers["location"])).json()

answer = asyncio.run(go())
"""


def test_the_public_clients_helper_signs_people_in(hub: Hub, run_client: Callable[..., Any]) -> None:
    with httpx2.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"accept": "text/html"}) as browser:
        browser.post("/login", data={"name": "ada", "password": "correct horse battery staple"})
        form = {"name": "Gallery", "redirect_uris": BACK, "scopes": ["profile", "email", "read"], "without_pkce": "yes"}
        page = unescape(browser.post("/settings/applications/own", data=form).text)
    secret = re.search(r"gcs_\w{44}", page)
    client_id = re.search(r"/settings/applications/own/(\w{26})/remove", page)
    assert secret is not None
    assert client_id is not None
    env = {
        "SPACE_ID": "ada/gallery",
        "OAUTH_CLIENT_ID": client_id[1],
        "OAUTH_CLIENT_SECRET": secret[0],
        "OAUTH_SCOPES": "openid profile email read",
        "OPENID_PROVIDER_URL": hub.url,
    }
    got = run_client(SITE, person=None, env=env, hub=hub.url, password="correct horse battery staple")
    assert (got["name"], got["email"], got["verified"], got["pro"]) == ("bob", "bob@example.org", False, False)
    assert got["profile"] == f"{hub.url}/bob"
    assert set(got["scope"].split()) == {"openid", "profile", "email", "read"}
    with httpx2.Client(base_url=hub.url, trust_env=False, headers={"Authorization": f"Bearer {got['token']}"}) as site:
        assert site.get("/api/whoami-v2").json()["id"] == got["sub"]
        assert site.post("/api/repos/create", json={"name": "x"}).status_code == 403  # it was given `read` only
