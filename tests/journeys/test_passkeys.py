"""Passkeys in a real browser, by keys alone: made, used without a name, used as the second step, removed."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys
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
    keys = Keys(page := visit("ada"))
    give_authenticator(page)

    page.goto("/settings/second-factor")
    keys.follow("Set up an app")
    look(page, "ada")
    page.goto("/settings/second-factor")
    keys.write("Name of the new passkey", "My laptop")
    keys.follow("Add a passkey")
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    look(page)
    keys.follow("I have kept them")
    expect(page.get_by_role("button", name="Remove My laptop")).to_be_visible()

    page.context.clear_cookies()
    page.goto("/login?next=/settings/second-factor")
    keys.follow("Use a passkey")
    page.wait_for_url("**/settings/second-factor")
    expect(page.get_by_text("Last used")).to_be_visible()

    page.context.clear_cookies()
    page.goto("/login?next=/settings/second-factor")
    keys.write("Name or e-mail", "ada")
    keys.write("Password", demo.passwords["ada"])
    keys.follow("Sign in")
    page.wait_for_url("**/login/second?next=**")
    look(page, "ada")
    keys.follow("Use a passkey")
    page.wait_for_url("**/settings/second-factor")

    keys.follow("Remove My laptop")
    expect(page.get_by_text("Removed. It opens nothing any more.")).to_be_visible()
    page.context.clear_cookies()
    page.goto("/login")
    keys.open("Use a passkey")
    expect(page.get_by_text("The passkey did not prove who you are.")).to_be_visible()
