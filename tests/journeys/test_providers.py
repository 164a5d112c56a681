"""People sign in through a real provider in a real browser, at a real server, which the provider calls in turn."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.identity_provider import IdentityProvider, entry, identity_provider
from tests.journeys.looking import follow, look
from tests.wire.server import Hub
from tests.wire.serving import Server


@dataclass(frozen=True)
class House:
    """A running hub and the provider that it knows."""

    hub: Hub
    company: IdentityProvider
    log: Path


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data_dir, file = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("settings") / "identity.toml"
    file.touch()
    with ThreadPoolExecutor(1) as apart:  # it has a loop of its own, and the browser's may run here already
        server = apart.submit(Server, data_dir, identity_file=file).result()
    with identity_provider(tmp_path_factory.mktemp("company"), hub=server.url, name="company") as company:
        file.write_text(entry(company, "company"))
        server.start()
        try:
            yield House(server.hub, company, data_dir / "server.log")
        finally:
            server.stop()


@pytest.fixture
def visitor(house: House, browser: Browser) -> Iterator[Page]:
    context = follow(
        browser.new_context(base_url=house.hub.url, locale="en-US", viewport={"width": 320, "height": 700})
    )
    yield context.new_page()
    context.close()


def sign_in(page: Page, login: str, *, leads_to: str = "/settings") -> None:
    page.goto("/login?next=/settings")
    page.get_by_role("link", name="Sign in with Company").click()
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # the provider's consent
    page.wait_for_url(f"**{leads_to}")


def test_signing_in_and_out_through_a_provider(house: House, visitor: Page, browser: Browser) -> None:
    sign_in(visitor, "bea")
    assert visitor.get_by_text("bea@work.test").is_visible()
    assert visitor.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    elsewhere = browser.new_context(base_url=house.hub.url).new_page()
    sign_in(elsewhere, "bea")

    visitor.goto("/settings/sign-in")
    look(visitor, "bea")
    assert visitor.get_by_role("button", name="Remove Company").is_visible()
    visitor.locator("summary").filter(has_text="Menu").click()
    visitor.get_by_role("button", name="Sign out").first.click()
    look(visitor, "bea")
    visitor.get_by_role("link", name="Sign out at Company").click()
    visitor.locator("button[value=yes]").click()
    visitor.wait_for_url("**/?done=signed-out")

    visitor.goto("/settings")
    assert visitor.get_by_role("heading", name="Sign in").count() > 0
    # The other browser has a session of its own at the provider, which did not end.
    elsewhere.goto("/settings")
    assert elsewhere.get_by_text("bea@work.test").is_visible()
    elsewhere.context.close()


def test_who_comes_under_a_name_that_is_taken_chooses_another(house: House, visitor: Page) -> None:
    house.company.say("another", preferred_username="bob", email="another@work.test", email_verified=True)
    sign_in(visitor, "another", leads_to="/login/new")
    look(visitor)
    visitor.get_by_label("Name").fill("another")
    visitor.get_by_role("button", name="Make the account").click()
    visitor.wait_for_url("**/settings")


def test_signing_out_at_the_provider_ends_the_session_here(house: House, visitor: Page) -> None:
    sign_in(visitor, "bea")

    visitor.goto(f"{house.company.issuer}/session/end")
    visitor.locator("button[value=yes]").click()
    visitor.wait_for_url("**/session/end/success*")

    visitor.goto("/settings")
    assert visitor.get_by_text("bea@work.test").count() == 0


def test_nothing_secret_of_all_this_is_logged(house: House, visitor: Page) -> None:
    sent: list[str] = []
    visitor.on("request", lambda request: sent.append(request.url))
    sign_in(visitor, "ada-at-work")

    log = house.log.read_text()
    codes = [part for url in sent if "/callback?" in url for part in url.partition("?")[2].split("&")]
    assert len(codes) >= 3
    assert [part for part in codes if part.startswith(("code=", "state=")) and part.partition("=")[2] in log] == []
    assert "work.test" not in log
    assert "eyJ" not in log
