"""With nothing but keys: a token, a talk, a collection, one's data, and the menu of a narrow screen."""

import json
import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.journeys.hands import Keys, focused
from tests.journeys.walk import MODEL


def test_a_token_a_talk_and_a_collection_by_keys_alone(visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("maintainer"))
    page.goto(MODEL)
    keys.follow("Make a token for it")
    keys.follow("Download a model")
    keys.write("Label", "made by keys")
    keys.follow("Make the token")
    expect(page.locator("code.secret")).to_be_visible()
    keys.follow("See your tokens, and end them")
    keys.follow("Revoke made by keys")
    expect(page.get_by_role("heading", name="made by keys")).to_have_count(0)

    page.goto(f"{MODEL}/discussions")
    keys.follow("New discussion")
    keys.write("Title", "Is there a smaller one?")
    keys.write("What you want to say", "For a telephone.")
    keys.follow("Open the discussion")
    keys.write("Comment", "I found it: no.")
    keys.follow("Comment")
    expect(page.get_by_text("I found it: no.")).to_be_visible()
    keys.open("Change the title")
    keys.follow("Close it")

    page.goto("/collections")
    keys.follow("Make a collection")
    keys.write("Title", "By keys")
    keys.follow("Make the collection")
    page.goto(MODEL)
    keys.follow("Add to a collection")
    keys.write("Collection", "By keys")
    keys.follow("Add")
    keys.follow(f"Remove {MODEL[1:]}")
    keys.open("Delete the collection")
    keys.follow("Delete the collection")


def test_ones_data_by_keys_alone(visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("ada"))
    page.goto("/settings")
    keys.follow("My data")
    assert json.loads(keys.download("Download my data").path().read_text())
    keys.write("Your name, as ada", "somebody")
    keys.follow("Delete my account for good")
    expect(page.get_by_role("alert")).to_be_focused()
    keys.follow(re.escape(page.get_by_role("alert").get_by_role("link").inner_text()))


def test_the_menu_of_a_narrow_screen_and_the_explorer_by_keys_alone(visit: Callable[..., Page]) -> None:
    keys = Keys(page := visit("ada", viewport={"width": 320, "height": 568}))
    page.goto(f"{MODEL}/evaluations")
    keys.open("Menu")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert focused(page).name == "Menu"
    expect(page.get_by_role("link", name="Collections")).to_be_hidden()

    keys.follow("People of the bundled model")
    keys.tick("angry")
    keys.choose("Compare with")
    keys.follow("Show")
    assert "adjective=angry" in page.url
    keys.open("The same as a table")
    expect(page.get_by_role("table", name="Shares").first).to_be_visible()
