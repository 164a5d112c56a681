"""Passkeys in a real browser: made, used without a name, used as the second step, removed."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo
from tests.journeys.looking import look

Visit = Callable[..., Page]


def give_authenticator(page: Page) -> None:
    """A device of the browser's own that says yes to everything, as a finger would."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def test_a_passkey_signs_in_by_itself_and_as_the_second_step(demo: Demo, visit: Visit) -> None:
    page = visit("ada")
    give_authenticator(page)

    page.goto("/settings/second-factor")
    page.get_by_role("button", name="Set up an app").click()
    look(page, "ada")
    page.goto("/settings/second-factor")
    page.get_by_label("Name of the new passkey").fill("My laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    look(page)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("button", name="Remove My laptop")).to_be_visible()

    page.context.clear_cookies()
    page.goto("/login?next=/settings/second-factor")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/settings/second-factor")
    expect(page.get_by_text("Last used")).to_be_visible()

    page.context.clear_cookies()
    page.goto("/login?next=/settings/second-factor")
    page.get_by_label("Name or e-mail").fill("ada")
    page.get_by_label("Password").fill(demo.passwords["ada"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/login/second?next=**")
    look(page, "ada")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/settings/second-factor")

    page.get_by_role("button", name="Remove My laptop").click()
    expect(page.get_by_text("Removed. It opens nothing any more.")).to_be_visible()
    page.context.clear_cookies()
    page.goto("/login")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("The passkey did not prove who you are.")).to_be_visible()
