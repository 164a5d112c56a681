"""With nothing but keys: an applicant comes to a token and an image, a maintainer sees to a release."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from gatekeeper.cli.demo import NAME, NAMESPACE
from tests.journeys.conftest import ROOT, Demo
from tests.journeys.hands import Keys, focused, stops
from tests.journeys.looking import look

MODEL = f"/{NAMESPACE}/{NAME}"
_PASSWORD = "nothing but keys, all the way"
_IS_AT_END = "() => { const e = document.activeElement; return e.scrollTop + e.clientHeight >= e.scrollHeight - 2 }"


def test_an_applicant_comes_to_a_token_and_an_image_by_keys_alone(
    demo: Demo, visit: Callable[..., Page], tmp_path: Path
) -> None:
    said = demo.command("people", "add", "kim", "--email", "kim@example.org", "--json")
    keys = Keys(page := visit())
    page.goto(f"/reset?{urlsplit(json.loads(said)['link']).query}")
    keys.write("Password", _PASSWORD)
    enter(page, f"{demo.url}/login?done=password-reset")
    page.goto(MODEL)

    page.keyboard.press("Tab")
    assert focused(page).name == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    keys.follow("Sign in")
    keys.write("Name or e-mail", "kim")
    keys.write("Password", _PASSWORD)
    enter(page, f"{demo.url}{MODEL}")

    keys.follow("Read and accept the license")
    read_and_tick(page)
    enter(page, f"{demo.url}{MODEL}/access?done=terms-accepted")
    expect(page.get_by_text("Your acceptance").first).to_be_visible()
    answer(page)
    enter(page, f"{demo.url}{MODEL}/access?done=requested")

    keys.open("Account of kim")
    keys.follow("Access tokens")
    keys.write("Label", "by keys")
    enter(page, f"{demo.url}/settings/tokens")
    expect(page.locator("code.secret")).to_be_visible()
    look(page)

    maintainer = Keys(visit("maintainer"))
    maintainer.page.goto("/admin/requests")
    maintainer.follow("kim")
    maintainer.follow("Approve kim")
    make_an_image(keys)
    verify(demo, keys, tmp_path)


def make_an_image(keys: Keys) -> None:
    """A prompt is typed and sent once; what goes on is said; then image and receipt are there."""
    page, sent = keys.page, list[str]()
    page.on("request", lambda each: sent.append(each.url) if each.method == "POST" else None)
    page.goto(f"{MODEL}/playground")
    keys.write("What should be in the picture", "a red apple")
    page.keyboard.press("Escape")  # the suggestions
    page.keyboard.press("Enter")
    expect(page.locator("[data-status]")).not_to_be_empty()
    page.wait_for_url("**/generations/**")
    expect(page.locator("main img").first).to_be_visible()
    assert len(sent) == 1
    assert json.loads(keys.download("Receipt").path().read_text())


def verify(demo: Demo, keys: Keys, folder: Path) -> None:
    """The image is recognized where everybody can ask what it is, and the receipt of the license is genuine."""
    page, picture = keys.page, folder / "apple.png"
    picture.write_bytes(page.request.get(page.locator("main img").first.get_attribute("src") or "").body())
    page.goto("/verify")
    keys.attach("Image$", picture)
    keys.follow("Look at it")
    expect(page.get_by_role("heading", name="What was found")).to_be_visible()
    keys.open("Account of kim")
    keys.follow("Receipts")
    keys.follow(MODEL[1:])
    assert "Valid." in demo.command("receipt", "verify", str(keys.download("Download as JSON").path()))


def test_a_maintainer_holds_a_release_by_keys_alone(demo: Demo, visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("maintainer"))
    page.goto(f"{MODEL}/releases")
    keys.follow("Hold")
    keys.write("Reason", "A report of harm is looked into.")
    keys.follow("Hold this release")
    expect(page.get_by_text("On hold since").first).to_be_visible()
    keys.follow("Lift the hold")
    expect(page.get_by_text("On hold since")).to_have_count(0)


def test_the_page_that_waits_for_an_image_lets_the_focus_be(demo: Demo, visit: Callable[..., Page]) -> None:
    page, script = visit(), (ROOT / "gatekeeper" / "web" / "static" / "enhance.js").read_text()
    waiting = [
        f"<div data-again><p data-fresh>Step {step}</p><button>Cancel</button></div><script>{script}</script>"
        for step in (1, 2)
    ]
    shown = iter([*waiting, "<p>Done</p>", "<p>Done</p>"])
    page.route("**/waits", lambda route: route.fulfill(body=next(shown), content_type="text/html"))
    page.clock.install()
    page.goto("/waits")
    page.get_by_role("button", name="Cancel").focus()

    page.clock.run_for(3_000)
    expect(page.get_by_text("Step 2")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.clock.run_for(3_000)
    expect(page.get_by_text("Done")).to_be_visible()


def enter(page: Page, address: str) -> None:
    """Send the form that has the focus; it leads to `address`."""
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == address


def read_and_tick(page: Page) -> None:
    """Read the texts to their end and accept them; then the button has the focus."""
    assert "section" in fill(page), "the license was not met on the way"


def answer(page: Page) -> None:
    """Answer, whatever the questions are; then the button has the focus."""
    assert fill(page) & {"text", "textarea"}, "nothing is asked"


def fill(page: Page) -> set[str]:
    """Go through the form to its button, doing with each kind of field what is done with it; gives the kinds met."""
    met: set[str] = set()
    for stop in stops(page):
        if not stop.in_form:
            continue
        met.add(stop.kind)
        match stop.kind:
            case "section":
                page.keyboard.press("End")
                page.wait_for_function(_IS_AT_END)
            case "checkbox":
                page.keyboard.press("Space")
            case "select-one":
                page.keyboard.press("ArrowDown")
            case "text" | "textarea":
                page.keyboard.type("I study how small models draw.")
            case "submit":
                return met
    return met
