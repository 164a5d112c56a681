import re

import pytest

from gatekeeper import ledger
from gatekeeper.repos import Repo
from tests.gatekeeper.web.site import MODEL, PASSWORD, Site, words

pytestmark = pytest.mark.anyio

NEW = {"name": "mary", "email": "mary@example.org", "password": "a long first password"}


async def test_an_administrator_adds_a_person_who_can_sign_in(site: Site) -> None:
    olga = await site.as_("olga")

    answer = await olga.post("/admin/people", data=NEW)

    assert answer.status_code == 303
    signed_in = await site.browser().post("/login", data={"name": "mary", "password": NEW["password"]})
    assert signed_in.status_code == 303


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "<i>"}, "name"),
        ({"name": "ada"}, "name"),
        ({"email": "x"}, "email"),
        ({"password": "short"}, "password"),
    ],
)
async def test_a_person_that_cannot_be_added_keeps_the_form_without_the_password(
    site: Site, change: dict[str, str], field: str
) -> None:
    olga = await site.as_("olga")

    answer = await olga.post("/admin/people", data=NEW | change)

    assert answer.status_code == 422
    assert f'href="#f-{field}"' in answer.text
    assert NEW["password"] not in answer.text


async def test_disabling_says_what_it_does_and_ends_the_session(site: Site) -> None:
    olga, ada = await site.as_("olga"), await site.as_("ada")

    before = words((await olga.get("/admin/people/ada/disable")).text)
    answer = await olga.post("/admin/people/ada/disable")

    assert "signed out everywhere" in before
    assert answer.status_code == 303
    assert (await ada.get("/requests")).status_code == 401
    assert (await site.browser().post("/login", data={"name": "ada", "password": PASSWORD})).status_code == 401


async def test_people_and_ledger_are_for_administrators(site: Site, model: Repo) -> None:
    for name in ("grace", "ada"):
        browser = await site.as_(name)
        for path in ("/admin/people", "/admin/ledger"):
            answer = await browser.get(path)
            assert answer.status_code == 403
            assert "Ask an administrator" in words(answer.text)
        assert (await browser.post("/admin/people", data=NEW)).status_code == 403


async def test_an_event_is_found_by_filter_and_proved(site: Site, model: Repo) -> None:
    house = site.gatekeeper
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    olga = await site.as_("olga")

    page = (await olga.get(f"/admin/ledger?kind=releases:release&repo={MODEL[1:]}")).text
    kinds = re.findall(r'<th scope="row"><a href="(/admin/ledger/[^"]+)"><code>([^<]+)</code>', page)
    event = words((await olga.get(kinds[0][0])).text)

    assert {kind.rpartition(":")[0] for _, kind in kinds} == {"releases:release"}
    assert "every sealed event is unchanged" in words(page)
    assert "the event lies under the signed checkpoint" in event


async def test_filters_that_fit_nothing_are_shown_back_escaped(site: Site) -> None:
    olga = await site.as_("olga")

    page = (await olga.get('/admin/ledger?person="><script>alert(1)</script>')).text

    assert "<script>alert" not in page
    assert "No event fits" in words(page)


async def test_an_organization_is_made_and_its_administrator_adds_members(site: Site) -> None:
    ada = await site.as_("ada")

    made = await ada.post("/admin/organizations", data={"name": "orchard", "fullname": "The <orchard>"})
    page = (await ada.get("/admin/organizations")).text
    found = re.search(r'name="person-([0-9a-z]+)"', page)
    assert found is not None
    added = await ada.post(
        "/admin/organizations/orchard/members", data={f"person-{found[1]}": "alan", f"role-{found[1]}": "read"}
    )
    stranger = await (await site.as_("grace")).post("/admin/organizations/orchard/members", data={})

    assert made.status_code == added.status_code == 303
    assert "The &lt;orchard&gt;" in page
    assert "alan (read)" in words((await ada.get("/admin/organizations")).text)
    assert stranger.status_code == 403
