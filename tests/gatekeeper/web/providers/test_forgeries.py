"""What a hostile sender would say in the provider's name: each forgery differs in one thing from what is accepted."""

import time
from typing import Any

import pytest
from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from gatekeeper.accounts.oidc import Remote, verify
from gatekeeper.errors import NotSignedIn
from tests.gatekeeper.web.providers.test_sign_in import sign_in, whoami
from tests.gatekeeper.web.site import Site
from tests.identity_provider import IdentityProvider

pytestmark = pytest.mark.anyio

NONCE = "the nonce of this sign-in"
EVENTS = {verify.LOGOUT_EVENT: {}}


@pytest.fixture
def remote(hub: Site) -> Remote:
    return hub.gatekeeper.remotes["company"]


async def refused_part(remote: Remote, token: object, **more: Any) -> str:
    with pytest.raises(NotSignedIn) as refusal:
        await verify.id_token(remote, token, nonce=NONCE, **more)
    return str(refusal.value.details.get("part", ""))


async def test_what_the_provider_really_says_is_believed(remote: Remote, company: IdentityProvider) -> None:
    half = create_half_hash("access", "RS256").decode()
    token = company.sign(company.claims(nonce=NONCE, at_hash=half))

    claims = await verify.id_token(remote, token, nonce=NONCE, access_token="access")

    assert claims["sub"] == "bea"


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("iss", {"iss": "https://evil.example"}),
        ("iss", {"iss": ...}),
        ("aud", {"aud": "another-client"}),
        ("aud", {"aud": "another-client", "azp": "hub-at-company"}),
        ("aud", {"aud": []}),
        ("aud", {"aud": ...}),
        ("azp", {"aud": ["hub-at-company", "another-client"]}),
        ("azp", {"azp": "another-client"}),
        ("nonce", {"nonce": "another"}),
        ("nonce", {"nonce": ...}),
        ("exp", {"exp": ...}),
        ("exp", {"exp": "tomorrow"}),
        ("exp", {"exp": True}),
        ("iat", {"iat": ...}),
        ("sub", {"sub": ...}),
        ("sub", {"sub": ""}),
        ("sub", {"sub": 7}),
        ("at_hash", {"at_hash": "another"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items()),
)
async def test_a_claim_that_does_not_fit_is_refused(
    remote: Remote, company: IdentityProvider, part: str, changes: dict[str, Any]
) -> None:
    token = company.sign(company.claims(**({"nonce": NONCE} | changes)))

    assert await refused_part(remote, token, access_token="access") == part


@pytest.mark.parametrize(
    ("part", "name", "seconds"),
    [("exp", "exp", -90), ("", "exp", -20), ("iat", "iat", 90), ("", "iat", 20), ("nbf", "nbf", 90), ("", "nbf", 20)],
)
async def test_clocks_may_differ_by_a_minute_and_no_more(
    remote: Remote, company: IdentityProvider, part: str, name: str, seconds: int
) -> None:
    token = company.sign(company.claims(**{"nonce": NONCE, name: int(time.time()) + seconds}))

    if part:
        assert await refused_part(remote, token) == part
    else:
        assert (await verify.id_token(remote, token, nonce=NONCE))["sub"] == "bea"


async def test_a_signature_by_none_by_a_shared_secret_or_by_a_foreign_key_is_refused(
    remote: Remote, company: IdentityProvider
) -> None:
    claims, kid = company.claims(nonce=NONCE), company.key.kid
    good = company.sign(claims)
    unsigned = "eyJhbGciOiJub25lIn0." + good.split(".")[1] + "."
    secret = jwt.encode({"alg": "HS256", "kid": kid}, claims, OctKey.import_key("a secret for tests, long enough"))
    public = jwt.encode({"alg": "HS256", "kid": kid}, claims, OctKey.import_key(company.key.as_pem(private=False)[27:]))
    foreign = jwt.encode({"alg": "RS256", "kid": kid}, claims, RSAKey.generate_key(2048))
    changed = ".".join((good.split(".")[0], company.sign(claims | {"sub": "ada"}).split(".")[1], good.split(".")[2]))

    assert [await refused_part(remote, token) for token in (unsigned, secret, public)] == ["alg", "alg", "alg"]
    assert [await refused_part(remote, token) for token in (foreign, changed)] == ["signature", "signature"]
    assert await refused_part(remote, None) == "token"
    assert await refused_part(remote, "a.b.c") == "form"


async def test_who_must_sign_in_again_must_have_done_so(remote: Remote, company: IdentityProvider) -> None:
    now = time.time()

    for signed_in in ({}, {"auth_time": int(now) - 600}):
        token = company.sign(company.claims(nonce=NONCE, **signed_in))
        with pytest.raises(NotSignedIn, match="did not have you sign in again"):
            await verify.id_token(remote, token, nonce=NONCE, fresh_since=now)

    token = company.sign(company.claims(nonce=NONCE, auth_time=int(now)))
    assert await verify.id_token(remote, token, nonce=NONCE, fresh_since=now)


async def test_unknown_keys_do_not_make_us_ask_the_provider_again_and_again(
    remote: Remote, company: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetch = remote.fetch

    async def counted(address: str, **headers: str) -> dict[str, Any]:
        asked.append(address)
        return await fetch(address, **headers)

    monkeypatch.setattr(remote, "fetch", counted)
    for number in range(5):
        await refused_part(remote, company.sign(company.claims(nonce=NONCE), kid=f"unknown-{number}"))

    assert len([address for address in asked if "jwks" in address]) == 1


async def test_a_logout_token_ends_the_sessions_of_its_subject_at_once_and_works_once(
    hub: Site, company: IdentityProvider
) -> None:
    first, second, other = hub.browser(), hub.browser(), hub.browser()
    await sign_in(first, "bea")
    await sign_in(second, "bea")
    await sign_in(other, "ada-at-work")
    token = company.sign(company.claims(events=EVENTS, jti="one"), typ="logout+jwt")
    sender = hub.browser()

    ended = await sender.post("/login/with/company/back-channel", data={"logout_token": token})
    again = await sender.post("/login/with/company/back-channel", data={"logout_token": token})

    assert (ended.status_code, again.status_code) == (200, 400)
    assert ended.headers["cache-control"] == "no-store"
    assert [await whoami(browser) for browser in (first, second)] == ["", ""]
    assert await whoami(other) != ""


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"nonce": NONCE},
        {"events": ...},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"jti": ...},
        {"sub": ...},
        {"iat": int(time.time()) - 3600},
        {"exp": int(time.time()) - 3600},
        {"typ": "at+jwt"},
    ],
    ids=lambda value: next(iter(value)),
)
async def test_a_logout_token_that_does_not_fit_ends_nothing(
    hub: Site, company: IdentityProvider, changes: dict[str, Any]
) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")
    typ = changes.pop("typ", "logout+jwt")
    token = company.sign(company.claims(**({"events": EVENTS, "jti": "two"} | changes)), typ=typ)

    answer = await hub.browser().post("/login/with/company/back-channel", data={"logout_token": token})

    assert answer.status_code == 400
    assert await whoami(browser) != ""


async def test_a_logout_token_of_one_provider_ends_nothing_at_another(hub: Site, partner: IdentityProvider) -> None:
    browser = hub.browser()
    await sign_in(browser, "bea")
    token = partner.sign(partner.claims(events=EVENTS, jti="three"), typ="logout+jwt")

    for name in ("company", "partner"):
        await hub.browser().post(f"/login/with/{name}/back-channel", data={"logout_token": token})

    assert await whoami(browser) != ""
