import pytest

from gatekeeper import accounts
from gatekeeper.accounts import Strength, oidc
from gatekeeper.web.state import Gatekeeper
from tests.gatekeeper.web.portal.test_factors import PAGE as FACTORS
from tests.gatekeeper.web.portal.test_factors import set_up
from tests.gatekeeper.web.providers.test_forgeries import EVENTS
from tests.gatekeeper.web.providers.test_sign_in import sign_in, whoami
from tests.gatekeeper.web.site import PASSWORD, Site, words
from tests.identity_provider import IdentityProvider

pytestmark = pytest.mark.anyio


def without_passwords(house: Gatekeeper) -> None:
    house.settings = house.settings.model_copy(update={"local_sign_in": False})


async def test_without_passwords_providers_are_the_way_in_and_an_operators_link(hub: Site) -> None:
    without_passwords(hub.gatekeeper)
    browser = hub.browser()

    page = await browser.get("/login")
    refused = await browser.post("/login", data={"name": "ada", "password": PASSWORD})
    passkey = await browser.post("/login/passkey", data={"credential": "{}"})
    await sign_in(browser, "bea")

    assert "Sign in with Company" in page.text
    assert 'name="password"' not in page.text
    assert (refused.status_code, passkey.status_code) == (401, 401)
    assert "takes no sign-in of its own" in words(refused.text)
    assert 'name="password"' not in (await browser.get("/settings")).text
    assert "bea@work.test" in await whoami(browser)


@pytest.mark.parametrize(
    ("amr", "strength"),
    [(["pwd", "mfa"], Strength.SECOND_FACTOR), (["pwd"], Strength.PASSWORD), ("mfa", Strength.PASSWORD)],
    ids=str,
)
async def test_a_session_is_as_strong_as_the_provider_says(hub: Site, amr: object, strength: Strength) -> None:
    provider = hub.gatekeeper.remotes["company"].provider
    vouched = oidc.Vouched(
        provider.issuer,
        "bea",
        {"preferred_username": "bea", "email": "bea@work.test", "amr": amr, "acr": "high"},
        "the token",
    )
    keys = hub.gatekeeper.keys
    door = oidc.Door(key=keys.sessions, box=keys.sealing, user_agent="", days=1, replaces=None)

    async with hub.gatekeeper.db.write() as session:
        entered = await oidc.arrivals.enter(session, provider, vouched, door, return_to="/", browser_secret="")
        assert isinstance(entered, accounts.SignedIn)
        kept = await session.get(oidc.ProviderSession, entered.browser.id)

    assert entered.browser.strength is strength
    assert kept is not None
    assert kept.acr == "high"


async def test_a_session_that_was_strengthened_still_ends_with_the_providers(
    hub: Site, company: IdentityProvider
) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")
    keys = hub.gatekeeper.keys
    async with hub.gatekeeper.db.write() as session:
        by = await accounts.sessions.resolve(session, browser.cookies["gatekeeper_session"], key=keys.sessions)
        bea = await accounts.people.find(session, "bea")
        assert by
        assert bea
        secret = await accounts.sessions.strengthen(session, bea, Strength.SECOND_FACTOR, key=keys.sessions, by=by)
    strong = hub.browser()
    strong.cookies.set("gatekeeper_session", secret, domain="hub.test")
    before = await whoami(strong)

    token = company.sign(company.claims(events=EVENTS, jti="strong"), typ="logout+jwt")
    await hub.browser().post("/login/with/company/back-channel", data={"logout_token": token})

    assert before != ""
    assert await whoami(strong) == ""


async def test_who_has_a_second_factor_here_is_asked_for_it_after_a_provider_that_asked_for_none(
    hub: Site, company: IdentityProvider
) -> None:
    without_passwords(hub.gatekeeper)
    hub.gatekeeper.settings = hub.gatekeeper.settings.model_copy(update={"admin_second_factor": "required"})
    company.say("bea", groups=["hub-admins"])
    first = hub.browser()
    await sign_in(first, "bea")
    assert (await first.get("/admin")).headers["location"] == f"{FACTORS}?done=second-factor-needed"
    app, _ = await set_up(first)
    assert (await first.get("/admin")).status_code == 200

    browser = hub.browser()
    led = await sign_in(browser, "bea", query="?next=/admin")
    nobody = await whoami(browser)
    done = await browser.post("/login/second", data={"code": app.now(), "next": "/admin"})

    assert led.headers["location"] == "/login/second?next=/admin"
    assert "gatekeeper_session" not in str(led.headers.get_list("set-cookie"))
    assert nobody == ""
    assert done.headers["location"] == "/admin"
    assert (await browser.get("/admin")).status_code == 200
    token = company.sign(company.claims(events=EVENTS, jti="ends"), typ="logout+jwt")
    await hub.browser().post("/login/with/company/back-channel", data={"logout_token": token})
    assert await whoami(browser) == ""  # it is still the provider's session


async def test_a_provider_that_shows_a_second_factor_by_its_acr_is_enough(hub: Site) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")
    await set_up(browser)
    provider = hub.gatekeeper.remotes["company"].provider.model_copy(update={"second_factor_acr": ("high",)})
    keys = hub.gatekeeper.keys
    door = oidc.Door(key=keys.sessions, box=keys.sealing, user_agent="", days=1, replaces=None)

    async def entered(acr: str) -> object:
        vouched = oidc.Vouched(provider.issuer, "bea", {"acr": acr}, "the token")
        async with hub.gatekeeper.db.write() as session:
            return await oidc.arrivals.enter(session, provider, vouched, door, return_to="/", browser_secret="")

    strong = await entered("high")
    assert isinstance(strong, accounts.SignedIn)
    assert strong.browser.strength is Strength.SECOND_FACTOR
    assert isinstance(await entered("low"), accounts.SecondStepNeeded)


async def test_a_provider_that_ends_a_sign_in_ends_what_waits_for_the_second_step(
    hub: Site, company: IdentityProvider
) -> None:
    first = hub.browser()
    await sign_in(first, "bea")
    app, _ = await set_up(first)
    browser = hub.browser()
    await sign_in(browser, "bea")

    token = company.sign(company.claims(events=EVENTS, jti="waiting"), typ="logout+jwt")
    await hub.browser().post("/login/with/company/back-channel", data={"logout_token": token})
    late = await browser.post("/login/second", data={"code": app.now()})

    assert late.headers["location"] == "/login?done=start-again"


async def test_an_operators_link_does_not_pass_by_the_second_factor(hub: Site) -> None:
    app, _ = await set_up(await hub.as_("ada"))
    async with hub.gatekeeper.db.write() as session:
        secret = await oidc.links.make(session, hub.people["ada"], key=hub.gatekeeper.keys.sessions)
    browser = hub.browser()

    followed = await browser.post(f"/login/once/{secret}")

    assert followed.headers["location"] == "/login/second?next=/"
    assert (await browser.post("/login/second", data={"code": app.now()})).headers["location"] == "/"
    assert "ada@example.org" in await whoami(browser)
