import re
from datetime import UTC, datetime

import pytest

from gatekeeper import releases
from gatekeeper.accounts import principals
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
from gatekeeper.repos.mirrors import Mirror
from tests.gatekeeper.web.site import CARD, MODEL, Site, words

pytestmark = pytest.mark.anyio


async def test_the_page_says_what_it_is_and_the_one_next_thing_to_do(site: Site, model: Repo) -> None:
    page = (await (await site.as_("ada")).get(MODEL)).text

    assert page.count("<h1") == 1
    assert "draws emoji from their names" in page
    assert "Read and accept the license" in words(page)


async def test_code_to_copy_names_this_hub_and_never_a_model_argument_to_run(site: Site, model: Repo) -> None:
    page = (await (await site.as_("ada")).get(MODEL)).text

    assert "base_url=&#34;http://hub.test/models/lab/emoji&#34;" in page
    assert "would send your prompt and your token to a public service" in words(page)


async def test_a_mirror_says_where_it_comes_from_once_it_was_brought(site: Site, model: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        row = Mirror(
            repo_id=model.id, endpoint="https://up.example.org", upstream="far/away", revisions=[], heads={}, first="a"
        )
        session.add(row)
    ada = await site.as_("ada")
    before = (await ada.get(MODEL)).text
    async with site.gatekeeper.db.write() as session:
        await session.merge(Mirror(**(row.model_dump() | {"brought_at": datetime(2026, 1, 2, tzinfo=UTC)})))
    after = (await ada.get(MODEL)).text

    assert "Mirror of" not in before
    assert '<a href="https://up.example.org/far/away"' in after
    assert "far/away , as of 2 Jan 2026" in words(after)


async def test_a_draft_is_the_same_404_as_nothing(site: Site) -> None:
    await site.model("secret", stage=Stage.DRAFT)
    ada = await site.as_("ada")

    hidden, nothing = await ada.get("/lab/secret"), await ada.get("/lab/nothing")

    assert hidden.status_code == nothing.status_code == 404
    assert words(hidden.text) == words(nothing.text)


async def test_a_draft_is_in_nobody_elses_list(site: Site) -> None:
    await site.model("secret", stage=Stage.DRAFT)

    assert "secret" not in (await (await site.as_("ada")).get("/models")).text
    assert "lab/secret" in words((await (await site.as_("grace")).get("/models")).text).replace("/ ", "/")


async def test_a_hostile_card_runs_nothing(site: Site) -> None:
    hostile = CARD + (
        '<script>alert(1)</script><img src=x onerror=alert(1)><a href="javascript:alert(1)">x</a>'
        '<form action="/logout"><button>b</button></form><div style="position:fixed" id="main">d</div>\n\n'
        "![pixel](https://tracker.example/p.png) [ok](docs/a.md)\n"
    )
    await site.model("hostile", card=hostile)

    page = (await (await site.as_("ada")).get("/lab/hostile")).text

    card = page[page.index('class="prose"') :]
    for bad in ("<script>alert", "onerror", "javascript:", "<button>b", "style=", 'id="main"', 'src="https://'):
        assert bad not in card
    assert '<a href="https://tracker.example/p.png"' in card
    assert "/lab/hostile/blob/" in card


async def test_a_hold_shows_its_reason_on_the_page_and_shuts_the_playground(site: Site, model: Repo) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await principals.for_person(session, site.people["grace"])
        release = (await releases.list_for(session, model))[0]
        await releases.hold(session, release, by=by, reason="Faces <i>were</i> reported.")
    ada = await site.as_("ada")

    page = words((await ada.get(MODEL)).text)

    assert "This release is on hold" in page
    assert "gets a notice when it goes on" in page
    assert "says when" not in page
    assert "Faces <i>were</i> reported." in page
    assert (await ada.post(f"{MODEL}/playground", data={"prompt": "a"})).status_code == 403


async def test_refusals_are_said_for_people_and_lead_on_by_one_link(site: Site, model: Repo) -> None:
    nobody, ada = site.browser(), await site.as_("ada")

    community, shut = (await nobody.get(f"{MODEL}/discussions")).text, await nobody.get(f"{MODEL}/access?renew=1")
    ground, files = (await nobody.get(f"{MODEL}/playground")).text, (await ada.get(f"{MODEL}/tree/main")).text
    order = (await ada.post(f"{MODEL}/playground", data={"prompt": "a"})).text

    for page in (community, shut.text, ground, files, order):
        assert "authorized list" not in page
        assert "access token." not in words(page)
    assert f'You are not signed in. <a href="/login?next={MODEL}">Sign in</a>.' in community
    assert "You are not signed in." in words(ground)
    assert f'<a href="{MODEL}/access">Ask for access</a>.' in files
    assert f'<a href="{MODEL}/access">Read and accept it</a>' in order


async def test_files_have_sizes_and_links_only_where_they_may_be_opened(site: Site, model: Repo) -> None:
    page = (await (await site.as_("ada")).get(f"{MODEL}/tree/main")).text

    assert "/blob/main/README.md" in page
    assert "model_index.json" in page
    assert "/blob/main/model_index.json" not in page


@pytest.mark.parametrize("path", ["../etc", "%2e%2e/etc", "unet/../../x", "nothing", "a%00b", "%ff"])
async def test_odd_paths_are_refused_as_pages(site: Site, model: Repo, path: str) -> None:
    answer = await site.browser().get(f"{MODEL}/tree/main/{path}")

    assert answer.status_code in (400, 404)
    assert "<h1>" in answer.text


async def test_an_error_page_escapes_what_was_asked_for(site: Site) -> None:
    answer = await site.browser().get("/<script>alert(1)</script>")

    assert answer.status_code in (401, 404)
    assert "<script>alert" not in answer.text


async def test_every_license_text_has_a_page(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    page = (await ada.get(MODEL)).text
    address = page[page.index(f'href="{MODEL}/terms/') + 6 :].split('"', 1)[0]

    text = await ada.get(address)

    assert text.status_code == 200
    assert "Attachment A" in text.text
    assert re.search(r'/access" aria-current="page">Access', text.text)
    shown = re.search(r'(?s)<div class="legal legal-whole">(.*?)</div>', text.text)[1]
    assert max(len(line) for line in shown.split("\n")) > 200  # joined: no line is broken twice


async def test_an_unknown_text_is_not_found(site: Site, model: Repo) -> None:
    assert (await site.browser().get(f"{MODEL}/terms/{'0' * 64}")).status_code == 404
