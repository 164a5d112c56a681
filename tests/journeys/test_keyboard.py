"""With nothing but keys: an applicant comes to a token and an image, a maintainer sees to a release and an incident."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from gatekeeper.cli.demo import NAME, NAMESPACE
from tests.journeys.conftest import ROOT, Demo
from tests.journeys.looking import look

MODEL = f"/{NAMESPACE}/{NAME}"
_MOST_STOPS = 120
_PASSWORD = "nothing but keys, all the way"
_FOCUSED = """() => {
  const e = document.activeElement
  if (!e || e === document.body) return null
  const style = getComputedStyle(e), box = e.getBoundingClientRect()
  const name = e.labels?.length ? e.labels[0].innerText : e.getAttribute('aria-label') || e.innerText || ''
  return {
    name: name.trim().replace(/\\s+/g, ' '),
    kind: e.type || e.getAttribute('role') || e.tagName.toLowerCase(),
    in_form: !!e.closest('main form'),
    is_visible: box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight && box.right > 0,
    is_marked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    place: [...document.querySelectorAll('*')].indexOf(e),
  }
}"""

_IS_AT_END = "() => { const e = document.activeElement; return e.scrollTop + e.clientHeight >= e.scrollHeight - 2 }"


@dataclass(frozen=True)
class Stop:
    """What has the focus."""

    name: str
    kind: str
    in_form: bool
    is_visible: bool
    is_marked: bool
    place: int


def test_an_applicant_comes_to_a_token_and_an_image_by_keys_alone(demo: Demo, visit: Callable[..., Page]) -> None:
    said = demo.command("people", "add", "kim", "--email", "kim@example.org", "--json")
    page = visit()
    page.goto(f"/reset?{urlsplit(json.loads(said)['link']).query}")
    type_into(page, "Password", _PASSWORD)
    enter(page, f"{demo.url}/login?done=password-reset")
    page.goto(MODEL)

    page.keyboard.press("Tab")
    assert _focused(page).name == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    follow(page, "Sign in")
    type_into(page, "Name or e-mail", "kim")
    type_into(page, "Password", _PASSWORD)
    enter(page, f"{demo.url}{MODEL}")

    follow(page, "Read and accept the license")
    read_and_tick(page)
    enter(page, f"{demo.url}{MODEL}/access?done=terms-accepted")
    expect(page.get_by_text("Your acceptance").first).to_be_visible()
    answer(page)
    enter(page, f"{demo.url}{MODEL}/access?done=requested")

    next(stop for stop in stops(page) if stop.name.startswith("Account of kim"))
    page.keyboard.press("Enter")
    follow(page, "Access tokens")
    type_into(page, "Label", "by keys")
    enter(page, f"{demo.url}/settings/tokens")
    expect(page.locator("code.secret")).to_be_visible()
    look(page)

    maintainer = visit("maintainer")
    maintainer.goto("/admin/requests")
    follow(maintainer, "kim")
    follow(maintainer, "Approve kim")
    make_an_image(page)


def make_an_image(page: Page) -> None:
    """A prompt is typed and sent once; what goes on is said; then image and receipt are there."""
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.url) if each.method == "POST" else None)
    page.goto(f"{MODEL}/playground")
    type_into(page, "What should be in the picture?", "a red apple")
    page.keyboard.press("Escape")  # the suggestions
    page.keyboard.press("Enter")
    expect(page.locator("[data-status]")).not_to_be_empty()
    page.wait_for_url("**/generations/**")
    expect(page.locator("main img").first).to_be_visible()
    assert len(sent) == 1
    next(stop for stop in stops(page) if stop.name.startswith("Receipt"))
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert json.loads(saved.value.path().read_text())


def test_an_incident_is_seen_to_by_keys_alone(demo: Demo, visit: Callable[..., Page]) -> None:
    page = visit("ada")
    page.goto(MODEL)
    follow(page, "Report a problem")
    next(stop for stop in stops(page) if stop.name.startswith("What is wrong"))
    page.keyboard.press("ArrowDown")
    type_into(page, "In your words", "A prompt for a doctor gives what no child should see.")
    follow(page, "Send it")

    page = visit("maintainer")
    page.goto("/admin/incidents")
    follow(page, page.locator("main .row-title a").first.inner_text())
    follow(page, "Take it up")
    press(page, "Link something")
    type_into(page, "Revision", "main")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    press(page, "Hold it")
    type_into(page, "Reason", "What was reported is looked into.")
    look(page, "maintainer")
    follow(page, "Hold this release")
    type_into(page, "What everybody reads", "One word was missing in the screening. It is there now.")
    follow(page, "Close with this note")

    everybody = visit()
    everybody.goto(MODEL)
    expect(everybody.get_by_text("One word was missing in the screening.")).to_be_visible()
    page.goto(f"{MODEL}/releases")
    follow(page, "Lift the hold")
    expect(page.get_by_text("On hold since")).to_have_count(0)


def test_a_maintainer_holds_a_release_and_proves_it_by_keys_alone(demo: Demo, visit: Callable[..., Page]) -> None:
    page = visit("maintainer")
    page.goto(f"{MODEL}/releases")
    follow(page, "Hold")
    type_into(page, "Reason", "A report of harm is looked into.")
    follow(page, "Hold this release")
    expect(page.get_by_text("On hold since").first).to_be_visible()
    follow(page, "Lift the hold")
    expect(page.get_by_text("On hold since")).to_have_count(0)

    page.goto("/admin/ledger")
    next(stop for stop in stops(page) if stop.name.startswith("Choose what to see"))
    page.keyboard.press("Enter")
    type_into(page, "Kind begins with", "releases:release:hold")
    page.keyboard.press("Escape")  # the suggestions
    with page.expect_navigation():
        page.keyboard.press("Enter")
    follow(page, "A release was put on hold")
    next(stop for stop in stops(page) if stop.name.startswith("Download the proof"))
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert "of the log" in demo.command("ledger", "check", str(saved.value.path()))


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


def stops(page: Page) -> Iterator[Stop]:
    """Where the Tab key leads from here on: to what is seen, marked, and further down the page than what was before."""
    before = -1
    for _ in range(_MOST_STOPS):
        page.keyboard.press("Tab")
        stop = _focused(page)
        assert stop.is_visible, f"the focus is on what nobody sees: {stop}"
        if stop.kind == "date" and stop.place == before:
            continue  # day, month, year and the calendar have a stop each, which the browser marks
        assert stop.is_marked, f"nothing shows the focus: {stop}"
        assert stop.place > before, f"the focus goes back up the page: {stop}"
        before = stop.place
        yield stop
    raise AssertionError("the Tab key leads nowhere near")


def follow(page: Page, name: str) -> None:
    """Go to a link or button of that name and press Enter."""
    next(stop for stop in stops(page) if stop.name.startswith(name))
    with page.expect_navigation():
        page.keyboard.press("Enter")


def press(page: Page, name: str) -> None:
    """Go to what opens here and press Enter."""
    next(stop for stop in stops(page) if stop.name.startswith(name))
    page.keyboard.press("Enter")


def enter(page: Page, address: str) -> None:
    """Send the form that has the focus; it leads to `address`."""
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == address


def type_into(page: Page, label: str, text: str) -> None:
    """Go to the field of that label and type."""
    next(stop for stop in stops(page) if stop.name.startswith(label))
    page.keyboard.type(text)


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


def _focused(page: Page) -> Stop:
    found: dict[str, Any] | None = page.evaluate(_FOCUSED)
    assert found is not None, "nothing has the focus"
    return Stop(**found)
