"""The start page and the lists: what waits, what one may use, what is new; narrowed by what one looks for."""

import re
from datetime import UTC, datetime, time, timedelta
from html import unescape

import pytest
from sqlalchemy import select
from sqlmodel import col

from gatekeeper import accounts, community, notices, releases
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.kit.clock import day_words, now
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, Repo, RepoKind, commit
from gatekeeper.settings import Settings
from gatekeeper.web.portal import browse
from tests.gatekeeper.web.site import CARD, Site, words

pytestmark = pytest.mark.anyio

_ROWS = re.compile(r'row-title break"><a href="/lab/([^"]+)"')
# what is searched for, and what is found, names first
_SEARCHED = {
    "art": ["art-named", "tagged", "last"],
    "LAB+art-deco": ["tagged", "last"],
    "diffusers+text_to": ["tagged", "last", "plain", "art-named"],
    "secret": [],
    "models": [],
}
_NARROWED = {
    "can=generate": {"plain"},
    "can=download": {"plain"},
    "can=ask": {"gated", "open"},
    "task=Text-to-Image": {"open", "gated"},
    "task=Text+to+image": {"open", "gated"},
    "task=text-to-image&library=diffusers&stage=gated": {"gated"},
    "library=transformers": {"plain"},
    "license=mit": {"plain"},
    "license=gatekeeper-emoji-openrail-m&can=ask": {"gated", "open"},
    "license=nothing": set(),
    "can=everything": set(),
    "sort=likes&q=lab+open": {"open"},
    "sort=nonsense": {"open", "gated", "plain"},
}


async def test_nobody_in_particular_reads_what_this_is_and_public_releases_alone(site: Site) -> None:
    await site.model("gated")
    await site.model("hidden", stage=Stage.INTERNAL)

    text = words((await site.browser().get("/")).text)

    assert "How it works" in text
    assert "lab/gated Gated" in text
    assert "hidden" not in text


async def test_home_tells_what_waits_what_ends_and_what_others_said(site: Site) -> None:
    asked, held = await site.model("asked"), await site.model("held")
    ada, grace = site.people["ada"], site.people["grace"]
    async with site.gatekeeper.db.write() as session:
        session.add(AccessRequest(repo_id=asked.id, person_id=ada.id, state=RequestState.RETURNED, waiting_since=now()))
        session.add(
            AccessGrant(
                repo_id=held.id,
                person_id=ada.id,
                granted_by=grace.id,
                granted_at=_midnight(days=-40),
                ends_at=_midnight(days=9),
            )
        )
        by = await accounts.principals.for_person(session, ada)
        said = await community.discussions.open_discussion(session, held, title="Pears?", text="Any?", by=by)
        by = await accounts.principals.for_person(session, grace)
        await community.acts.comment(session, held, said, "Soon.", by=by, moderates=True)

        assert await notices.remind_of_ends(session) == 1

    page = (await (await site.as_("ada")).get("/")).text
    text = words(page)

    assert "Your request for lab/asked" in text
    assert "Answer what was asked" in text
    last = day_words(_midnight(days=8))
    assert text.count(f"Your access to lab/held ends on {last}") == 3  # the last one is a notice
    assert re.search(rf"lab/held ends on <time datetime=[^>]+ data-day>{last}</time>", page)
    assert "Pears? Discussion In lab/held" in text


def _midnight(*, days: int) -> datetime:
    return datetime.combine(now() + timedelta(days=days), time.min, UTC)


async def test_news_of_a_release_goes_away_with_a_hold(site: Site) -> None:
    repo = await site.model("emoji")
    ada = await site.as_("ada")
    before = words((await ada.get("/")).text)
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        (release,) = await releases.list_for(session, repo)
        await releases.hold(session, release, reason="Harm", by=by)

    after = words((await ada.get("/")).text)

    assert "lab/emoji Gated" in before
    assert "lab/emoji Gated" not in after


async def test_lists_are_narrowed_by_what_the_reader_may_see_and_do(lists: Site) -> None:
    ada = await lists.as_("ada")

    found = {query: set(_ROWS.findall((await ada.get(f"/models?{query}")).text)) for query in _NARROWED}
    page = (await lists.browser().get("/models?task=text-to-image&stage=gated&sort=likes")).text

    assert found == _NARROWED
    assert '<option value="text-to-image" selected>Text to image</option>' in page
    assert "1 model" in words(page)
    # Each condition is taken away by a link that keeps the others.
    assert 'href="/models?stage=gated&amp;sort=likes"' in page
    assert 'href="/models?task=text-to-image&amp;sort=likes"' in page


@pytest.mark.parametrize("who", [None, "ada", "grace"])
async def test_each_choice_says_how_many_it_leaves_and_no_number_tells_of_what_is_hidden(
    lists: Site, who: str | None
) -> None:
    for name, act in (("held", releases.hold), ("embargoed", None)):
        repo = await lists.model(name)
        async with lists.gatekeeper.db.write() as session:
            by = await accounts.principals.for_person(session, lists.people["grace"])
            (release,) = await releases.list_for(session, repo)
            if act:
                await act(session, release, reason="Harm", by=by)
            else:
                release.embargoed_until = now() + timedelta(days=9)
                session.add(release)
    reader = await lists.as_(who) if who else lists.browser()

    # Of a search no number is told: it looks into an index that holds the tags of drafts, too.
    assert not re.search(r"<option[^>]*>[^<]*\(\d", (await reader.get("/models?q=lab+hidden")).text)
    for narrowed in ("", "can=download", "stage=gated"):
        page = (await reader.get(f"/models?{narrowed}")).text
        told = re.findall(r'<option value="(\w+)"([ a-z]*)>[\w ]+ \((\d+)\)</option>', page)
        assert len(told) > 4
        for value, state, number in told:
            facet = "stage" if value in set(Stage) else "can"
            if not narrowed.startswith(facet):
                left = _ROWS.findall((await reader.get(f"/models?{narrowed}&{facet}={value}")).text)
                assert (value, int(number)) == (value, len(left)), narrowed
            assert (state == " disabled") == (number == "0" and f"={value}" not in narrowed)


