"""Who runs the hub, from one end to the other: a person, a quota, policies, a delivery, and all of it in the log."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.gatekeeper.authz.folders import changed_folder
from tests.gatekeeper.web.site import PASSWORD
from tests.journeys.conftest import Demo
from tests.journeys.hands import Keys, Plain
from tests.journeys.people import let_time_pass, sign_in_again, until
from tests.journeys.test_story import fill_and_send
from tests.journeys.walk import MODEL

FILES = f"{MODEL}/tree/main"
_SHOWN = '["gated", "open"].contains(resource.stage)'
_FEWER = 'resource.stage == "open" || (resource.stage == "gated" && principal is Person)'
Visit = Callable[..., Page]


class Operator:
    """Somebody who runs the hub at a browser; `is_late`: their sign-in is never from just now."""

    def __init__(self, demo: Demo, hands: Keys) -> None:
        self.demo, self.hands, self.page = demo, hands, hands.page
        self.is_late = isinstance(hands, Plain)

    def dare(self, act: Callable[[], None]) -> None:
        """What is dangerous asks for a sign-in, and leads back to where it can be done."""
        if self.is_late:
            let_time_pass(self.demo, "maintainer")
            act()
            assert self.page.url.startswith(f"{self.demo.url}/login?again=1"), self.page.url
            sign_in_again(self.demo, self.hands)
        act()


@pytest.mark.parametrize("hands", [Plain, Keys])
def test_a_hub_is_run_in_the_browser(demo: Demo, visit: Visit, tmp_path: Path, hands: type[Keys]) -> None:
    name = f"petra-{hands.__name__.lower()}"
    operator = Operator(demo, hands(visit("maintainer", **hands.options)))
    guest, program = visit(**hands.options), visit(**hands.options)

    link = _adds_a_person(operator, name)
    token = _comes_in(hands(guest), link, name)
    bearer = {"Authorization": f"Bearer {token}"}
    assert program.request.get("/api/whoami-v2", headers=bearer).json()["name"] == name

    _changes_the_quota(operator, name)
    guest.goto("/settings/usage")
    expect(guest.get_by_role("cell", name="0 of 0").first).to_be_visible()
    guest.goto(f"{MODEL}/access")
    fill_and_send(guest)
    guest.goto(f"{MODEL}/playground")
    expect(guest.get_by_text("You can order no image now.")).to_be_visible()
    order = {"model": MODEL[1:], "prompt": "a red apple"}
    refused = program.request.post("/v1/images/generations", headers=bearer, data=order)
    assert refused.headers["x-error-code"] == "BeyondQuota"

    _changes_the_policies(operator, visit(), _archive(tmp_path, name))

    operator.page.goto(f"/admin/people/{name}")
    operator.hands.follow(f"Disable {name}")
    for consequence in ("signed out everywhere", "1 access token"):
        expect(operator.page.get_by_text(consequence)).to_be_visible()
    operator.dare(lambda: operator.hands.follow(f"Disable {name}"))
    assert program.request.get("/api/whoami-v2", headers=bearer).status == 401
    guest.goto("/settings")
    expect(guest.get_by_role("heading", name="Sign in", level=1)).to_be_visible()

    operator.page.goto(f"/admin/people/{name}")

    def enable() -> None:
        operator.hands.open(f"Let {name} in again")
        operator.hands.follow(f"Let {name} in again")

    operator.dare(enable)
    assert program.request.get("/api/whoami-v2", headers=bearer).ok
    guest.goto("/settings")
    expect(guest.get_by_role("heading", name="Sign in", level=1)).to_be_visible()

    _looks_around(operator)
    _sends_a_delivery_again(operator)
    _proves(operator, name, tmp_path)


def _adds_a_person(operator: Operator, name: str) -> str:
    """Returns the link that is shown once."""

    def add() -> None:
        operator.hands.write("Name$", name)
        operator.hands.write("E-mail$", f"{name}@example.org")
        operator.hands.follow("Add the person")

    operator.page.goto("/admin")
    operator.hands.follow("People$")
    operator.dare(add)
    return operator.page.locator("main code").inner_text()


def _comes_in(guest: Keys, link: str, name: str) -> str:
    """Chooses a password, signs in and makes a token, which is returned."""
    guest.page.goto(f"/reset?{urlsplit(link).query}")
    guest.write("Password", PASSWORD)
    guest.follow("Set the password|Choose|Save")
    guest.page.goto("/login")
    guest.write("Name or e-mail", name)
    guest.write("Password", PASSWORD)
    guest.follow("Sign in$")
    guest.page.goto("/settings/tokens")
    guest.write("Label", "at work")
    guest.follow("Make the token")
    return guest.page.locator("code.secret").inner_text().strip()


def _changes_the_quota(operator: Operator, name: str) -> None:
    hands, page = operator.hands, operator.page

    def change() -> None:
        hands.write("Images in 24 hours", "0")
        hands.write("Reason", "Too many of one picture.")
        hands.follow("Change the quota")

    page.goto("/admin/people")
    hands.write("Name or e-mail begins with", name[:-2])
    hands.follow("Filter")
    hands.follow(name)
    hands.follow("Their quota")
    operator.dare(change)
    expect(page.get_by_role("row", name=name).get_by_text("Too many of one picture.")).to_be_visible()


def _changes_the_policies(operator: Operator, nobody: Page, archive: Path) -> None:
    hands, page = operator.hands, operator.page

    def send() -> None:
        hands.attach("Folder", archive)
        hands.follow("Check and keep it")

    def confirm(button: str) -> None:
        hands.write("Why", "Files are for who has an account.")
        hands.tick("Put this")
        hands.follow(button)

    def put_in_force() -> None:
        page.goto("/admin/policies")
        hands.choose("Compare with")
        hands.follow("Show what would change")
        loss = f"loses: everybody without an account list_files {MODEL[1:]}"
        expect(page.get_by_text(loss).first).to_be_visible()
        hands.look()
        confirm("Put it in force")

    page.goto("/admin/policies")
    operator.dare(send)
    assert _status(nobody, FILES) == 200
    operator.dare(put_in_force)
    try:
        assert _status(nobody, FILES) == 401
    finally:
        hands.follow("See what going back to")
        confirm("Go back to it")
    assert _status(nobody, FILES) == 200


def _looks_around(operator: Operator) -> None:
    hands, page = operator.hands, operator.page
    hands.follow("Settings$")
    expect(page.get_by_role("row", name="GATEKEEPER_DATA_DIR").get_by_text("environment")).to_be_visible()
    expect(page.get_by_role("row", name="GATEKEEPER_PORT").get_by_text("command")).to_be_visible()
    hands.follow("Storage$")
    expect(page.get_by_text("files of the store")).to_be_visible()
    hands.follow("Inference$")
    expect(page.get_by_text("Ready").first).to_be_visible()


def _sends_a_delivery_again(operator: Operator) -> None:
    hands, page = operator.hands, operator.page
    page.goto("/settings/webhooks")
    hands.follow("https://hooks.example.org/in")
    hands.follow("Send a test")
    until(page, "/admin/webhooks/failed", "hooks.example.org")
    before = page.get_by_role("button", name="Send again").count()
    hands.follow("Send again")
    for _ in range(50):
        if page.get_by_role("button", name="Send again").count() > before:
            return
        page.wait_for_timeout(200)
        page.reload()
    raise AssertionError("it was not sent again")


def _proves(operator: Operator, name: str, folder: Path) -> None:
    """Every act is found again, and one proved."""
    hands, page = operator.hands, operator.page
    hands.follow("Ledger$")
    for label, value, kinds in (
        ("Kind begins with", "policies:", ("policies:bundle:propose", "policies:bundle:activate")),
        ("Kind begins with", "notices:webhook:", ("notices:webhook:redeliver",)),
        (
            "Person, by or about",
            name,
            ("accounts:person:add", "generation:quota:change", "accounts:person:disable", "accounts:person:enable"),
        ),
    ):
        page.goto("/admin/ledger")
        hands.open("Choose what to see")
        hands.write(label, value)
        hands.follow("Filter")
        for kind in kinds:
            expect(page.get_by_text(kind, exact=True).first).to_be_visible()
    hands.follow("A person was disabled")
    proof = folder / "proof.json"
    hands.download("Download the proof").save_as(proof)
    assert json.loads(proof.read_text())
    if not operator.is_late:  # once is enough for what takes seconds
        assert "of the log" in operator.demo.command("ledger", "check", str(proof))


def _status(page: Page, path: str) -> int:
    answer = page.goto(path)
    assert answer is not None
    return answer.status


def _archive(folder: Path, name: str) -> Path:
    """Policies under which the files of a gated release are listed to signed-in people only, with a case for it."""
    changed = changed_folder(folder, know=(_SHOWN, _FEWER))
    know, cases = changed / "know.cedar", changed / "cases" / "know.toml"
    know.write_text(f"{know.read_text()}\n// As asked for by {name}.\n")  # another bundle than anybody's before
    was = '  { who = "everyone", action = "list_files", at = "gated" },'
    text = cases.read_text()
    assert was in text
    cases.write_text(text.replace(was, was.replace("everyone", "signed-in")))
    return Path(shutil.make_archive(str(folder / "sent"), "zip", changed.parent, changed.name))
