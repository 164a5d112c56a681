"""Signing in to a site with this hub: the whole way, and every way that an attacker would like."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import sqlalchemy as sa
import time_machine
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet, RSAKey

from gatekeeper.accounts import OPERATOR, people, principals
from gatekeeper.kit.clock import now
from gatekeeper.tokens import oauth
from gatekeeper.tokens.oauth import keys
from tests.gatekeeper.web.oauth import flow
from tests.gatekeeper.web.site import Site, inputs, words

pytestmark = pytest.mark.anyio
BACK = "https://app.example.org/callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@dataclass
class App:
    """A registered site, and how it asks."""

    id: str
    secret: str | None

    def ask(self, **changes: str | None) -> dict[str, str]:
        """The parameters that it sends people here with; None leaves one out."""
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": BACK,
            "scope": "openid profile",
            "state": "st-1",
            "nonce": "no-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (asked | changes).items() if value is not None}

    async def redeem(self, program: httpx2.AsyncClient, code: str | None, **changes: str | None) -> httpx2.Response:
        """Its server fetches tokens for a code."""
        sent: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "client_id": self.id,
            "client_secret": self.secret,
            "code_verifier": VERIFIER,
        }
        chosen = {name: value for name, value in (sent | changes).items() if value is not None}
        return await program.post("/oauth/token", data=chosen)


async def register(site: Site, **options: Any) -> App:
    async with site.gatekeeper.db.write() as session:
        grace = await principals.for_person(session, site.people["grace"])
        chosen = {
            "redirect_uris": [BACK],
            "scopes": ["openid", "profile", "email", "offline_access", "read", "download"],
            "is_confidential": True,
        } | options
        made, secret = await oauth.applications.register(
            session, "Gallery", key=site.gatekeeper.keys.tokens, by=grace, **chosen
        )
    return App(made.id, secret)


@pytest.fixture
async def app(site: Site) -> App:
    return await register(site)


@pytest.fixture
async def ada(site: Site) -> httpx2.AsyncClient:
    return await site.as_("ada")


async def allow(browser: httpx2.AsyncClient, asked: dict[str, str], decision: str = "allow") -> dict[str, str]:
    """A person is asked and answers; what the site gets in the address."""
    page = await browser.get("/oauth/authorize", params=asked)
    assert page.status_code == 200, page.text
    back = await browser.post("/oauth/authorize", data=inputs(page.text) | {"decision": decision})
    return returned(back)


def returned(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{BACK}?"), location
    return {name: value for name, (value,) in parse_qs(urlsplit(location).query).items()}


async def test_a_person_signs_in_to_a_site(site: Site, program, app: App, ada) -> None:
    back = await allow(ada, app.ask(scope="openid profile email"))
    assert (back["state"], back["iss"]) == ("st-1", "https://hub.test")
    answer = await app.redeem(program, back["code"])
    assert answer.status_code == 200, answer.text
    got = answer.json()
    assert "refresh_token" not in got  # that takes offline_access
    found = (await program.get("/.well-known/openid-configuration")).json()
    OpenIDProviderMetadata(found).validate()
    published = KeySet.import_key_set((await program.get(urlsplit(found["jwks_uri"]).path)).json())
    claims = jwt.decode(got["id_token"], published, algorithms=["RS256"]).claims
    person = site.people["ada"]
    assert (claims["iss"], claims["aud"], claims["nonce"]) == ("https://hub.test", app.id, "no-1")
    assert (claims["sub"], claims["preferred_username"], claims["email"]) == (person.id, "ada", person.email)
    assert claims["exp"] - claims["iat"] == 3600
    assert "at_hash" in claims
    told = await program.get("/oauth/userinfo", headers={"Authorization": f"Bearer {got['access_token']}"})
    assert {name: claims[name] for name in told.json()} == told.json()
    assert told.json()["email_verified"] is False


async def test_claims_are_those_that_were_asked_for(program, app: App, ada) -> None:
    back = await allow(ada, app.ask(scope="openid"))
    got = (await app.redeem(program, back["code"])).json()
    headers = {"Authorization": f"Bearer {got['access_token']}"}
    assert set((await program.get("/oauth/userinfo", headers=headers)).json()) == {"sub"}
    assert "email" not in (await program.get("/api/whoami-v2", headers=headers)).json()
    assert (await program.get("/settings/tokens", headers=headers)).status_code == 403  # it opens nothing else


async def test_the_page_says_who_asks_and_what_for(app: App, ada) -> None:
    page = await ada.get("/oauth/authorize", params=app.ask(scope="openid email"))
    text = words(page.text)
    assert "Gallery was registered by grace" in text
    assert "app.example.org" in text
    assert "See your e-mail address" in text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://app.example.org;" in policy
    assert "frame-ancestors 'none'" in policy


async def test_saying_no_goes_back_without_a_code(app: App, ada) -> None:
    back = await allow(ada, app.ask(), decision="deny")
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", "st-1", "https://hub.test")
    assert "code" not in back


async def test_the_same_is_not_asked_twice_and_more_is(site: Site, app: App, ada) -> None:
    await allow(ada, app.ask())
    again = await ada.get("/oauth/authorize", params=app.ask())
    assert "code" in returned(again)
    assert (await ada.get("/oauth/authorize", params=app.ask(scope="openid profile email"))).status_code == 200
    assert (await ada.get("/oauth/authorize", params=app.ask(scope="openid"))).status_code == 200
    assert (await ada.get("/oauth/authorize", params=app.ask(prompt="consent"))).status_code == 200
    assert (await (await site.as_("alan")).get("/oauth/authorize", params=app.ask())).status_code == 200


async def test_a_program_that_cannot_prove_itself_always_asks(site: Site, ada) -> None:
    public = await register(site, is_confidential=False)
    await allow(ada, public.ask())
    assert (await ada.get("/oauth/authorize", params=public.ask())).status_code == 200


async def test_a_public_application_signs_in_with_pkce_alone(site: Site, program, ada) -> None:
    public = await register(site, is_confidential=False)
    back = await allow(ada, public.ask())
    assert (await public.redeem(program, back["code"])).status_code == 200


async def test_who_is_not_signed_in_signs_in_first(site: Site, app: App) -> None:
    browser = site.browser()
    sent = await browser.get("/oauth/authorize", params=app.ask())
    assert (sent.status_code, urlsplit(sent.headers["location"]).path) == (303, "/login")
    come_back = parse_qs(urlsplit(sent.headers["location"]).query)["next"][0]
    signed_in = await browser.post(
        "/login", data={"name": "ada", "password": "correct horse battery", "next": come_back}
    )
    assert "Gallery" in (await browser.get(signed_in.headers["location"])).text


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [
        ("nobody", {"prompt": "none"}, "login_required"),
        ("ada", {"prompt": "none"}, "consent_required"),
        ("ada", {"max_age": "0", "prompt": "none"}, "login_required"),
        ("ada", {"scope": "openid admin"}, "invalid_scope"),
        ("ada", {"scope": "openid nonsense"}, "invalid_scope"),
        ("ada", {"response_type": "token"}, "unsupported_response_type"),
        ("ada", {"response_type": "code id_token"}, "unsupported_response_type"),
        ("ada", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ("ada", {"code_challenge": None}, "invalid_request"),
        ("ada", {"code_challenge_method": None}, "invalid_request"),
        ("ada", {"code_challenge_method": "plain"}, "invalid_request"),
        ("ada", {"code_challenge": "short"}, "invalid_request"),
    ],
)
async def test_what_is_wrong_is_told_to_the_site_with_our_name(
    site: Site, app: App, name: str, changes: dict[str, str | None], error: str
) -> None:
    browser = site.browser() if name == "nobody" else await site.as_(name)
    with time_machine.travel(now() + timedelta(seconds=2), tick=False):
        back = returned(await browser.get("/oauth/authorize", params=app.ask(**changes)))
    assert (back["error"], back["state"], back["iss"]) == (error, "st-1", "https://hub.test")


@pytest.mark.parametrize(
    "address",
    [
        BACK + "/",
        BACK + "?x=1",
        BACK + "#x",
        BACK.upper(),
        "http://app.example.org/callback",
        "https://app.example.org:444/callback",
        "https://app.example.org@evil.example/callback",
        "https://evil.example/https://app.example.org/callback",
        "https://app.example.org.evil.example/callback",
        "https://app.example.org/callback/../evil",
        "https://app.example.org\\@evil.example/callback",
        "//app.example.org/callback",
        "javascript:alert(1)",
        "",
    ],
)
async def test_nobody_is_sent_to_an_address_that_was_not_registered(app: App, ada, address: str) -> None:
    answer = await ada.get("/oauth/authorize", params=app.ask(redirect_uri=address or None))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    posted = await ada.post("/oauth/authorize", data=app.ask(redirect_uri=address) | {"decision": "allow"})
    assert (posted.status_code, "location" in posted.headers) == (400, False)


@pytest.mark.parametrize("client_id", ["unknown", "", flow.HUB_CLI_ID])
async def test_unknown_sites_and_programs_without_pages_sign_nobody_in(app: App, ada, client_id: str) -> None:
    answer = await ada.get("/oauth/authorize", params=app.ask(client_id=client_id))
    assert (answer.status_code, "location" in answer.headers) == (400, False)


async def test_a_parameter_sent_twice_goes_nowhere(app: App, ada) -> None:
    asked = [*app.ask().items(), ("redirect_uri", "https://evil.example/")]
    assert (await ada.get("/oauth/authorize", params=asked)).status_code == 400


async def test_a_code_used_again_ends_what_came_of_it(site: Site, program, app: App, ada) -> None:
    back = await allow(ada, app.ask(scope="openid read"))
    got = (await app.redeem(program, back["code"])).json()
    assert (await flow.whoami(program, got["access_token"])).status_code == 200
    again = await app.redeem(program, back["code"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await flow.whoami(program, got["access_token"])).status_code == 401
    assert "a code was used again" in [e.body.get("why") for e in await flow.events(site)]


async def test_a_code_is_worth_nothing_to_another_application(site: Site, program, app: App, ada) -> None:
    thief = await register(site)
    back = await allow(ada, app.ask())
    assert (await thief.redeem(program, back["code"])).json()["error"] == "invalid_grant"
    assert (await app.redeem(program, back["code"])).status_code == 200  # and is not spoiled by the try


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "w" * 50}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"redirect_uri": BACK + "/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"client_secret": "gcs_wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"code": "gc_" + "A" * 44}, "invalid_grant"),
        ({"code": "' OR 1=1"}, "invalid_grant"),
    ],
)
async def test_tokens_take_the_whole_proof(program, app: App, ada, changes: dict[str, str | None], error: str) -> None:
    code = (await allow(ada, app.ask()))["code"]
    answer = await app.redeem(program, **({"code": code} | changes))
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error, answer.text


async def test_a_code_lasts_a_minute(program, app: App, ada) -> None:
    back = await allow(ada, app.ask())
    with time_machine.travel(now() + timedelta(seconds=61), tick=False):
        assert (await app.redeem(program, back["code"])).json()["error"] == "invalid_grant"


async def test_without_pkce_takes_a_secret_and_a_nonce(site: Site, program, ada) -> None:
    old = await register(site, needs_pkce=False)
    bare = {"code_challenge": None, "code_challenge_method": None}
    assert returned(await ada.get("/oauth/authorize", params=old.ask(**bare, nonce=None)))["error"] == "invalid_request"
    back = await allow(ada, old.ask(**bare))
    # A verifier where there was no challenge is a downgrade in the making (RFC 9700, 4.8.2).
    assert (await old.redeem(program, back["code"])).json()["error"] == "invalid_request"
    back = returned(await ada.get("/oauth/authorize", params=old.ask(**bare)))
    assert (await old.redeem(program, back["code"], code_verifier=None)).status_code == 200


async def test_a_disabled_person_gets_no_tokens_for_a_code(site: Site, program, app: App, ada) -> None:
    back = await allow(ada, app.ask())
    async with site.gatekeeper.db.write() as session:
        await people.disable(session, await people.find(session, "ada"), by=OPERATOR)
    assert (await app.redeem(program, back["code"])).json()["error"] == "invalid_grant"


async def test_another_site_or_a_token_cannot_say_yes(app: App, ada, program, site: Site) -> None:
    got = await flow.log_in(site, program, "alan")
    asked = app.ask() | {"decision": "allow"}
    bearer = {"Authorization": f"Bearer {got['access_token']}"}
    assert (await program.post("/oauth/authorize", data=asked, headers=bearer)).status_code == 403
    assert (await program.get("/oauth/authorize", params=app.ask(), headers=bearer)).status_code == 403
    forged = await ada.post("/oauth/authorize", data=asked, headers={"sec-fetch-site": "cross-site"})
    assert forged.status_code == 403


async def test_taking_consent_back_ends_the_tokens_and_asks_again(program, app: App, ada) -> None:
    back = await allow(ada, app.ask(scope="openid read offline_access"))
    got = (await app.redeem(program, back["code"])).json()
    page = await ada.get("/settings/applications")
    assert "Gallery" in page.text
    assert (await ada.post(f"/settings/applications/sites/{app.id}/revoke")).status_code == 303
    assert (await flow.whoami(program, got["access_token"])).status_code == 401
    secret = {"client_id": app.id, "client_secret": app.secret or ""}
    assert (await flow.refresh(program, got["refresh_token"], **secret)).json()["error"] == "invalid_grant"
    assert (await ada.get("/oauth/authorize", params=app.ask(scope="openid read offline_access"))).status_code == 200


async def test_renewing_takes_the_applications_secret(program, app: App, ada) -> None:
    back = await allow(ada, app.ask(scope="openid offline_access"))
    got = (await app.redeem(program, back["code"])).json()
    stolen = await flow.refresh(program, got["refresh_token"], client_id=app.id)
    assert stolen.json()["error"] == "invalid_client"
    other = await flow.refresh(program, got["refresh_token"])  # as the hf command
    assert other.json()["error"] == "invalid_grant"
    secret = {"client_id": app.id, "client_secret": app.secret or ""}
    assert (await flow.refresh(program, got["refresh_token"], **secret)).status_code == 200


async def test_an_application_asks_about_its_own_tokens_and_hands_them_back(site: Site, program, app: App, ada) -> None:
    other = await register(site)
    back = await allow(ada, app.ask(scope="openid read"))
    got = (await app.redeem(program, back["code"])).json()["access_token"]

    async def active(who: App) -> bool:
        sent = {"client_id": who.id, "client_secret": who.secret, "token": got}
        return (await program.post("/oauth/introspect", data=sent)).json()["active"]

    assert [await active(app), await active(other)] == [True, False]
    bare = await program.post("/oauth/introspect", data={"client_id": app.id, "token": got})
    assert (bare.status_code, bare.json()["error"]) == (401, "invalid_client")
    foreign = {"client_id": other.id, "client_secret": other.secret, "token": got}
    assert (await program.post("/oauth/revoke", data=foreign)).status_code == 400
    assert await active(app)
    own = {"client_id": app.id, "client_secret": app.secret, "token": got}
    assert (await program.post("/oauth/revoke", data=own)).status_code == 200
    assert not await active(app)
    assert (await flow.whoami(program, got)).status_code == 401
    assert (await program.post("/oauth/revoke", data=own | {"token": "unknown"})).status_code == 200


async def test_a_token_in_an_address_is_not_looked_at(program, app: App, ada) -> None:
    back = await allow(ada, app.ask())
    got = (await app.redeem(program, back["code"])).json()["access_token"]
    assert (await program.get("/oauth/userinfo", params={"access_token": got})).status_code == 401
    assert (await program.post("/oauth/userinfo", data={"access_token": got})).status_code == 401


async def test_an_id_token_is_no_access_token_and_cannot_be_forged(program, app: App, ada) -> None:
    back = await allow(ada, app.ask(scope="openid read"))
    got = (await app.redeem(program, back["code"])).json()
    assert (await flow.whoami(program, got["id_token"])).status_code == 401
    published = (await program.get("/oauth/jwks")).json()
    assert all(set(key) == {"kty", "n", "e", "kid", "use", "alg"} for key in published["keys"])  # no private part
    key_set = KeySet.import_key_set(published)
    claims = jwt.decode(got["id_token"], key_set, algorithms=["RS256"]).claims
    forged = jwt.encode({"alg": "RS256", "kid": published["keys"][0]["kid"]}, claims, RSAKey.generate_key(2048))
    with pytest.raises(BadSignatureError):
        jwt.decode(forged, key_set, algorithms=["RS256"])


async def test_keys_rotate_and_a_relying_party_knows_each_before_it_meets_it(site: Site) -> None:
    directory = site.gatekeeper.settings.keys_dir
    with time_machine.travel(now(), tick=False) as clock:
        first = keys.published(directory)["keys"]
        assert len(first) == 2  # the present and the next
        assert keys.signing_key(directory).kid == first[0]["kid"]
        clock.shift(keys.PERIOD_SECONDS)
        second = keys.published(directory)["keys"]
        assert keys.signing_key(directory).kid == first[1]["kid"]
        assert {key["kid"] for key in second} > {key["kid"] for key in first}
        clock.shift(2 * keys.PERIOD_SECONDS)
        assert first[0]["kid"] not in {key["kid"] for key in keys.published(directory)["keys"]}
        assert len(list(directory.glob("oidc-*.pem"))) == 3


async def test_a_site_is_registered_and_removed_on_the_page(site: Site, program) -> None:
    grace = await site.as_("grace")
    form = {"name": "Gallery", "redirect_uris": f"{BACK}\r\n", "scopes": ["profile"], "kind": "confidential"}
    page = await grace.post("/settings/applications/own", data=form)
    assert "is registered" in words(page.text)
    secret = page.text.partition("gcs_")[2][:44]
    async with site.gatekeeper.db.read() as session:
        (row,) = await session.scalars(sa.select(oauth.Application))
    assert secret not in str(row.model_dump())
    assert (await (await site.as_("ada")).post(f"/settings/applications/own/{row.id}/remove")).status_code == 404
    assert (await grace.post(f"/settings/applications/own/{row.id}/remove")).status_code == 303
    gone = await program.post("/oauth/introspect", data={"client_id": row.id, "client_secret": f"gcs_{secret}"})
    assert gone.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "address",
    ["http://app.example.org/", "https://a@b.example/", "https://app.example.org/#x", "https://*.example.org/", "/cb",
     "javascript:alert(1)", "https://app.example.org\\evil/", "https://exämple.org/", "https://[::bad/", "com.app:/cb"],
)  # fmt: skip
async def test_addresses_that_could_be_misread_are_not_registered(site: Site, address: str) -> None:
    form = {"name": "Gallery", "redirect_uris": address, "kind": "confidential"}
    page = await (await site.as_("grace")).post("/settings/applications/own", data=form)
    assert page.status_code == 422
    async with site.gatekeeper.db.read() as session:
        assert not list(await session.scalars(sa.select(oauth.Application)))
