import re
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
import time_machine

from gatekeeper import accounts, licensing, releases, repos, tokens
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.repos import AddFile, Repo, RepoKind
from tests.gatekeeper.web.site import CARD as EMOJI_CARD
from tests.gatekeeper.web.site import Site, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio

OPEN = "/lab/open"
FIRST = b"Open RAIL of the lab.\n\nDo no harm.\n"
SECOND = b"Open RAIL of the lab.\n\nDo no harm, and say so.\n"
CARD = "---\nlicense: other\nlibrary_name: diffusers\n---\n# Open\n" + "Words. " * 40


async def upload(site: Site, repo: Repo, license_text: bytes) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        made = await repos.commit(session, repo, "main", [AddFile("LICENSE", license_text)], summary="Text", by=by)
        await releases.take_note(session, repo, made, branch="main", by=by)


@pytest.fixture
async def repo(site: Site) -> Repo:
    """A public repository without stages, gated `auto`, under its own text."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        repo = await repos.create(session, RepoKind.MODEL, "lab", "open", by=by)
        repo.gate = repos.Gate.AUTO
        files = {"README.md": CARD.encode(), "LICENSE": FIRST, "config.json": b"{}"}
        operations = [AddFile(path, content) for path, content in files.items()]
        made = await repos.commit(session, repo, "main", operations, summary="First", by=by)
        await releases.take_note(session, repo, made, branch="main", by=by)
    return repo


async def program(site: Site, name: str) -> httpx2.AsyncClient:
    """A client with a token that may read and download."""
    async with site.gatekeeper.db.write() as session:
        key = site.gatekeeper.keys.tokens
        _, secret = await tokens.issue(session, site.people[name], label="t", scopes=["read", "download"], key=key)
    client = site.browser()
    client.headers = {"authorization": f"Bearer {secret}", "accept": "*/*"}
    return client


async def take(browser: httpx2.AsyncClient) -> httpx2.Response:
    page = (await browser.get(f"{OPEN}/access")).text
    box = re.search(r'name="accept-1"\s+value="([0-9a-f]{64})"', page)
    assert box is not None, words(page)
    return await browser.post(f"{OPEN}/access", data=inputs(page) | {"accept-1": box[1]})


async def file(client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.get(f"{OPEN}/resolve/main/config.json")


def at(start: datetime, **after: Any) -> time_machine.travel:
    return time_machine.travel(start + timedelta(**after), tick=False)


async def test_a_material_change_warns_denies_at_the_deadline_and_one_click_restores(site: Site, repo: Repo) -> None:
    start = now()
    with at(start):
        ada = await site.as_("ada")
        assert (await take(ada)).status_code == 303
        client = await program(site, "ada")
        quiet = await file(client)
        assert quiet.status_code == 200, quiet.text
        assert "x-hf-warning" not in quiet.headers
        await upload(site, repo, SECOND)
        warned = await file(client)
        topic, _, text = warned.headers["x-hf-warning"].partition("; ")
        assert warned.status_code == 200
        assert topic.startswith("terms of lab/open ")
        assert "/lab/open/access" in text
        assert (start + timedelta(days=14)).strftime("%Y-%m-%d") in text
        assert "The terms have changed" in words((await ada.get(OPEN)).text)
    with at(start, days=14, microseconds=-1):
        assert (await file(client)).status_code == 200
    with at(start, days=14):
        denied = await file(client)
        assert denied.status_code == 403
        assert "have changed since you accepted them" in denied.headers["x-error-message"]
        ada = await site.as_("ada")
        page = (await ada.get(f"{OPEN}/access")).text
        assert "<del>- Do no harm.</del>" in page
        assert "<ins>+ Do no harm, and say so.</ins>" in page
        assert 'name="accept-1"' not in page  # one button accepts
        button = re.search(r'name="accept-all"\s+value="([0-9a-f]{64})"', page)
        assert button is not None
        answer = await ada.post(f"{OPEN}/access", data=inputs(page) | {"accept-all": button[1]})
        assert answer.headers["location"] == f"{OPEN}/access?done=terms-accepted"
        again = await file(client)
        assert again.status_code == 200
        assert "x-hf-warning" not in again.headers


async def test_a_minor_change_is_noticed_by_nobody(site: Site, repo: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    await take(ada)
    client = await program(site, "ada")
    await upload(site, repo, SECOND)
    page = (await grace.get(f"{OPEN}/terms")).text
    [change] = re.findall(r'action="/lab/open/terms/changes/([^"]+)"', page)
    assert "1 person accepted the earlier terms and not these" in words(page)
    sent = inputs(page) | {f"class-{change}": "clarification", f"days-{change}": "14", f"note-{change}": "Clearer."}
    answer = await grace.post(f"{OPEN}/terms/changes/{change}", data=sent)
    assert answer.status_code == 303, words(answer.text)
    with at(now(), days=100):
        found = await file(client)
        assert found.status_code == 200
        assert "x-hf-warning" not in found.headers
        seen = words((await (await site.as_("ada")).get(f"{OPEN}/terms")).text)
    assert "Clarification. Clearer." in seen
    assert "Say what kind of change this is" not in seen


async def test_who_accepted_the_unchanged_text_of_another_repository_notices_nothing(
    site: Site, repo: Repo, model: Repo
) -> None:
    ada = await site.as_("ada")
    page = (await ada.get("/lab/emoji/access")).text
    before = words(page)
    await upload(site, repo, SECOND)
    assert words((await ada.get("/lab/emoji/access")).text) == before
    assert "Changes" not in words((await ada.get("/lab/emoji/terms")).text)


async def test_a_kind_of_change_is_asked_for_with_its_days_and_only_of_maintainers(site: Site, repo: Repo) -> None:
    await upload(site, repo, SECOND)
    grace, ada = await site.as_("grace"), await site.as_("ada")
    page = (await grace.get(f"{OPEN}/terms")).text
    [change] = re.findall(r'action="/lab/open/terms/changes/([^"]+)"', page)
    address = f"{OPEN}/terms/changes/{change}"
    typed = {f"class-{change}": "", f"days-{change}": "soon", f"note-{change}": "Only <commas>."}
    empty = await grace.post(address, data=inputs(page) | typed)
    assert empty.status_code == 422
    assert 'value="soon"' in empty.text
    assert "Only &lt;commas&gt;.</textarea>" in empty.text
    assert "Choose what kind of change it is" in words(empty.text)
    assert "whole number" in words(empty.text)
    unseen = await grace.post(address, data={f"class-{change}": "typographic", f"days-{change}": "1"})
    assert unseen.status_code == 422
    assert "not shown" in words(unseen.text)
    assert (await ada.post(address, data=inputs(page))).status_code == 403
    assert (await grace.post(f"{OPEN}/terms/changes/none", data={"x": "y"})).status_code == 404


async def test_a_text_of_known_words_counts_once_a_maintainer_has_compared_it(site: Site, repo: Repo) -> None:
    emoji = (bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt").read_bytes()
    copy = emoji.replace(b'"', "”".encode())
    await upload(site, repo, copy)
    grace = await site.as_("grace")
    page = (await grace.get(f"{OPEN}/terms")).text
    assert "Its words are those of Gatekeeper Emoji Open RAIL-M License" in words(page)
    [address] = re.findall(r'action="(/lab/open/terms/[0-9a-f]{64}/recognize)"', page)
    refused = await (await site.as_("ada")).post(address, data=inputs(page))
    assert refused.status_code == 403
    assert (await grace.post(address, data=inputs(page) | {"license": "mit"})).status_code == 400
    assert (await grace.post(address, data=inputs(page))).status_code == 303
    assert "This is Gatekeeper Emoji Open RAIL-M License" in words((await grace.get(f"{OPEN}/terms")).text)
    assert "Medical advice" in (await grace.get(OPEN)).text


async def test_nothing_is_accepted_without_a_tick_or_the_button(site: Site, repo: Repo) -> None:
    ada = await site.as_("ada")
    page = (await ada.get(f"{OPEN}/access")).text
    for sent in ({"presentation": inputs(page)["presentation"]}, inputs(page) | {"accept-all": "0" * 64}):
        assert (await ada.post(f"{OPEN}/access", data=sent)).status_code == 422
    async with site.gatekeeper.db.read() as session:
        assert await licensing.acceptances_of(session, site.people["ada"].id) == []


async def test_a_program_reads_the_difference_before_it_says_what_kind_of_change_it_is(site: Site, repo: Repo) -> None:
    await upload(site, repo, SECOND)
    changes = f"/api/models{OPEN}/terms/changes"
    grace, ada = await site.as_("grace"), await site.as_("ada")
    [change] = (await ada.get(changes)).json()
    assert change["class"] is None
    assert change["texts"][0]["lines"][-2:] == ["- Do no harm.", "+ Do no harm, and say so."]
    sent = {"class": "clarification", "seen_sha256": change["seen_sha256"], "note": "Clearer."}
    address = f"{changes}/{change['id']}"
    assert (await ada.post(address, json=sent)).status_code == 403
    assert (await grace.post(address, json=sent | {"seen_sha256": "0" * 64})).status_code == 400
    assert (await grace.post(address, json=sent | {"class": "harmless"})).status_code == 400
    done = (await grace.post(address, json=sent)).json()
    assert (done["class"], done["note"]) == ("clarification", "Clearer.")
    assert (await ada.get(address)).json() == done


async def test_page_api_and_receipt_name_the_text_of_the_stage(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        text = await licensing.add_license(session, "research-only", FIRST, title="Research only")
    research = EMOJI_CARD.replace("library_name", "stage_licenses:\n  gated: research-only\nlibrary_name")
    repo = await site.model("staged", stage=releases.Stage.GATED, card=research)
    ada = await site.as_("ada")
    told = (await ada.get(f"/api/models/{repo.full_name}/access")).json()
    assert [each["sha256"] for each in told["terms"]] == [text.sha256]
    shown = words((await ada.get("/lab/staged/access")).text)
    assert "Open RAIL of the lab." in shown
    listed = words((await ada.get("/lab/staged/terms")).text)
    assert "Research only, SHA-256" in listed
    assert "In force here" in listed
    await ask_for_access(ada, "/lab/staged")
    [held] = (await ada.get("/api/receipts")).json()
    statement = held["receipt"]["statement"]
    assert [each["sha256"] for each in statement["texts"]] == [text.sha256]
    assert statement["scope"]["stage"] == "gated"
