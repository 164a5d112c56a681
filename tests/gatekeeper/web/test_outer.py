"""What stands around every answer, whoever asks and whatever is said."""

import re

import pytest

from gatekeeper.repos import Repo
from gatekeeper.web import admin, oauth, portal
from gatekeeper.web.outer import CONTENT_SECURITY_POLICY
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio


async def test_no_page_lets_in_what_does_not_come_from_here(site: Site, model: Repo) -> None:
    browser = await site.as_("olga")
    values = {"ns": "lab", "name": "emoji", "rev": "main", "path:rest": "README.md", "kind:kind": "models"}
    answered = set()
    for route in (*portal.ROUTES, *admin.ROUTES, *oauth.ROUTES):
        if "GET" in route.methods and not route.pattern.startswith(("/datasets/{", "/spaces/{")):  # as models
            path = re.sub(r"{([^}]+)}", lambda found: values.get(found[1], "x"), route.pattern)
            page = await browser.get(path)
            assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY, path
            answered.add(page.status_code)
    assert answered > {200, 303, 404}
