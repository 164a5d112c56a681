"""Pages of second factors, the second step, and recent sign-ins."""

import re
from datetime import timedelta

import httpx2
import pyotp
import pytest
import time_machine

from gatekeeper.accounts.throttle import PER_ADDRESS
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, PASSWORD, Site, words

pytestmark = pytest.mark.anyio
PAGE = "/settings/second-factor"


async def set_up(browser: httpx2.AsyncClient) -> tuple[pyotp.TOTP, list[str]]:
    """Set up an app as a person without script does."""
    assert (await browser.post(f"{PAGE}/app")).headers["location"] == f"{PAGE}/app"
    page = await browser.get(f"{PAGE}/app")
    assert 'src="data:image/svg+xml' in page.text
    app = pyotp.TOTP(re.search(r"<code>([A-Z2-7]{32})</code>", page.text)[1])
    shown = await browser.post(f"{PAGE}/app/confirm", data={"code": app.at(now() - timedelta(seconds=30))})
    assert shown.status_code == 200, words(shown.text)
    return app, re.findall(r"[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}", shown.text)


async def test_signing_in_takes_the_second_step_and_comes_back(site: Site) -> None:
    app, codes = await set_up(await site.as_("ada"))
    browser = site.browser()

    first = await browser.post("/login", data={"name": "ada", "password": PASSWORD, "next": "/requests"})
    assert first.headers["location"] == "/login/second?next=/requests"
    assert "gatekeeper_session" not in first.headers["set-cookie"]
    assert (await browser.get("/requests")).status_code == 401
    assert "Second step" in words((await browser.get("/login/second?next=/requests")).text)
    wrong = await browser.post("/login/second", data={"code": "abcdef", "next": "/requests"})
    assert wrong.status_code == 401
    assert "This code is not right" in words(wrong.text)
    second = await browser.post("/login/second", data={"code": app.now(), "next": "/requests"})

    assert second.headers["location"] == "/requests"
    assert (await browser.get("/requests")).status_code == 200
    assert len(codes) == 10


async def test_the_second_step_belongs_to_the_browser_that_began_it(site: Site) -> None:
    app, _ = await set_up(await site.as_("ada"))
    await site.browser().post("/login", data={"name": "ada", "password": PASSWORD})

    stranger = await site.browser().post("/login/second", data={"code": app.now()})

    assert stranger.headers["location"] == "/login?done=start-again"
    assert "gatekeeper_session" not in str(stranger.headers)


async def test_another_site_finishes_no_second_step(site: Site) -> None:
    app, _ = await set_up(await site.as_("ada"))
    browser = site.browser()
    await browser.post("/login", data={"name": "ada", "password": PASSWORD})

    answer = await browser.post(
        "/login/second", data={"code": app.now()}, headers={"sec-fetch-site": "cross-site", "origin": "https://e.x"}
    )

    assert answer.status_code in (401, 403)
    assert "set-cookie" not in answer.headers


async def test_a_wrong_code_keeps_the_key_and_the_page_is_closed_once_it_is_in_use(site: Site) -> None:
    ada = await site.as_("ada")
    await ada.post(f"{PAGE}/app")
    before = (await ada.get(f"{PAGE}/app")).text

    refused = await ada.post(f"{PAGE}/app/confirm", data={"code": "12"})

    assert refused.status_code == 422
    key = re.compile(r"<code>[A-Z2-7]{32}</code>")
    assert key.search(refused.text)[0] == key.search(before)[0]
    await set_up(ada)
    assert (await ada.get(f"{PAGE}/app")).status_code == 303
    assert (await ada.post(f"{PAGE}/app")).status_code == 409
    assert (await ada.post(f"{PAGE}/app/remove")).status_code == 303
    assert (await site.browser().post("/login", data={"name": "ada", "password": PASSWORD})).headers["location"] == "/"


async def test_dangerous_acts_ask_for_a_recent_sign_in_and_come_back(site: Site) -> None:
    olga = await site.as_("olga")
    new = {"name": "newton", "email": "newton@example.org", "password": PASSWORD}
    with time_machine.travel(now() + timedelta(minutes=31), tick=True):
        old = await olga.post("/admin/people", data=new, headers={"referer": f"{site.url}/admin/people?x=1"})
        foreign = await olga.post("/admin/people", data=new, headers={"referer": "https://evil.example/admin"})
        program = await olga.post("/admin/people", data=new, headers={"accept": "application/json"})
        assert old.headers["location"] == "/login?again=1&next=/admin/people%3Fx%3D1"
        assert foreign.headers["location"] == "/login?again=1&next=/settings"
        assert (program.status_code, program.json()["code"]) == (403, "SignInAgain")

        page = await olga.get(old.headers["location"])
        assert "Sign in again" in words(page.text)
        assert 'value="olga"' in page.text
        again = await olga.post("/login", data={"name": "olga", "password": PASSWORD, "next": "/admin/people?x=1"})
        assert again.headers["location"] == "/admin/people?x=1"
        assert "was added" in words((await olga.post("/admin/people", data=new)).text)


async def test_a_page_says_before_one_writes_that_its_acts_ask_for_a_recent_sign_in(site: Site, model: Repo) -> None:
    grace, ada = await site.as_("grace"), await site.as_("ada")
    address = f"{MODEL}/releases"
    first = f"/login?again=1&amp;next={address}"
    assert first not in (await grace.get(address)).text
    with time_machine.travel(now() + timedelta(minutes=31), tick=True):
        assert first in (await grace.get(address)).text
        assert first not in (await ada.get(address)).text  # who reads has nothing to lose


async def test_signing_in_again_gives_another_session(site: Site) -> None:
    olga = await site.as_("olga")
    before = olga.cookies["gatekeeper_session"]
    await olga.post("/login", data={"name": "olga", "password": PASSWORD})
    thief = site.browser()
    thief.cookies.set("gatekeeper_session", before)

    assert olga.cookies["gatekeeper_session"] != before
    assert (await thief.get("/settings")).status_code == 401


async def test_administrators_are_led_to_a_second_factor_before_anything_else(site: Site) -> None:
    site.gatekeeper.settings = site.gatekeeper.settings.model_copy(update={"admin_second_factor": "required"})
    olga = await site.as_("olga")

    for path in ("/", "/admin", "/settings", "/models", "/settings/tokens"):
        assert (await olga.get(path)).headers["location"] == f"{PAGE}?done=second-factor-needed", path
    assert (await olga.get("/api/models")).json()["code"] == "SecondFactorNeeded"
    assert (await (await site.as_("ada")).get("/settings")).status_code == 200
    app, _ = await set_up(olga)

    assert (await olga.get("/admin")).status_code == 200
    again = await site.as_("olga")
    assert (await again.get("/admin")).status_code == 401  # the password alone
    await again.post("/login/second", data={"code": app.now()})
    assert (await again.get("/admin")).status_code == 200


async def test_beginning_passkey_sign_ins_is_limited_by_address_and_takes_no_tries_of_passwords(site: Site) -> None:
    browser = site.browser()
    answers = [(await browser.post("/login/passkey/options")).status_code for _ in range(PER_ADDRESS + 1)]

    assert answers == [200] * PER_ADDRESS + [429]
    assert (await (await site.as_("ada")).get("/settings")).status_code == 200
