"""Pages of collections and likes, without script."""

import re

import pytest

from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, Site, words

pytestmark = pytest.mark.anyio


async def make(site: Site, person: str, title: str = "Nice models", **more: str) -> str:
    """The address of a new collection of this person."""
    browser = await site.as_(person)
    answer = await browser.post("/collections/new", data={"title": title, "namespace": person} | more)
    assert answer.status_code == 303, words(answer.text)
    return answer.headers["location"].partition("?")[0]


async def test_a_model_is_put_into_a_new_collection_and_taken_out(site: Site, model: Repo) -> None:
    url = await make(site, "ada")
    browser = await site.as_("ada")
    page = await browser.get(f"{MODEL}/collect")
    slug = url.removeprefix("/collections/")
    assert f'value="{slug}"' in page.text
    answer = await browser.post(f"{MODEL}/collect", data={"collection": slug, "note": "Draws emoji"})
    assert answer.status_code == 303
    again = await browser.post(f"{MODEL}/collect", data={"collection": slug})
    assert again.status_code == 422
    assert "has this item already" in words(again.text)
    seen = (await browser.get(url)).text
    assert "lab/emoji" in words(seen)
    assert "Draws emoji" in words(seen)
    [remove] = re.findall(r'action="([^"]+/remove)"', seen)
    await browser.post(remove)
    assert "Nothing in it" in words((await browser.get(url)).text)


async def test_a_collection_is_edited_renamed_and_deleted(site: Site) -> None:
    url = await make(site, "ada")
    browser = await site.as_("ada")
    edited = await browser.post(f"{url}/edit", data={"title": "Better models", "description": "Two"})
    renamed = edited.headers["location"].partition("?")[0]
    assert renamed != url
    assert (await browser.get(url)).headers["location"] == renamed
    assert "Better models" in words((await browser.get("/collections")).text)
    bad = await browser.post(f"{renamed}/edit", data={"title": " "})
    assert bad.status_code == 422
    await make(site, "ada", "Taken")
    taken = await browser.post(f"{renamed}/edit", data={"title": "TAKEN"})
    assert taken.status_code == 422
    assert "of that title already" in words(taken.text)
    assert (await browser.post(f"{renamed}/delete")).status_code == 303
    assert (await browser.get(renamed)).status_code == 404


async def test_others_see_a_public_collection_without_its_buttons_and_no_private_one(site: Site) -> None:
    url, hidden = await make(site, "ada"), await make(site, "ada", "Hidden", is_private="yes")
    browser = await site.as_("alan")
    page = await browser.get(url)
    assert page.status_code == 200
    assert "Delete the collection" not in page.text
    assert (await browser.post(f"{url}/delete")).status_code == 403
    assert (await browser.get(hidden)).status_code == 404
    assert (await browser.post(f"{hidden}/delete")).status_code == 404
    assert "Hidden" not in words((await browser.get("/collections")).text)
    refused = await browser.post("/collections/new", data={"title": "x", "namespace": "ada"})
    assert refused.status_code == 403


async def test_a_model_is_liked_and_unliked_on_its_page(site: Site, model: Repo) -> None:
    browser = await site.as_("ada")
    assert "Likes 0" in words((await browser.get(MODEL)).text)
    assert (await browser.post(f"{MODEL}/like")).status_code == 303
    page = words((await browser.get(MODEL)).text)
    assert "Likes 1" in page
    assert "Unlike" in page
    await browser.post(f"{MODEL}/unlike")
    assert "Likes 0" in words((await browser.get(MODEL)).text)
    async with site.browser() as browser:
        assert f"{MODEL}/like" not in (await browser.get(MODEL)).text
        assert (await browser.post(f"{MODEL}/like")).status_code == 401
