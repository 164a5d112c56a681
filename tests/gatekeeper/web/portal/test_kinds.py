"""Pages of data sets and Spaces are those of models, each below its own prefix."""

import re

import pytest

from gatekeeper.releases import Stage
from gatekeeper.repos import Gate, RepoKind
from gatekeeper.web.portal import browse
from tests.gatekeeper.web.site import Site, inputs, words

pytestmark = pytest.mark.anyio


async def test_a_data_set_has_card_files_and_community_below_its_prefix(site: Site) -> None:
    await site.plain(RepoKind.DATASET, "faces", card="# Faces\n\n[part](train/part.csv)\n")
    ada = await site.as_("ada")

    card = (await ada.get("/datasets/lab/faces")).text
    tabs = re.search(r'(?s)aria-label="Parts of.*?</nav>', card)
    files = re.search(r'href="(/datasets/lab/faces/tree/[^"]+)"', card)
    assert tabs is not None
    assert files is not None
    listed = (await ada.get(files[1])).text
    folder = re.search(r'href="(/datasets/lab/faces/tree/[^"]+/train)"', listed)
    assert folder is not None
    below = (await ada.get(folder[1])).text
    blob = re.search(r'href="(/datasets/lab/faces/blob/[^"]+/train/part.csv)"', below)
    assert blob is not None
    shown = await ada.get(blob[1])

    assert card.count("<h1") == 1
    assert "train 11 B" in words(listed)
    assert re.findall(r">(\w+)</a>", tabs[0]) == ["Card", "Files", "Community"]
    assert "hf download lab/faces --repo-type dataset" in words(card)
    assert "Make images" not in words(card)
    assert "emoji,name" in shown.text
    assert not re.findall(r'(?:href|action)="/lab/faces', card + listed + below + shown.text)
    assert (await ada.get("/lab/faces")).status_code == 404


async def test_people_talk_about_a_data_set_and_like_it(site: Site) -> None:
    await site.plain(RepoKind.DATASET, "faces")
    ada = await site.as_("ada")

    opened = await ada.post("/datasets/lab/faces/discussions/new", data={"title": "Whose?", "text": "Tell us, @grace"})
    commented = await ada.post(f"{opened.headers['location']}/comment", data={"text": "Anybody?"})
    talk = (await ada.get("/datasets/lab/faces/discussions/1")).text
    liked = await ada.post("/datasets/lab/faces/like")

    assert opened.headers["location"] == "/datasets/lab/faces/discussions/1"
    assert commented.headers["location"].startswith("/datasets/lab/faces/discussions/1?done=commented")
    assert "Anybody?" in words(talk)
    assert 'href="http://hub.test/datasets/lab/faces/discussions?author=grace"' in talk
    assert liked.headers["location"] == "/datasets/lab/faces"
    assert "Unlike" in words((await ada.get("/datasets/lab/faces")).text)
    assert (await ada.get("/datasets/lab/faces/discussions")).text.count("Whose?") == 1


async def test_access_to_a_gated_data_set_is_asked_for_and_given_on_its_pages(site: Site) -> None:
    await site.plain(RepoKind.DATASET, "faces", gate=Gate.MANUAL, card="---\nextra_gated_fields:\n  Why: text\n---\n")
    ada, grace = await site.as_("ada"), await site.as_("grace")

    page = (await ada.get("/datasets/lab/faces/access")).text
    asked = await ada.post("/datasets/lab/faces/access", data=inputs(page) | {"q-0": "To learn"})
    waiting = words((await ada.get("/datasets/lab/faces/access")).text)
    grants = words((await grace.get("/datasets/lab/faces/grants")).text)

    assert asked.headers["location"] == "/datasets/lab/faces/access?done=requested"
    assert "Waiting for review" in waiting
    assert "faces" in grants
    assert "Grants" in words((await grace.get("/datasets/lab/faces")).text)


async def test_a_data_set_can_be_released_in_stages(site: Site) -> None:
    await site.plain(RepoKind.DATASET, "faces")
    ada, grace = await site.as_("ada"), await site.as_("grace")

    enabled = await grace.post("/datasets/lab/faces/releases/enable")

    assert enabled.headers["location"].startswith("/datasets/lab/faces/releases?done=")
    assert (await ada.get("/datasets/lab/faces")).status_code == 404
    assert "Draft" in words((await grace.get("/datasets/lab/faces")).text)
    assert "Draft" in words((await grace.get("/datasets/lab/faces/releases")).text)


async def test_a_space_says_that_it_is_not_run_here(site: Site) -> None:
    await site.plain(RepoKind.SPACE, "draw", card="---\nsdk: gradio\n---\n# Draw\n")

    page = (await (await site.as_("grace")).get("/spaces/lab/draw")).text

    assert "This hub keeps the files of Spaces and runs none." in words(page)
    assert "Playground" not in words(page)
    assert "/releases" not in page
    assert "hf download lab/draw --repo-type space" in words(page)


@pytest.mark.parametrize(("kind", "own"), [("models", "one"), ("datasets", "two"), ("spaces", "three")])
async def test_each_list_shows_its_own_kind(site: Site, kind: str, own: str) -> None:
    for made, name in ((RepoKind.MODEL, "one"), (RepoKind.DATASET, "two"), (RepoKind.SPACE, "three")):
        await site.plain(made, name)

    page = (await site.browser().get(f"/{kind}")).text

    prefix = "" if kind == "models" else f"/{kind}"
    assert re.findall(r'row-title break"><a href="([^"]+)"', page) == [f"{prefix}/lab/{own}"]
    assert page.count("<h1") == 1
    assert f'action="/{kind}"' in page


async def test_the_stage_filter_finds_what_lies_on_later_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "_PAGE", 1)
    for name, stage in (("first", Stage.OPEN), ("second", Stage.GATED), ("third", Stage.OPEN), ("last", Stage.GATED)):
        await site.model(name, stage=stage)
    ada = await site.as_("ada")

    page = (await ada.get("/models?stage=open")).text
    older = re.search(r'rel="next"\s+href="([^"]+)"', page)
    assert older is not None
    after = (await ada.get(older[1].replace("&amp;", "&"))).text

    assert re.findall(r'row-title break"><a href="([^"]+)"', page) == ["/lab/third"]
    assert re.findall(r'row-title break"><a href="([^"]+)"', after) == ["/lab/first"]
    assert 'rel="next"' not in after
    assert "No model fits" in words((await ada.get("/models?stage=nonsense")).text)
