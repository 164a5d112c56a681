"""Of the pages that were looked at while the other tests of this folder ran, none is missing and each is valid HTML.

They run before these, in the same process or, shared among several, in a run before this one.
"""

import json
import re
from urllib.parse import urlsplit

import pytest

from gatekeeper.web import admin, oauth, portal
from tests import markup
from tests.identity_provider import can_run
from tests.journeys.looking import LEFT, SENT
from tests.journeys.walk import route_of

_LEFT_OUT = {
    r"/api/.*|/oauth/(jwks|userinfo)|/\.well-known/.*|.*\.(json|csv)|.*/\{file\}|/admin/ledger/\{id\}/proof": "no page",
    r".*/picture/.*": "an image",
    r"/login/with/.*|/logout/done|.*/commit/\{rev\}|.*/compare": "sends on to a page that is looked at",
    r"/(datasets|spaces)/\{ns\}/\{name\}/(releases/\{rev\}.*|access|answers|terms/.*)": "as a model's, once staged",
    r"/admin/blocks/\{id\}/revoke|/admin/prerequisites/demands.*": "asks once more before an act on what no demo has",
    r"/verify/report": "the page that reports a problem with a model, about an image",
    r"/signup": "where people may sign up: the page of /reset under another heading",
}
_OF_PROVIDERS = {"/login/new", "/settings/sign-in"}


@pytest.fixture(scope="module")
def sent() -> list[tuple[str, str, str]]:
    return SENT or [tuple(each) for file in sorted(LEFT.glob("*.json")) for each in json.loads(file.read_text())]


def test_every_page_was_looked_at(sent: list[tuple[str, str, str]]) -> None:
    pages = {
        route.pattern
        for route in (*portal.ROUTES, *admin.ROUTES, *oauth.ROUTES)
        if "GET" in route.methods and not any(re.fullmatch(left_out, route.pattern) for left_out in _LEFT_OUT)
    }
    if not can_run():
        pages -= _OF_PROVIDERS
    seen = {route.pattern for url, _, _ in sent if (route := route_of(urlsplit(url).path))}
    assert not sorted(pages - seen)


def test_the_html_of_every_page_is_valid(sent: list[tuple[str, str, str]]) -> None:
    assert sent
    found = markup.faults((f"{url} ({person})", text) for url, person, text in sent)
    assert not found, "\n".join(found)