@pytest.fixture
async def lists(site: Site) -> Site:
    """An open, a gated and a plain model, and one that nobody but its owners may know."""
    await site.model("open", stage=Stage.OPEN)
    await site.model("gated")
    await site.model("hidden", stage=Stage.INTERNAL)
    await site.plain(
        RepoKind.MODEL,
        "plain",
        card=CARD.replace("diffusers", "transformers")
        .replace("license: other", "license: mit")
        .replace("license_name: gatekeeper-emoji-openrail-m\n", "")
        .replace("text-to-image", "text-generation"),
    )
    return site


async def test_whoever_runs_the_hub_is_reached_from_the_sign_in_page_the_foot_and_errors(site: Site) -> None:
    stranger = site.browser()
    assert "administrators</a>" not in (await stranger.get("/login")).text
    for contact, link in (
        ("hub@example.org", "mailto:hub@example.org"),
        ("https://lab.example/?a=1&b", "https://lab.example/?a=1&amp;b"),
    ):
        known = {**site.gatekeeper.settings.model_dump(), "contact": contact}
        site.gatekeeper.settings = Settings(_env_file=None, **known)
        assert f'<a href="{link}">Ask the administrators of this hub</a>' in (await stranger.get("/login")).text
        assert f'<a href="{link}">write to the administrators of this hub</a>' in (await stranger.get("/no/where")).text
        assert f'<a href="{link}">Write to the administrators</a>' in (await stranger.get("/models")).text


@pytest.mark.parametrize("contact", ["javascript:alert(1)", "ask us", "https://", "//host", "https://me:word@host"])
def test_a_contact_is_an_address_of_a_page_or_of_mail(contact: str) -> None:
    with pytest.raises(ValueError, match="must be a mail address"):
        Settings(contact=contact, _env_file=None)


async def test_who_may_use_nothing_yet_is_led_to_what_can_be_asked_for(site: Site) -> None:
    await site.model("asked")
    ada = await site.as_("ada")

    page = (await ada.get("/")).text

    assert "Welcome, ada" in words(page)
    assert "Where to begin" in words(page)
    assert re.search(r'class="button button-main"\s+href="/lab/asked/access"', page)
    assert page.count("button-main") == 1
    async with site.gatekeeper.db.write() as session:
        repo = await session.scalar(select(Repo).where(col(Repo.name) == "asked"))
        assert repo is not None
        session.add(AccessRequest(repo_id=repo.id, person_id=site.people["ada"].id, waiting_since=now()))
    waiting = words((await ada.get("/")).text)
    assert "Welcome back, ada" in waiting
    assert "You have asked; the answer is told here" in waiting


async def test_choices_of_mail_for_maintainers_are_shown_to_them_and_kept_for_others(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        await notices.prefer_mail(session, site.people["ada"].id, set(notices.KINDS) - {"report-received"})
    ada, grace = await site.as_("ada"), await site.as_("grace")

    await ada.post("/notices/mail", data={"kinds": ["mentioned", "report-received"]})

    assert notices.MAINTAINING not in (await ada.get("/notices")).text
    assert notices.MAINTAINING in (await grace.get("/notices")).text
    async with site.gatekeeper.db.read() as session:
        wanted = await notices.mail_preferences(session, site.people["ada"].id)
    told = {kind for kind in notices.GROUPS[notices.MAINTAINING] if wanted[kind]}
    assert told == set(notices.GROUPS[notices.MAINTAINING]) - {"report-received"}
    assert wanted["mentioned"]
    assert not wanted["discussion-reply"]


async def test_a_search_finds_names_then_tags_of_cards_that_its_reader_may_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = CARD.replace("library_name", "tags: [Art_Deco]\nlibrary_name")
    for name in ("art-named", "plain"):
        await site.model(name, card=CARD)
    tagged = await site.model("tagged", card=card)
    await site.plain(RepoKind.MODEL, "last", card=card)
    async with site.gatekeeper.db.write() as session:  # a tag that nobody but its owners may know of
        by = await accounts.principals.for_person(session, site.people["grace"])
        next_card = AddFile("README.md", card.replace("Art_Deco", "Secret-Next").encode())
        await commit(session, tagged, "main", [next_card], summary="Next", by=by)
    ada = await site.as_("ada")

    found = {query: _ROWS.findall((await ada.get(f"/models?q={query}")).text) for query in _SEARCHED}
    api = (await ada.get("/api/models?search=art")).json()
    monkeypatch.setattr(browse, "_PAGE", 1)
    paged: list[str] = []
    at = "/models?q=art"
    while at:
        page = (await ada.get(at)).text
        paged += _ROWS.findall(page)
        more = re.search(r'rel="next"\s+href="([^"]+)"', page)
        at = unescape(more[1]) if more else ""

    assert found == _SEARCHED
    assert paged == _SEARCHED["art"]
    assert [each["id"] for each in api] == ["lab/art-named"]  # as on the public hub: names
