"""The token for one purpose: narrow by proposal, of use at once, and said with the code that works here."""

import re

import httpx2
import pytest

from gatekeeper.repos import Gate, Repo, RepoKind
from tests.gatekeeper.generation.stub import StubWorker
from tests.gatekeeper.web.site import URL, Site, words

pytestmark = pytest.mark.anyio
PATH = "/settings/tokens/new"


def secret_in(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, words(answer.text)
    found = re.search(r'<code class="secret">(gk_\w{44})</code>', answer.text)
    assert found, words(answer.text)
    for line in (f"export HF_TOKEN={found[1]}", f"$env:HF_TOKEN = &#34;{found[1]}&#34;"):
        assert line in answer.text
    assert answer.text.count(found[1]) == 3, "the token stands alone, in the shells' lines and in no program"
    assert "# pip install huggingface_hub" in answer.text
    return found[1]


def program(site: Site, secret: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=site.app)
    return httpx2.AsyncClient(transport=transport, base_url=URL, headers={"authorization": f"Bearer {secret}"})


async def make(browser: httpx2.AsyncClient, purpose: str, **fields: str) -> httpx2.Response:
    sent = {"repositories": "lab/emoji", "lasts": "30", "label": f"for {purpose}"} | fields
    return await browser.post(f"{PATH}/{purpose}", data=sent)


async def test_from_the_models_page_to_a_token_that_downloads_it_and_nothing_else(site: Site, model: Repo) -> None:
    await site.model("other")
    grace = await site.as_("grace")
    assert f'href="{PATH}?repo=lab/emoji"' in (await grace.get("/lab/emoji")).text
    choice = (await grace.get(f"{PATH}?repo=lab/emoji")).text
    assert f'href="{PATH}/download?repo=lab/emoji"' in choice
    proposal = (await grace.get(f"{PATH}/download?repo=lab/emoji")).text
    assert re.search(r"<textarea[^>]*>\s*lab/emoji</textarea>", proposal)
    assert '<option value="30" selected>' in proposal
    assert 'value="download lab/emoji"' in proposal
    assert "Not yet" not in words(proposal)

    made = await make(grace, "download")
    held = program(site, secret_in(made))
    assert f"export HF_ENDPOINT={URL}" in made.text
    for part in ("hf download lab/emoji", "from_pretrained(&#34;lab/emoji&#34;)", "curl --fail-with-body"):
        assert part in made.text
    assert (await held.get("/lab/emoji/resolve/main/model_index.json")).status_code == 200
    assert (await held.get("/api/models/lab/emoji")).status_code == 200
    assert (await held.get("/lab/other/resolve/main/model_index.json")).status_code == 403
    assert (await held.post("/models/lab/emoji", json={"inputs": "x"})).status_code == 403
    again = await make(grace, "download")
    assert again.status_code == 422
    assert "already have a token called" in words(again.text)
    await make(grace, "download", label="download lab/emoji")
    assert 'value="download lab/emoji 2"' in (await grace.get(f"{PATH}/download?repo=lab/emoji")).text


async def test_a_token_for_images_shows_every_client_with_this_hubs_address(site: Site, model: Repo) -> None:
    site.worker(StubWorker())
    made = await make(await site.as_("grace"), "generate")
    held = program(site, secret_in(made))
    for part in (
        f"base_url=&#34;{URL}/models/lab/emoji&#34;",
        f"base_url=&#34;{URL}/v1&#34;",
        f"{URL}/models/lab/emoji \\",
    ):
        assert part in made.text
    assert (await held.get("/lab/emoji/resolve/main/model_index.json")).status_code == 403
    order = {"model": "lab/emoji", "prompt": "a red apple"}
    assert (await held.post("/api/generations", json=order)).status_code == 202


async def test_a_token_for_minutes_is_made_listed_and_ended_on_its_page(site: Site, model: Repo) -> None:
    grace = await site.as_("grace")
    held = program(site, secret_in(await make(grace, "minutes", lasts="5")))
    page = (await grace.get(f"{PATH}/minutes")).text
    assert "Still good lab/emoji" in words(page)
    revoke = re.search(r'action="(/settings/tokens/\w+/revoke)"', page)
    assert revoke
    assert (await held.get("/api/whoami-v2")).status_code == 200
    assert (await grace.post(revoke[1])).status_code == 303
    assert (await held.get("/api/whoami-v2")).status_code == 401
    refused = await make(await site.as_("alan"), "minutes", lasts="5")
    assert refused.status_code == 422
    assert "gk_" not in refused.text


async def test_uploading_and_reviewing_get_their_own_scope(site: Site, model: Repo) -> None:
    await site.plain(RepoKind.DATASET, "pictures", gate=Gate.MANUAL)
    grace = await site.as_("grace")
    upload = await make(grace, "upload", repositories="datasets/lab/pictures", lasts="7")
    assert "hf upload lab/pictures . --repo-type dataset" in upload.text
    review = await make(grace, "review", repositories="datasets/lab/pictures", lasts="7")
    writer, reviewer = program(site, secret_in(upload)), program(site, secret_in(review))
    queue = "/api/datasets/lab/pictures/user-access-request/pending"
    assert queue in review.text
    assert (await reviewer.get(queue)).status_code == 200
    branch = "/api/datasets/lab/pictures/branch/next"
    assert (await reviewer.post(branch, json={})).status_code == 403
    assert (await writer.post(branch, json={})).status_code == 200


async def test_what_is_not_open_yet_is_said_before_and_nothing_hidden_is_told(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    page = words((await ada.get(f"{PATH}/download?repo=lab/emoji")).text)
    assert "Not yet with lab/emoji" in page
    draft = await make(ada, "download", repositories="lab/nothing")
    assert draft.status_code == 422
    for fields in ({"repositories": " "}, {"lasts": "9"}, {"label": ""}):
        assert (await make(ada, "download", **fields)).status_code == 422
    assert (await make(ada, "everything")).status_code == 404
    assert (await make(site.browser(), "download")).status_code == 401


async def test_a_job_is_led_to_trust_without_a_stored_token(site: Site, model: Repo) -> None:
    page = (await (await site.as_("grace")).get(f"{PATH}/ci?repo=lab/emoji")).text
    assert 'href="/admin/repositories/models/lab/emoji/jobs"' in page
    assert "/admin/repositories" not in (await (await site.as_("ada")).get(f"{PATH}/ci?repo=lab/emoji")).text
