"""Pages that no link leads to are looked at as well: refusals, a form with faults, where programs and sites lead."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from playwright.sync_api import Page, expect

from gatekeeper import accounts
from gatekeeper.accounts.link_tables import LinkKind
from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings
from gatekeeper.tokens import oauth
from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys
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


def test_where_mails_and_an_operator_lead(demo: Demo, visit: Callable[..., Page]) -> None:
    with ThreadPoolExecutor(1) as pool:  # Playwright has this thread's event loop
        reset, confirm, finish = pool.submit(asyncio.run, _links(demo)).result()
    nobody, ada = visit(), visit("ada")
    for page, path, heading in (
        (nobody, f"/reset?link={reset}", "password"),
        (nobody, f"/signup/finish?link={finish}", "Sign up"),
        (nobody, "/login/once/any", "Sign in"),
        (ada, f"/settings/email/confirm?link={confirm}", "Confirm the address"),
    ):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
        look(page)


async def _links(demo: Demo) -> list[str]:
    """The secrets of mails: another password for ada, another address, and an account of one's own."""
    house = assemble(Settings(data_dir=demo.data_dir, inference_url="off", _env_file=None))
    try:
        async with house.db.write() as session:
            ada = await accounts.people.find(session, "ada")
            mails = ((LinkKind.RESET, ada), (LinkKind.EMAIL, ada), (LinkKind.SIGN_UP, None))
            return [
                await accounts.links.start(
                    session, kind, f"{kind}@else.example", key=house.keys.sessions, person=person
                )
                for kind, person in mails
            ]
    finally:
        await close(house)


def test_what_a_program_and_a_site_send_people_to(demo: Demo, visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("ada"))
    page.goto("/device")
    look(page, "ada")
    asked = page.request.post("/oauth/device", form={"client_id": oauth.HUB_CLI_ID}).json()
    keys.write("Code", asked["user_code"])
    keys.follow("Continue")
    look(page, "ada")
    keys.follow("Turn it away")
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
