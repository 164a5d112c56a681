"""What a job's signed statement must be: every attack on it is refused, in words that help its honest sender."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.tokens.oauth import statements

ISSUER, HUB = "https://issuer.example.org", "https://hub.example.org"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
KEYS = [key.as_dict(private=False) for key in (RSA, EC, ED)]


def claims(**changes: Any) -> dict[str, Any]:
    at = int(now().timestamp())
    made = {"iss": ISSUER, "aud": HUB, "sub": "repo:lab/x", "iat": at, "exp": at + 300, "jti": "one"} | changes
    return {name: value for name, value in made.items() if value is not None}


def sign(key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    told = {"alg": alg, "kid": key.kid} | (header or {})
    return jwt.encode(told, claims(**changes), key, algorithms=[alg])


def read(text: str) -> statements.Statement:
    found = statements.unread(text)
    key = statements.key_for(found, KEYS)
    if key is None:
        raise Invalid("no key")
    return statements.verify(found, key, issuer=ISSUER, audience=HUB, instant=now())


def raw(header: dict[str, Any], payload: Any, signature: str = "") -> str:
    parts = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, payload)]
    return ".".join([*parts, signature])


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (EC, "ES256"), (ED, "Ed25519")])
def test_a_sound_statement_is_read(key: Any, alg: str) -> None:
    found = read(sign(key, alg))
    assert (found.issuer, found.id, found.claims["sub"]) == (ISSUER, "one", "repo:lab/x")


def test_the_older_name_of_ed25519_is_understood() -> None:
    text = raw({"alg": "EdDSA", "kid": "ed"}, claims())
    signed = text.rpartition(".")[0]
    signature = urlsafe_b64encode(ED.raw_value.sign(signed.encode())).decode().rstrip("=")  # type: ignore[union-attr]
    assert read(f"{signed}.{signature}").id == "one"


def test_a_public_key_is_never_a_shared_secret_and_nothing_goes_unsigned() -> None:
    signed = raw({"alg": "HS256", "kid": "rsa"}, claims()).rpartition(".")[0]
    mac = hmac.new(RSA.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    confused = f"{signed}.{urlsafe_b64encode(mac).decode().rstrip('=')}"
    for text in (
        raw({"alg": "none", "kid": "rsa"}, claims()),
        raw({"alg": "None", "kid": "rsa"}, claims()),
        confused,
    ):
        with pytest.raises(Invalid, match="accepted"):
            read(text)


def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    for key, alg, kid in ((EC, "ES256", "rsa"), (RSA, "RS256", "ec"), (ED, "Ed25519", "ec")):
        with pytest.raises(Invalid):
            read(sign(key, alg, header={"kid": kid}))


def test_a_key_in_the_header_a_foreign_key_and_a_short_one_are_worth_nothing() -> None:
    own = RSAKey.generate_key(2048, {"kid": "rsa"})
    with pytest.raises(Invalid, match="signature"):
        read(sign(own))
    with pytest.raises(Invalid):
        read(sign(own, header={"jwk": own.as_dict(private=False)}))
    with pytest.raises(Invalid):
        read(sign(own, header={"kid": "own", "jku": "https://evil.example.org/jwks"}))
    for changed in ({"use": "enc"}, {"alg": "RS512"}, {"kty": "oct"}, {"n": "AQAB"}, {"n": 1}):
        assert statements.key_for(statements.unread(sign()), [RSA.as_dict(private=False) | changed]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example.org"},
        {"iss": None},
        {"aud": "https://other.example.org"},
        {"aud": [HUB, "https://other.example.org"]},
        {"aud": None},
        {"aud": HUB + "/"},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 1},
        {"exp": "soon"},
        {"exp": True},
        {"iat": 1e300},
    ],
    ids=str,
)
def test_what_lacks_or_says_another_thing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        read(sign(**changes))
    assert caught.value.next_step


def test_clocks_may_differ_by_half_a_minute_and_no_more() -> None:
    at = int(now().timestamp())
    for changes in ({"exp": at - 20}, {"iat": at + 20}, {"nbf": at + 20}):
        read(sign(**{"iat": at - 60, **changes}))
    for changes in ({"exp": at - 40}, {"iat": at + 60, "exp": at + 90}, {"nbf": at + 60}):
        with pytest.raises(Invalid):
            read(sign(**{"iat": at - 60, **changes}))
    day = int(timedelta(days=1).total_seconds())
    for changes in ({"exp": at + day + 60}, {"iat": at - day - 60, "exp": at + 60}):
        with pytest.raises(Invalid, match="day"):
            read(sign(**changes))


@pytest.mark.parametrize(
    "text",
    ["", "a.b", "a.b.c", "....", "é.b.c", "x" * 20_000, raw({"alg": "RS256", "kid": "rsa"}, [1]) + "AA"],
    ids=["empty", "two", "garbage", "dots", "letters", "long", "no object"],
)
def test_what_is_no_statement_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read(text)


def test_a_statement_changed_by_one_letter_is_refused() -> None:
    head, _, signature = sign().split(".")
    other = sign(sub="repo:evil/x").split(".")[1]
    with pytest.raises(Invalid, match="signature"):
        read(f"{head}.{other}.{signature}")
    for header in ({"crit": ["exp"]}, {"b64": False}):
        with pytest.raises(Invalid):
            read(raw({"alg": "RS256", "kid": "rsa"} | header, claims(), "AA"))
