from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from gatekeeper import accounts
from gatekeeper.accounts import oidc
from tests.gatekeeper.web.site import PASSWORD, URL, Site, words
from tests.identity_provider import IdentityProvider, go

pytestmark = pytest.mark.anyio
OVER = "This sign-in is over, or was begun in another browser"


def at_provider() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(trust_env=False, timeout=30)


async def answer_to(hub: httpx2.AsyncClient, login: str, *, name: str = "company", query: str = "") -> str:
    """Begin in this browser, sign in at the provider; the address at which it sends the browser back."""
    began = await hub.get(f"/login/with/{name}{query}")
    assert began.status_code == 303, words(began.text)
    async with at_provider() as browser:
        return await go(browser, began.headers["location"], login=login, back_to=URL)


async def sign_in(hub: httpx2.AsyncClient, login: str, **more: str) -> httpx2.Response:
    return await hub.get(await answer_to(hub, login, **more))


async def whoami(browser: httpx2.AsyncClient) -> str:
    page = await browser.get("/settings")
    return words(page.text) if page.status_code == 200 else ""


async def test_a_first_sign_in_makes_an_account_and_brings_people_back_where_they_were(hub: Site) -> None:
    browser = hub.browser()
    page = await browser.get("/login?next=/requests")

    answer = await sign_in(browser, "bea", query="?next=/requests")

    assert "Sign in with Company" in page.text
    assert (answer.status_code, answer.headers["location"]) == (303, "/requests")
    assert "bea@work.test" in await whoami(browser)
    assert "Bea B." in await whoami(browser)


async def test_a_second_sign_in_finds_the_same_account_though_name_and_address_changed(
    hub: Site, company: IdentityProvider
) -> None:
    await sign_in(hub.browser(), "bea")
    company.say("bea", preferred_username="beatrix", email="beatrix@work.test")
    browser = hub.browser()

    await sign_in(browser, "bea")

    assert "bea@work.test" in await whoami(browser)
    async with hub.gatekeeper.db.read() as session:
        assert await accounts.people.find(session, "beatrix") is None


async def is_confirmed(hub: Site, name: str) -> bool:
    async with hub.gatekeeper.db.read() as session:
        person = await accounts.people.find(session, name)
    return person is not None and person.email_verified_at is not None


@pytest.mark.parametrize("is_verified", [True, False])
async def test_an_address_that_somebody_has_never_opens_their_account(
    hub: Site, company: IdentityProvider, is_verified: bool
) -> None:
    company.say("bea", email="ada@example.org", email_verified=is_verified, preferred_username="ada")
    browser = hub.browser()

    answer = await sign_in(browser, "bea")
    page = await browser.get(answer.headers["location"])
    taken = await browser.post("/login/new", data={"name": "ada", "email": "new@work.test"})
    other = await browser.post("/login/new", data={"name": "bea", "email": "ada@example.org"})
    settled = await browser.post("/login/new", data={"name": "bea", "email": "new@work.test"})

    assert answer.headers["location"] == "/login/new"
    assert "Choose a name" in words(page.text)
    assert (taken.status_code, other.status_code) == (409, 409)
    assert settled.status_code == 303
    assert "new@work.test" in await whoami(browser)
    assert not await is_confirmed(hub, "bea"), "they only typed it"


async def test_nobody_else_can_finish_what_a_newcomer_began(hub: Site, company: IdentityProvider) -> None:
    company.say("bea", preferred_username="ada")
    browser, other = hub.browser(), hub.browser()
    await sign_in(browser, "bea")

    refused = await other.post("/login/new", data={"name": "mallory", "email": "m@work.test"})
    await browser.post("/login/new", data={"name": "bea", "email": "bea@work.test"})
    again = await browser.post("/login/new", data={"name": "bea2", "email": "bea2@work.test"})

    assert (refused.status_code, again.status_code) == (401, 401)


async def test_a_provider_that_admits_invited_people_admits_no_others(hub: Site, partner: IdentityProvider) -> None:
    before = await sign_in(hub.browser(), "bea", name="partner")
    async with hub.gatekeeper.db.write() as session:
        await oidc.arrivals.invite(session, "Bea@work.test", key=hub.gatekeeper.keys.sessions)
    partner.say("bea", email_verified=False)
    unverified = await sign_in(hub.browser(), "bea", name="partner")
    partner.say("bea", email_verified=True)
    browser = hub.browser()

    invited = await sign_in(browser, "bea", name="partner")

    assert (before.status_code, unverified.status_code) == (403, 403)
    assert "you have no account on this hub" in words(before.text)
    assert invited.status_code == 303
    assert "bea@work.test" in await whoami(browser)
    assert await is_confirmed(hub, "bea")


