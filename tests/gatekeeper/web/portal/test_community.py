import re

import pytest
from httpx2 import AsyncClient

from gatekeeper import accounts
from gatekeeper.community import Discussion, discussions, pulls
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, Operation, Repo, history
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio
HOME = "/lab/emoji/discussions"


@pytest.fixture
async def model(site: Site) -> Repo:
    return await site.model(stage=Stage.OPEN)


async def opened(browser: AsyncClient, *, text: str = "Which *one*, @grace?") -> str:
    answer = await browser.post(f"{HOME}/new", data={"title": "A question", "text": text})
    assert answer.status_code == 303, words(answer.text)
    return answer.headers["location"]


async def proposed(site: Site, repo: Repo, content: bytes = b'{"words": ["a"]}\n') -> Discussion:
    """A pull request of ada's."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["ada"])
        base = await history.resolve_revision(session, repo, "main")
        pull = await pulls.open_pull(session, repo, title="Fewer words", text="Less.", by=by, base=base)
        operations: list[Operation] = [AddFile("vocabulary.json", content)]
        await pulls.commit(
            session,
            repo,
            pull,
            operations,
            summary="Drop words",
            by=by,
            store=site.gatekeeper.store,
            may_write=False,
        )
        return pull


async def test_a_discussion_is_opened_answered_and_closed_without_script(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    page = await opened(ada)
    answer = await grace.post(f"{page}/comment", data={"text": "The <b>red</b> one."})
    assert answer.headers["location"] == f"{page}?done=commented#last"
    shown = await site.browser().get(page)
    assert "<em>one</em>" in shown.text
    assert f'href="http://hub.test{HOME}?author=grace"' in shown.text
    assert "The &lt;b&gt;red&lt;/b&gt; one." in shown.text
    assert "Sign in" in words(shown.text)
    assert "Close it" not in words(shown.text)
    assert "Close it" in words((await ada.get(page)).text)
    assert (await ada.post(f"{page}/status", data={"status": "closed"})).status_code == 303
    assert (await ada.post(f"{page}/title", data={"title": "An answered question"})).status_code == 303
    listed = words((await site.browser().get(f"{HOME}?status=closed")).text)
    assert "An answered question Closed #1 Discussion by ada" in listed
    assert "Nothing here yet" in words((await site.browser().get(f"{HOME}?author=grace")).text)


async def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_is_kept(site: Site, model: Repo) -> None:
    ada = await site.as_("ada")
    answer = await ada.post(f"{HOME}/new", data={"title": "", "text": "My words."})
    assert answer.status_code == 422
    assert "A title has 3 to 200 characters." in words(answer.text)
    assert "My words." in answer.text
    page = await opened(ada)
    for text, said in (("   ", "The comment is empty."), ("a" * 50_001, "at most 50,000 are kept")):
        answer = await ada.post(f"{page}/comment", data={"text": text})
        assert answer.status_code == 422
        assert said in words(answer.text)
    answer = await ada.post(f"{page}/title", data={"title": "A question"})
    assert answer.status_code == 422
    assert "has that title already" in words(answer.text)
    async with site.gatekeeper.db.read() as session:
        _, count = await discussions.listing(session, model, discussions.Filter())
    assert count == 1


async def test_a_hidden_comment_is_read_by_moderators_alone(site: Site, model: Repo) -> None:
    ada, alan, grace = [await site.as_(name) for name in ("ada", "alan", "grace")]
    page = await opened(ada, text="Something rude.")
    found = re.search(rf'href="({HOME}/1/comment/\w+)"', (await ada.get(page)).text)
    assert found is not None
    assert (await alan.get(found[1])).status_code == 404
    assert (await alan.post(f"{found[1]}/hide")).status_code == 403
    assert (await ada.post(f"{found[1]}/edit", data={"text": "Something less rude."})).status_code == 303
    assert "Something less rude." in (await alan.get(page)).text
    assert "cannot be undone" in words((await grace.get(found[1])).text)
    assert (await grace.post(f"{found[1]}/edit", data={"text": "Not mine."})).status_code == 403
    assert (await grace.post(f"{found[1]}/hide")).status_code == 303
    for browser, sees in ((ada, False), (alan, False), (site.browser(), False), (grace, True)):
        text = (await browser.get(page)).text
        assert "This comment has been hidden." in text
        assert ("rude" in text) is sees
    assert (await ada.get(found[1])).status_code == 404


async def test_a_pull_request_shows_its_changes_and_is_merged_by_an_owner(site: Site, model: Repo) -> None:
    pull = await proposed(site, model)
    page = f"{HOME}/{pull.num}"
    ada, alan, grace = [await site.as_(name) for name in ("ada", "alan", "grace")]
    shown = (await ada.get(page)).text
    assert "<ins>+{&#34;words&#34;: [&#34;a&#34;]}</ins>" in shown
    assert "<del>-{" in shown
    assert "the repository's owners decide" in words(shown)
    hidden = words((await alan.get(page)).text)
    assert "Its files are shown to who proposed them and to the owners." in hidden
    assert "apple" not in hidden
    assert (await ada.post(f"{page}/merge")).status_code == 403
    merged = await grace.post(f"{page}/merge")
    assert merged.headers["location"] == f"{page}?done=merged"
    after = words((await grace.get(page)).text)
    assert "grace merged this" in after
    assert "Open it again" not in after
    assert (await grace.post(f"{page}/merge")).status_code == 409


async def test_a_conflict_is_named_instead_of_a_button(site: Site, model: Repo) -> None:
    pull = await proposed(site, model)
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        await history.commit(session, model, "main", [AddFile("vocabulary.json", b"{}")], summary="Mine", by=by)
    grace, ada = await site.as_("grace"), await site.as_("ada")
    shown = (await grace.get(f"{HOME}/{pull.num}")).text
    assert "main has changed these files, too" in words(shown)
    assert "git merge origin/main" in shown
    assert f'action="{HOME}/{pull.num}/merge"' not in shown
    told = words((await ada.get(f"{HOME}/{pull.num}")).text)  # main is not for her: she cannot merge it into hers
    assert "git merge" not in told
    assert "The repository's owners can bring it up to date." in told
    refused = await grace.post(f"{HOME}/{pull.num}/merge")
    assert refused.status_code == 409
    assert "vocabulary.json" in refused.text


async def test_a_draft_is_said_to_be_ready_and_a_pull_request_is_closed_with_a_reason(site: Site, model: Repo) -> None:
    page = f"{HOME}/{(await proposed(site, model)).num}"
    ada, grace = await site.as_("ada"), await site.as_("grace")
    assert "It is ready" not in words((await site.browser().get(page)).text)
    assert "It is ready" in words((await ada.get(page)).text)
    assert (await ada.post(f"{page}/status", data={"status": "open"})).status_code == 303
    shown = words((await ada.get(page)).text)
    assert "ada finished the draft" in shown
    assert "It is ready" not in shown
    answer = await grace.post(f"{page}/status", data={"status": "closed", "text": "x" * 50_001})
    assert answer.status_code == 422
    assert "at most 50,000 are kept" in words(answer.text)
    answer = await grace.post(f"{page}/status", data={"status": "closed", "text": "The words are *needed*."})
    assert answer.headers["location"] == f"{page}?done=discussion-closed"
    shown = (await ada.get(page)).text
    assert "The words are <em>needed</em>." in shown
    assert "grace closed this" in words(shown)
    assert "Open again with this comment" in words(shown)


async def test_hostile_names_and_lines_stay_text(site: Site, model: Repo) -> None:
    await proposed(site, model, b"<script>alert(1)</script>\n")
    ada = await site.as_("ada")
    await ada.post(f"{HOME}/1/title", data={"title": "<img src=x onerror=alert(1)>"})
    await ada.post(f"{HOME}/1/comment", data={"text": "[x](javascript:alert(1)) ![y](https://elsewhere.example/p.png)"})
    for path in (HOME, f"{HOME}/1"):
        text = (await ada.get(path)).text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert 'href="javascript' not in text


async def test_a_draft_has_no_community_for_strangers(site: Site) -> None:
    await site.model("draft", stage=Stage.DRAFT)
    ada = await site.as_("ada")
    for path in ("/lab/draft/discussions", "/lab/draft/discussions/1", "/lab/draft/discussions/new"):
        assert (await ada.get(path)).status_code == 404
    assert (await ada.post("/lab/draft/discussions/new", data={"title": "Hello", "text": "x"})).status_code == 404


async def test_owners_lock_and_pin_on_the_page_and_others_are_told(site: Site, model: Repo) -> None:
    ada, grace = await site.as_("ada"), await site.as_("grace")
    page = await opened(ada)
    assert "Lock it" not in words((await ada.get(page)).text)
    assert (await ada.post(f"{page}/lock", data={"locked": "true"})).status_code == 403
    assert (await grace.post(f"{page}/lock", data={"locked": "true"})).status_code == 303
    assert (await grace.post(f"{page}/pin", data={"pinned": "true"})).status_code == 303
    shown = words((await ada.get(page)).text)
    assert "Locked Pinned" in shown
    assert "only the repository's owners write in it" in shown
    assert (await ada.post(f"{page}/comment", data={"text": "More"})).status_code == 403
    assert (await grace.post(f"{page}/comment", data={"text": "More"})).status_code == 303
    api = f"/api/models{page}"
    assert (await grace.get(api)).json()["locked"] is True
    assert (await grace.post(f"{api}/lock", json={"locked": False})).json() == {"locked": False}
    assert (await ada.post(f"{page}/comment", data={"text": "More"})).status_code == 303
