"""Answers that reviewers start from: kept in versions, filled in, offered where they belong and nowhere else."""

import re

import httpx2
import pytest

from gatekeeper.repos import Repo
from tests.gatekeeper.web.admin.test_queue import boxes
from tests.gatekeeper.web.site import MODEL, Site, ask_for_access, inputs, words

pytestmark = pytest.mark.anyio

ANSWERS = f"{MODEL}/answers"
OF_LAB = "/admin/organizations/lab/answers"
NEW = {"title-": "Who are you?", "act-": "reject", "text-": "Dear {person}, {repository} needs a name. {reviewer}"}


async def add(browser: httpx2.AsyncClient, address: str = ANSWERS, **changed: str) -> httpx2.Response:
    return await browser.post(address, data=NEW | {f"{name}-": value for name, value in changed.items()})


async def test_a_change_is_a_new_version_and_the_second_of_two_is_refused(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    assert (await add(grace)).status_code == 303
    kept = inputs((await grace.get(ANSWERS)).text)
    id = kept["id"]
    changed = {f"title-{id}": "Who?", f"act-{id}": "return", f"text-{id}": "Say <who> you are."}

    first = await grace.post(ANSWERS, data=kept | changed)
    second = await grace.post(ANSWERS, data=kept | changed)
    page = (await grace.get(ANSWERS)).text
    retired = await grace.post(f"{ANSWERS}/{id}/retire", data={"version": "2"})

    assert (first.status_code, second.status_code, retired.status_code) == (303, 409, 303)
    assert "Version 2" in words(page)
    assert "Dear {person}, {repository} needs a name." in words(page), "the version before is still told"
    assert "Say &lt;who&gt; you are." in page
    assert "No answers yet" in words((await grace.get(ANSWERS)).text)


@pytest.mark.parametrize("wrong", [{"text": "Dear {name}"}, {"text": " "}, {"title": ""}, {"act": "burn"}])
async def test_what_cannot_be_used_is_refused_and_kept(site: Site, model: Repo, wrong: dict[str, str]) -> None:
    answer = await add(await site.as_("grace"), **wrong)

    assert answer.status_code in (400, 422)
    assert 'href="#f-text-"' in answer.text
    for value in (NEW | {f"{name}-": value for name, value in wrong.items()}).values():
        assert value in answer.text or value == "burn"


async def test_a_reviewer_starts_from_an_answer_of_the_repository_or_its_organization(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    await add(grace)
    await add(grace, OF_LAB, title="Of the lab", act="return", text="Say more, {person}.")
    await add(grace, OF_LAB, title="As agreed", act="approve", text="Only for {repository}.")
    await ask_for_access(await site.as_("ada"))
    address = f"/admin/requests/{(await boxes(grace))[0].partition('.')[0]}"
    page = (await grace.get(address)).text
    links = dict(re.findall(r'href="([^"]+template=[^"]+)">\s*([^<]+?)\s*</a>', page))

    assert sorted(links.values()) == ["As agreed", "Of the lab", "Who are you?"]
    started = {title: words((await grace.get(link)).text) for link, title in links.items()}
    assert "Dear ada, lab/emoji needs a name. grace" in started["Who are you?"]
    assert "Say more, ada." in started["Of the lab"]
    assert "Only for lab/emoji." in started["As agreed"]
    elsewhere = await grace.get(f"{address}?template=01hzzzzzzzzzzzzzzzzzzzzzzz")
    assert "Dear" not in words(elsewhere.text)


async def test_answers_are_for_those_who_review_and_manage(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")

    for answer in (await ada.get(ANSWERS), await add(ada), await ada.get(OF_LAB), await add(ada, OF_LAB)):
        assert answer.status_code in (403, 404)
