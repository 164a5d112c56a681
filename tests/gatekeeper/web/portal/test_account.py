import re

import pytest

from gatekeeper.web.stepping import safe_next
from tests.gatekeeper.web.site import PASSWORD, Site, words

pytestmark = pytest.mark.anyio


async def test_signing_in_brings_people_back_where_they_were(site: Site) -> None:
    browser = site.browser()

    answer = await browser.post("/login", data={"name": "ada", "password": PASSWORD, "next": "/requests"})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/requests"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "You have asked for nothing yet" in words((await browser.get("/requests")).text)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/a\\b",
        "/a\r\nSet-Cookie: x",
        "",
        "/login?next=/",
        "x",
    ],
)
def test_a_return_address_never_leaves_the_site(address: str) -> None:
    assert safe_next(address) == "/"


async def test_a_wrong_password_keeps_the_name_and_tells_nothing_more(site: Site) -> None:
    browser = site.browser()

    known = await browser.post("/login", data={"name": "ada", "password": "wrong wrong wrong"})
    unknown = await browser.post("/login", data={"name": "nobody", "password": "wrong wrong wrong"})

    assert known.status_code == unknown.status_code == 401
    assert 'value="ada"' in known.text
    assert "wrong wrong" not in known.text
    assert words(known.text) == words(unknown.text)


async def test_too_many_tries_are_told_when_to_come_back(site: Site) -> None:
    browser = site.browser()
    for _ in range(10):
        await browser.post("/login", data={"name": "ada", "password": "wrong wrong wrong"})

    answer = await browser.post("/login", data={"name": "ada", "password": PASSWORD})

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Too many failed attempts" in words(answer.text)


async def test_another_site_cannot_sign_anybody_in_or_out(site: Site) -> None:
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    ada = await site.as_("ada")

    signing_in = await site.browser().post("/login", data={"name": "ada", "password": PASSWORD}, headers=foreign)
    signing_out = await ada.post("/logout", headers=foreign)

    assert signing_in.status_code in (401, 403)
    assert "set-cookie" not in signing_in.headers
    assert signing_out.status_code == 403
    assert (await ada.get("/requests")).status_code == 200


async def test_signing_out_ends_the_session_on_the_server(site: Site) -> None:
    ada = await site.as_("ada")
    cookie = dict(ada.cookies)

    await ada.post("/logout")

    thief = site.browser()
    thief.cookies.update(cookie)
    assert (await thief.get("/requests")).status_code == 401


async def test_the_password_changes_only_with_the_present_one(site: Site) -> None:
    ada = await site.as_("ada")
    fresh = "another long passphrase"

    refused = await ada.post("/settings/password", data={"current": "no", "password": fresh})
    changed = await ada.post("/settings/password", data={"current": PASSWORD, "password": fresh})

    assert refused.status_code == 422
    assert changed.status_code == 303
    again = await site.browser().post("/login", data={"name": "ada", "password": fresh})
    assert again.status_code == 303


async def test_a_token_is_shown_once_and_can_be_revoked(site: Site) -> None:
    ada = await site.as_("ada")

    made = await ada.post("/settings/tokens", data={"label": "laptop", "role": "read", "days": "30"})
    secret = made.text[made.text.index("gk_") :].split("<", 1)[0]
    later = (await ada.get("/settings/tokens")).text

    assert made.status_code == 200
    assert made.headers["cache-control"] == "private, no-store"
    assert secret not in later
    assert "laptop" in later
    whoami = await site.browser().get("/api/whoami-v2", headers={"authorization": f"Bearer {secret}"})
    assert whoami.status_code == 200
    address = later[later.index('action="/settings/tokens/') + 8 :].split('"', 1)[0]
    assert (await (await site.as_("alan")).post(address)).status_code == 404
    assert (await ada.post(address)).status_code == 303
    gone = await site.browser().get("/api/whoami-v2", headers={"authorization": f"Bearer {secret}"})
    assert gone.status_code == 401


async def test_a_token_without_a_label_is_refused_with_the_form_kept(site: Site) -> None:
    ada = await site.as_("ada")

    answer = await ada.post("/settings/tokens", data={"label": " ", "role": "write", "scopes": "read", "days": "30"})

    assert answer.status_code == 422
    assert 'href="#f-label"' in answer.text
    assert re.search(r'id="f-role-write"[^>]* checked', answer.text)


async def test_personal_pages_ask_strangers_to_sign_in(site: Site) -> None:
    for path in ("/requests", "/receipts", "/generations", "/settings", "/settings/tokens", "/admin"):
        answer = await site.browser().get(path)
        assert answer.status_code == 401
        assert f'href="/login?next={path}"' in answer.text