async def test_groups_give_roles_and_take_them_back_but_never_those_given_by_hand(
    hub: Site, company: IdentityProvider
) -> None:
    company.say("bea", groups=["researchers", "heads", "hub-admins"])
    await sign_in(hub.browser(), "bea")
    first = await _roles(hub, "bea")
    company.say("bea", groups=["researchers"])
    await sign_in(hub.browser(), "bea")
    second = await _roles(hub, "bea")
    company.say("bea", groups=[])
    await sign_in(hub.browser(), "bea")
    third = await _roles(hub, "bea")
    async with hub.gatekeeper.db.write() as session:
        lab = await accounts.organizations.find(session, "lab")
        bea = await accounts.people.find(session, "bea")
        assert lab
        assert bea
        await accounts.organizations.add_member(session, lab, bea, accounts.Role.READ, by=accounts.OPERATOR)
    company.say("bea", groups=["heads"])
    await sign_in(hub.browser(), "bea")
    company.say("bea", groups=[])
    await sign_in(hub.browser(), "bea")

    assert first == ({"lab": "admin"}, True)
    assert second == ({"lab": "write"}, False)
    assert third == ({}, False)
    assert await _roles(hub, "bea") == ({"lab": "read"}, False)


async def _roles(hub: Site, name: str) -> tuple[dict[str, str], bool]:
    async with hub.gatekeeper.db.read() as session:
        person = await accounts.people.find(session, name)
        assert person
        roles = await accounts.organizations.organizations_of(session, person.id)
        return {organization.name: role.value for organization, role in roles}, person.is_admin


async def test_an_answer_is_taken_once_and_only_from_the_browser_that_began(hub: Site) -> None:
    browser, other = hub.browser(), hub.browser()
    await other.get("/login/with/company")
    address = await answer_to(browser, "bea")

    twin = hub.browser()  # holds what the browser held before the answer came
    twin.cookies.update(browser.cookies)

    stolen = await other.get(address)
    first = await browser.get(address)
    again = await browser.get(address)
    replayed = await twin.get(address)

    assert (stolen.status_code, OVER in words(stolen.text)) == (401, True)
    assert first.status_code == 303
    for late in (again, replayed):
        assert (late.status_code, OVER in words(late.text)) == (401, True)
    assert await whoami(other) == ""


async def test_the_answer_of_one_provider_does_not_pass_for_anothers(hub: Site, partner: IdentityProvider) -> None:
    browser = hub.browser()
    address = await answer_to(browser, "bea")
    query = parse_qs(urlsplit(address).query)

    elsewhere = await browser.get(address.replace("/company/", "/partner/"))
    mixed = await browser.get(f"/login/with/company/callback?{_query(query, iss=partner.issuer)}")

    assert query["iss"]
    assert (elsewhere.status_code, mixed.status_code) == (401, 401)
    assert OVER in words(elsewhere.text)
    assert await whoami(browser) == ""


async def test_an_answer_without_the_issuer_is_refused_where_the_provider_sends_it(hub: Site) -> None:
    browser = hub.browser()
    query = parse_qs(urlsplit(await answer_to(browser, "bea")).query)
    del query["iss"]

    answer = await browser.get(f"/login/with/company/callback?{_query(query)}")

    assert answer.status_code == 401
    assert await whoami(browser) == ""


async def test_a_code_of_another_sign_in_is_refused(hub: Site) -> None:
    """Another person's code under one's own state: PKCE and the nonce belong to the state."""
    victim, attacker = hub.browser(), hub.browser()
    stolen = parse_qs(urlsplit(await answer_to(victim, "bea")).query)
    own = parse_qs(urlsplit(await answer_to(attacker, "ada-at-work")).query)

    answer = await attacker.get(f"/login/with/company/callback?{_query(own, code=stolen['code'][0])}")

    assert answer.status_code == 401
    assert await whoami(attacker) == ""


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=abc&state=go_abc",
        "error=access_denied&error_description=<b>call+this+number</b>",
        "code=a&code=b&state=x",
        "state=" + "x" * 9000,
    ],
)
async def test_an_answer_that_nobody_asked_for_is_refused(hub: Site, query: str) -> None:
    answer = await hub.browser().get(f"/login/with/company/callback?{query}")

    assert answer.status_code == 401
    assert "call this number" not in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_session_from_before_ends_and_its_secret_gains_nothing(hub: Site) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")
    planted = browser.cookies["gatekeeper_session"]

    await browser.get(await answer_to(browser, "bea", query="?again=1"))

    assert browser.cookies["gatekeeper_session"] != planted
    old = hub.browser()
    old.cookies.set("gatekeeper_session", planted, domain="hub.test")
    assert await whoami(old) == ""


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "https://hub.test@evil.example/",
        "http://hub.test.evil.example/",
        "/login/with/company",
        "/a%0d%0ab: c",
    ],
)
async def test_a_return_address_never_leaves_the_site(hub: Site, address: str) -> None:
    browser = hub.browser()

    answer = await sign_in(browser, "bea", query="?" + urlencode({"next": address}))

    target = urlsplit(answer.headers["location"])
    assert (target.scheme, target.netloc) == ("", "")
    assert answer.headers["location"].startswith("/")
    assert not answer.headers["location"].startswith(("//", "/login"))


