"""Pages that no link leads to are looked at as well: refusals, a form with faults, where programs and sites lead."""

from collections.abc import Callable
from urllib.parse import urlencode

from playwright.sync_api import Page, expect

from gatekeeper.tokens import oauth
from tests.journeys.conftest import Demo
from tests.journeys.looking import look
from tests.journeys.walk import MODEL

_SITE = "https://site.example/back"


def test_refusals_and_a_form_with_faults(demo: Demo, visit: Callable[..., Page]) -> None:
    page = visit("ada")
    for path, status in (("/nobody/nothing", 404), ("/admin/ledger", 403)):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status
        look(page)
    page.goto(f"{MODEL}/access")
    page.get_by_text("I accept on behalf of an institution").click()
    page.get_by_label("Name of the institution").fill("University of Turin")
    with page.expect_navigation():  # past what the browser itself would ask for
        page.locator("main form", has=page.locator("button.button-main")).evaluate("form => form.submit()")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Name of the institution")).to_have_value("University of Turin")
    look(page)


def test_what_a_program_and_a_site_send_people_to(demo: Demo, visit: Callable[..., Page]) -> None:
    page = visit("ada")
    page.goto("/device")
    look(page, "ada")
    asked = page.request.post("/oauth/device", form={"client_id": oauth.HUB_CLI_ID}).json()
    page.goto(f"/device?user_code={asked['user_code']}")
    look(page, "ada")
    page.get_by_role("button", name="Turn it away").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    look(page)

    page.goto("/settings/applications/own")
    page.get_by_role("textbox", name="Name").fill("Gallery")
    page.get_by_label("Addresses to send people back to").fill(_SITE)
    page.get_by_label("A program or page on people").check()
    page.get_by_role("button", name="Register").click()
    client = page.locator("main .notice code").first.inner_text()
    look(page)
    wanted = {"client_id": client, "redirect_uri": _SITE, "response_type": "code", "scope": "openid profile"}
    wanted |= {"state": "s", "code_challenge": "c" * 43, "code_challenge_method": "S256"}
    page.goto(f"/oauth/authorize?{urlencode(wanted)}")
    expect(page.get_by_role("heading", name="Sign in to Gallery?")).to_be_visible()
    look(page, "ada")
