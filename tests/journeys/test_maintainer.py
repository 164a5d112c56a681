"""Somebody who does not run the hub maintains a model of their organization: from the first upload to the hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError
from playwright.sync_api import Page, expect

from gatekeeper.kit.bundled import bundled_dir
from tests.journeys.conftest import Demo
from tests.journeys.kinds import ORGANIZATION, ORGANIZER
from tests.journeys.looking import look
from tests.journeys.test_contributor import WEIGHTS, told
from tests.journeys.test_story import fill_and_send, make_token
from tests.journeys.walk import MODEL, Way, report, walk

REPO = f"{ORGANIZATION}/inks"
CARD = """---
license: other
license_name: gatekeeper-emoji-openrail-m
extra_gated_fields:
  Affiliation: text
---
# Inks

A model that draws with ink, made to be maintained by somebody for as long as a journey lasts and no longer.
"""
LICENSE = (bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt").read_text()


@dataclass(frozen=True)
class Shop:
    """A model in the making: who maintains it and who asks for it, in a browser without script."""

    olga: Page
    ada: Page
    api: HfApi


@pytest.fixture
def shop(demo: Demo, visit: Callable[..., Page]) -> Iterator[Shop]:
    olga, ada = visit(ORGANIZER), visit("ada", java_script_enabled=False)
    api = HfApi(demo.url, token=make_token(olga, "Read and write"))
    api.create_repo(REPO)
    files = {"README.md": CARD.encode(), "LICENSE": LICENSE.encode(), "model.safetensors": WEIGHTS + b"inks"}
    api.create_commit(REPO, [*map(CommitOperationAdd, files, files.values())], commit_message="A model")
    yield Shop(olga, ada, api)
    api.delete_repo(REPO)


def test_a_model_of_ones_own_from_its_first_stage_to_its_hold(demo: Demo, shop: Shop) -> None:
    olga, ada = shop.olga, shop.ada
    olga.goto("/admin/repositories")
    olga.get_by_role("link", name=f"Releases of {REPO}").click()
    olga.get_by_role("button", name="Turn staging on").click()
    answer = ada.goto(f"/{REPO}")
    assert answer is not None
    assert answer.status == 404
    promote(olga, "internal", "Internal")
    promote(olga, "gated", "Gated", waived="The card is for a journey, and says so.")
    look(olga, ORGANIZER)

    embargo_and_no_more(olga)
    ada.goto(f"/{REPO}/access")
    fill_and_send(ada)
    reviewed(olga, ada)
    mine = HfApi(demo.url, token=make_token(ada))
    mine.auth_check(REPO)
    olga.goto(f"/{REPO}/grants")
    expect(olga.get_by_role("heading", name="ada")).to_be_visible()

    terms_change(olga, shop.api)
    mine.auth_check(REPO)
    report(ada, f"/{REPO}")
    told(olga, f"A problem with {REPO} was reported")
    olga.get_by_role("button", name="Take it up").click()
    olga.get_by_label("What everybody reads").fill("It draws with ink, as its card says.")
    olga.get_by_role("button", name="Close with this note").click()
    ada.goto(f"/{REPO}")
    expect(ada.get_by_text("It draws with ink, as its card says.")).to_be_visible()

    olga.goto(f"/{REPO}/releases")
    olga.get_by_role("link", name="Hold").first.click()
    olga.get_by_label("Reason").fill("Its ink runs.")
    olga.get_by_role("button", name="Hold this release").click()
    told(ada, f"A release of {REPO} is on hold")
    olga.get_by_role("button", name="Lift the hold").click()
    olga.goto(f"/{REPO}/grants")
    olga.get_by_role("link", name="Revoke").click()
    expect(olga.get_by_text(f"ada: {REPO}")).to_be_visible()
    olga.get_by_role("textbox", name="Reason").fill("The project is over.")
    olga.get_by_role("button", name="Revoke access").click()
    with pytest.raises(GatedRepoError):
        mine.auth_check(REPO)


def promote(page: Page, stage: str, label: str, *, waived: str = "") -> None:
    """Take the newest revision up, publicly without what is not met; then the list of releases is open."""
    page.goto(f"/{REPO}/releases")
    page.get_by_text("Propose a promotion").first.click()
    page.get_by_label("To stage").first.select_option(stage)
    page.get_by_role("button", name="Propose", exact=True).first.click()
    if waived:
        waive = page.get_by_text("Waive it")
        for _ in range(100):
            if waive.count() == 1:  # all files are scanned by then
                break
            page.wait_for_timeout(100)
            page.reload()
        waive.click()
        page.locator("details[open]").get_by_label("Reason").fill(waived)
        page.get_by_role("button", name="Waive publicly").first.click()
        page.get_by_role("button", name="Approve this promotion").click()
    page.get_by_role("button", name=f"Promote to {label}").click()
    expect(page.locator(".stage").get_by_text(label).first).to_be_visible()


def embargo_and_no_more(page: Page) -> None:
    """The newest release is announced for later, and then for now."""
    page.get_by_role("link", name="Timeline").first.click()
    for form, button in (("Put it under embargo", "Announce the embargo"), ("Lift the embargo", "Lift it now")):
        page.locator("summary", has_text=form).click()
        for field in page.locator("details[open]").get_by_label("Until (UTC)").all():
            field.fill("2040-01-01T00:00")
        page.locator("details[open]").get_by_label("Reason").fill("The paper is out then.")
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text("Embargoed").first).to_be_visible(visible=button != "Lift it now")


def reviewed(olga: Page, ada: Page) -> None:
    """A request goes back with a question, is sent again and approved until a day."""
    told(olga, f"A request for {REPO}")
    olga.get_by_role("link", name="ada", exact=True).click()
    olga.get_by_text("Return for changes").click()
    olga.get_by_label("What should be changed").fill("Which university?")
    olga.get_by_role("button", name="Return", exact=True).click()
    ada.goto(f"/{REPO}/access")
    expect(ada.get_by_text("Which university?").first).to_be_visible()
    fill_and_send(ada)
    olga.goto("/admin/requests")
    olga.get_by_role("link", name="ada", exact=True).click()
    olga.get_by_text("With an end or conditions").click()
    olga.get_by_label("Access ends on").fill((datetime.now(UTC) + timedelta(days=90)).date().isoformat())
    olga.get_by_role("button", name="Approve ada").click()


def terms_change(olga: Page, api: HfApi) -> None:
    """The license of the next revision says one thing more: whom that affects is told before it is said what it is."""
    api.upload_file(path_or_fileobj=f"{LICENSE}\nInk is ink.\n".encode(), path_in_repo="LICENSE", repo_id=REPO)
    promote(olga, "gated", "Gated", waived="The card is as before.")
    olga.goto(f"/{REPO}/terms")
    olga.get_by_text("Say what kind of change this is").click()
    expect(olga.get_by_text("Whom it affects: 1 person accepted the earlier terms")).to_be_visible()
    olga.get_by_label("Kind of change").select_option("clarification")
    look(olga, ORGANIZER)
    olga.get_by_role("button", name="Save").click()


def test_nothing_of_what_others_maintain_is_on_their_pages(demo: Demo, visit: Callable[..., Page]) -> None:
    theirs = visit("maintainer")
    report(theirs)
    theirs.goto("/admin/incidents")
    incident = theirs.locator("main .row-title a").first.get_attribute("href") or ""
    theirs.goto("/settings/webhooks")
    webhook = theirs.locator("main .row-title a").first.get_attribute("href") or ""
    release = theirs.request.get(f"/api/models{MODEL}/releases").json()[0]["commit"]

    page = visit(ORGANIZER)
    page.goto("/settings/webhooks")
    page.get_by_label("Address").fill("https://hooks.example.org/olga")
    page.get_by_label("What it watches").fill(f"org {ORGANIZATION}")
    page.locator("[name=domains]").first.check()
    page.get_by_role("button", name="Make the webhook").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("rowheader", name="ping")).to_be_visible()
    for pattern, path in walk(
        page, Way(("/admin", "/settings/webhooks"), 0, r"(?!/admin|/settings/webh).*"), person=ORGANIZER
    ):
        said = page.locator("body").inner_text()
        assert MODEL[1:] not in said, f"{path} ({pattern})"
    for path in (incident, webhook, "/admin/people/ada"):
        assert page.request.get(path).status == page.request.get(f"{path}x").status, path
    for path in ("grants", "answers", f"releases/{release}/hold", f"releases/{release}/holders"):
        assert page.request.get(f"{MODEL}/{path}").status == 403, path