async def test_somebody_who_is_disabled_does_not_come_in_by_a_provider(hub: Site) -> None:
    await sign_in(hub.browser(), "bea")
    async with hub.gatekeeper.db.write() as session:
        bea = await accounts.people.find(session, "bea")
        assert bea
        await accounts.people.disable(session, bea, by=accounts.OPERATOR)

    answer = await sign_in(hub.browser(), "bea")

    assert answer.status_code == 401


async def test_signing_out_offers_to_sign_out_at_the_provider_too(hub: Site, company: IdentityProvider) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")

    page = await browser.post("/logout")
    local = await (await hub.as_("ada")).post("/logout")

    assert f'href="{company.issuer}/session/end?id_token_hint=' in page.text
    assert "post_logout_redirect_uri=http%3A%2F%2Fhub.test%2Flogout%2Fdone" in page.text
    assert await whoami(browser) == ""
    assert local.headers["location"] == "/?done=signed-out"


async def test_adding_a_provider_takes_a_sign_in_there_and_then_opens_the_same_account(hub: Site) -> None:
    browser = await hub.as_("ada")
    page = await browser.post("/settings/sign-in/company/link")
    address = page.text.split('button-main" href="')[1].split('"')[0].replace("&amp;", "&")
    async with at_provider() as provider:
        back = await go(provider, address, login="ada-at-work", back_to=URL)

    linked = await browser.get(back)
    other = hub.browser()
    await sign_in(other, "ada-at-work")

    query = parse_qs(urlsplit(address).query)
    assert (query["prompt"], query["max_age"]) == (["login"], ["0"])
    assert linked.headers["location"] == "/settings/sign-in?done=identity-linked"
    assert "ada@example.org" in await whoami(other)


async def test_an_identity_of_one_account_cannot_be_added_to_another(hub: Site) -> None:
    await sign_in(hub.browser(), "bea")
    browser = await hub.as_("ada")
    page = await browser.post("/settings/sign-in/company/link")
    address = page.text.split('button-main" href="')[1].split('"')[0].replace("&amp;", "&")
    async with at_provider() as provider:
        back = await go(provider, address, login="bea", back_to=URL)

    answer = await browser.get(back)

    assert answer.status_code == 409


async def test_what_one_session_began_to_add_is_not_added_to_another(hub: Site) -> None:
    browser = await hub.as_("ada")
    page = await browser.post("/settings/sign-in/company/link")
    address = page.text.split('button-main" href="')[1].split('"')[0].replace("&amp;", "&")
    async with at_provider() as provider:
        back = await go(provider, address, login="bea", back_to=URL)
    await browser.post("/logout")
    await browser.post("/login", data={"name": "alan", "password": PASSWORD})

    answer = await browser.get(back)

    assert answer.status_code == 401
    async with hub.gatekeeper.db.read() as session:
        assert await oidc.identities.list_for(session, hub.people["alan"].id) == []


async def test_the_last_way_in_cannot_be_removed(hub: Site) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")
    page = await browser.get("/settings/sign-in")
    action = page.text.split('action="/settings/sign-in/')[1].split('"')[0]

    refused = await browser.post(f"/settings/sign-in/{action}")
    foreign = await (await hub.as_("ada")).post(f"/settings/sign-in/{action}")

    assert refused.status_code == 409
    assert "the last way in" in words(refused.text)
    assert foreign.status_code == 404


async def test_a_provider_that_does_not_answer_is_said_so_and_passwords_go_on_working(hub: Site) -> None:
    remote = hub.gatekeeper.remotes["company"]
    gone = remote.provider.model_copy(update={"issuer": "http://127.0.0.1:9"})
    hub.gatekeeper.remotes["company"] = oidc.Remote(gone)

    answer = await hub.browser().get("/login/with/company")

    assert answer.status_code == 503
    assert "Company cannot be reached" in words(answer.text)
    assert await whoami(await hub.as_("ada")) != ""


async def test_an_operators_link_opens_an_account_once(hub: Site) -> None:
    async with hub.gatekeeper.db.write() as session:
        secret = await oidc.links.make(session, hub.people["ada"], key=hub.gatekeeper.keys.sessions)
    browser = hub.browser()

    looked = await browser.get(f"/login/once/{secret}")
    entered = await browser.post(f"/login/once/{secret}")
    again = await hub.browser().post(f"/login/once/{secret}")

    assert looked.status_code == 200
    assert entered.status_code == 303
    assert "ada@example.org" in await whoami(browser)
    assert again.status_code == 401


def _query(query: dict[str, list[str]], **changes: str) -> str:
    return urlencode({name: values[0] for name, values in query.items()} | changes)
