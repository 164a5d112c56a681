"""What browsers keep, and what programs that index the web are asked to leave alone."""

import pytest

from gatekeeper.web.templating import linked, static_address
from tests.gatekeeper.web.site import Site, words

pytestmark = pytest.mark.anyio


async def test_a_static_file_is_kept_for_good_under_its_digest_alone(site: Site) -> None:
    browser = site.browser()

    hashed = await browser.get(static_address("gatekeeper.css"))
    plain = [await browser.get(path) for path in ("/static/gatekeeper.css", "/static/gatekeeper.css?v=old")]

    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert {answer.headers["cache-control"] for answer in plain} == {"public, max-age=300"}


async def test_an_address_of_the_hub_in_a_sentence_is_a_link_and_nothing_else_becomes_markup() -> None:
    assert linked("Ask at /ada/model.v2/access.") == 'Ask at <a href="/ada/model.v2/access">/ada/model.v2/access</a>.'
    assert linked("<b> and/or //evil.example, javascript:/x") == "&lt;b&gt; and/or //evil.example, javascript:/x"


async def test_files_and_the_panel_are_not_for_indexes(site: Site) -> None:
    answer = await site.browser().get("/robots.txt")

    assert answer.text.startswith("User-agent: *\n")
    assert "Disallow: /*/resolve/\n" in answer.text


async def test_the_style_guide_is_for_development_alone(site: Site) -> None:
    off = await site.browser().get("/_styleguide")
    site.gatekeeper.settings = site.gatekeeper.settings.model_copy(update={"styleguide": True})

    assert off.status_code == 404
    assert "Words and marks" in words((await site.browser().get("/_styleguide")).text)
