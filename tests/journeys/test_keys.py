"""A reviewer clears the queue with the keyboard alone, slips once, and switches the keys off."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.looking import follow, look
from tests.wire.server import Hub
from tests.wire.serving import Server

CARD = b"---\nextra_gated_fields:\n  Why: text\n---\n# For tests\n"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A running hub on which ada asks for five models of bob's."""
    with ThreadPoolExecutor(1) as apart:  # it has a loop of its own, and the browser's may run here already
        server = apart.submit(Server, tmp_path).result()
    server.start()
    try:
        bob = server.api("bob")
        with server.hub.http("ada") as http:
            for number in range(5):
                repo = bob.create_repo(f"bob/m{number}").repo_id
                bob.upload_file(path_or_fileobj=CARD, path_in_repo="README.md", repo_id=repo)
                bob.update_repo_settings(repo, gated="manual")
                asked = http.post(f"/api/models/{repo}/ask-access", data={"Why": "I study it."})
                assert asked.status_code == 201, asked.text
        yield server.hub
    finally:
        server.stop()


def tab_to(page: Page, name: str) -> None:
    """Go on with the Tab key to the button of this name."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if (
            page.evaluate("document.activeElement.tagName + document.activeElement.textContent.trim()")
            == f"BUTTON{name}"
        ):
            return
    raise AssertionError(f"Tab does not come to {name}")


@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")  # it has no license
def test_five_requests_are_cleared_with_the_keyboard_alone(hub: Hub, browser: Browser) -> None:
    context = follow(browser.new_context(base_url=hub.url, locale="en-US", timezone_id="UTC"))
    page, focused = context.new_page(), "document.activeElement.textContent.trim()"
    press = page.keyboard.press
    page.goto("/login?next=/admin/requests")
    for name, value in (("name", "bob"), ("password", PASSWORD)):
        page.locator(f"[name={name}]").focus()
        page.keyboard.type(value)
    press("Enter")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Review")

    press("j")
    press("Enter")  # the first one opens, is approved by a slip, and that is undone
    expect(heading).to_have_text("ada asks for bob/m0")
    press("a")
    assert page.evaluate(focused) == "Approve ada", "the key only goes to the button"
    press("Enter")
    expect(heading).to_have_text("ada asks for bob/m1")
    press("u")
    press("Enter")
    expect(heading).to_have_text("ada asks for bob/m0")
    press("r")
    page.keyboard.type("a car, x and j: no keys in here")
    press("Control+Enter")
    assert page.evaluate(focused) == "Reject", "from the field the keys lead to its button"
    press("Enter")
    expect(heading).to_have_text("ada asks for bob/m1")
    press("a")
    press("Enter")
    expect(heading).to_have_text("ada asks for bob/m2")

    press("q")  # the rest together
    expect(heading).to_have_text("Review")
    for key in ("j", "x", "Shift+Tab", "Enter"):  # Enter on a tick decides nothing
        press(key)
    expect(page.get_by_role("alert").get_by_text("Choose what to do.")).to_be_visible()
    for key in ("r", "Escape", "j", "j", "x", "ArrowDown", "x", "k", "a"):  # out of the field, and on from the same row
        press(key)
    assert page.locator("[data-row] :checked").count() == 3
    press("Enter")
    expect(page.get_by_text("3 of 3 done.")).to_be_visible()
    look(page)
    press("u")
    assert page.evaluate(focused) == "Undo them"
    press("q")
    expect(page.get_by_role("heading", name="Nothing is waiting")).to_be_visible()

    page.goto("/admin/requests?state=all")  # whoever wants no keys switches them off
    press("?")
    tab_to(page, "Switch the keys off")
    press("Enter")
    page.reload()
    press("j")
    assert page.evaluate("document.activeElement === document.body")
    context.close()
