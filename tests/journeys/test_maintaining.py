"""A maintainer's work from one end to the other: an incident, by keys and without script, and requests."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys, Plain
from tests.journeys.people import applicants, let_time_pass, sign_in_again, until
from tests.journeys.walk import MODEL

WEIGHTS = f"{MODEL}/resolve/main/unet/diffusion_pytorch_model.safetensors"
NOTE = "One word was missing in the screening. It is there now."
Visit = Callable[..., Page]


@pytest.mark.parametrize("hands", [Plain, Keys])
def test_an_incident_is_seen_to_from_the_report_to_the_note_that_everybody_reads(
    demo: Demo, visit: Visit, hands: type[Keys]
) -> None:
    holder = f"holder-{hands.__name__.lower()}"
    applicants(demo, holder, approved=holder)
    fetching = visit(holder, **hands.options)
    assert fetching.request.get(WEIGHTS).ok

    reporting = hands(visit(None if hands is Plain else holder, **hands.options))
    reporting.page.goto(MODEL)
    reporting.follow("Report a problem")
    reporting.choose("What is wrong")
    reporting.write("In your words", "A prompt for a doctor gives what no child should see.")
    reporting.follow("Send it")
    expect(reporting.page.get_by_text("Thank you")).to_be_visible()

    maintainer = hands(page := visit("maintainer", **hands.options))
    page.goto("/admin/incidents")
    maintainer.follow("It makes or contains something harmful")
    maintainer.follow("Take it up")
    maintainer.open("Link something")
    maintainer.write("Revision", "main")
    maintainer.follow("Link")
    maintainer.open("Hold it")
    for consequence in (
        "will be refused files and images",
        "Copies that were downloaded already are not reached",
        "Everybody who has access to it or fetched it is told",
    ):
        expect(page.get_by_text(consequence)).to_be_visible()
    maintainer.write("Reason", "What was reported is looked into.")
    maintainer.look()
    maintainer.follow("Hold this release")
    assert "is on hold" in fetching.request.get(WEIGHTS).headers["x-error-message"]

    let_time_pass(demo, "maintainer")
    page.reload()
    maintainer.follow("Sign in again")
    sign_in_again(demo, maintainer)
    maintainer.open("Tell them")
    maintainer.write("What they should know and do", "Make no images with it until the hold is lifted.")
    maintainer.follow("Tell them")
    until(fetching, "/notices", "Make no images with it until the hold is lifted.")

    maintainer.write("What everybody reads", NOTE)
    maintainer.follow("Close with this note")
    reporting.page.goto(MODEL)
    expect(reporting.page.get_by_text(NOTE).first).to_be_visible()
    page.goto(f"{MODEL}/releases")
    maintainer.follow("Lift the hold")
    expect(page.get_by_text("On hold since")).to_have_count(0)
    assert fetching.request.get(WEIGHTS).ok


def test_requests_are_answered_without_script(demo: Demo, visit: Visit) -> None:
    applicants(demo, "emil", "frida", "gus", "hana")
    maintainer = Plain(page := visit("maintainer", **Plain.options))
    page.goto("/admin/requests")
    maintainer.follow("emil")
    maintainer.follow("Answers that reviewers start from")
    maintainer.write("Title", "Open ones will do")
    maintainer.write("Words", "Dear {person}, for posters there are open models.")
    maintainer.follow("Add it")

    page.goto("/admin/requests")
    maintainer.follow("emil")
    maintainer.follow("Approve emil")
    expect(page.get_by_text("You decided about emil’s request")).to_be_visible()

    page.goto("/admin/requests")
    maintainer.follow("frida")
    maintainer.follow("Approve frida")  # by a slip
    maintainer.follow("Undo")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"frida asks for {MODEL[1:]}")
    maintainer.follow("Open ones will do")
    expect(page.get_by_label("Reason", exact=True)).to_have_value("Dear frida, for posters there are open models.")
    maintainer.look()
    maintainer.follow("Reject")

    page.goto("/admin/requests")
    for name in ("gus", "hana"):
        page.get_by_label(f"Choose the request of {name}").check()
    maintainer.follow("Approve")
    expect(page.get_by_text("2 of 2 done.")).to_be_visible()
    maintainer.look()
    for name, told in (
        ("emil", "Approved"),
        ("frida", "for posters there are open models"),
        ("hana", "Approved"),
    ):
        asking = visit(name, **Plain.options)
        asking.goto("/requests")
        expect(asking.get_by_text(told).first).to_be_visible()
