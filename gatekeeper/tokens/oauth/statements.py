"""What a job elsewhere shows about itself: a signed statement (a JWT), read as strictly as can be.

Its issuer's keys are public and fetched by a door; here nothing is fetched and nothing is kept.
"""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gatekeeper.errors import Invalid

LEEWAY_SECONDS = 30
MOST_SECONDS = 24 * 3600  # life of a statement, and its greatest age
_LONGEST = 16_000
_FEWEST_RSA_BITS = 2048
# By the header's name: the one kind of key and the one curve that may have made it. `EdDSA` is what RFC 9864 now calls
# Ed25519. There is no `none` and no HMAC here: a public key must never be taken for a shared secret.
_KEYS: dict[str, tuple[str, str, str | None]] = {
    "RS256": ("RS256", "RSA", None),
    "ES256": ("ES256", "EC", "P-256"),
    "EdDSA": ("Ed25519", "OKP", "Ed25519"),
    "Ed25519": ("Ed25519", "OKP", "Ed25519"),
}
_KINDS: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


@dataclass(frozen=True)
class Unread:
    """A statement that nobody has checked: only whom it names as its issuer, and the key to ask for."""

    text: str
    issuer: str
    key_id: str
    algorithm: str


@dataclass(frozen=True)
class Statement:
    """A statement that was checked. `id` is its `jti`, which is good once until `ends_at`."""

    issuer: str
    id: str
    ends_at: int
    claims: dict[str, Any]


def unread(text: str) -> Unread:
    """Which issuer and key a statement names. Raises Invalid for what is no statement that could ever be accepted."""
    if len(text) > _LONGEST or text.count(".") != 2 or not text.isascii():
        raise _refused("It is no JWT.")
    try:
        parts = jws.extract_compact(text.encode())
        header = parts.headers()
        claims = _json(parts.payload)
    except (JoseError, ValueError, TypeError):
        raise _refused("It is no JWT.") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEYS or "crit" in header or "b64" in header:
        raise _refused(f"Only {', '.join(sorted(_KEYS))} are accepted.")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= 300:
        raise _refused("It names no key.")
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not 1 <= len(issuer) <= 300:
        raise _refused("It names no issuer.")
    return Unread(text, issuer, key_id, algorithm)


def key_for(found: Unread, keys: list[Any]) -> RSAKey | ECKey | OKPKey | None:
    """The issuer's public key that the statement names, if it is of the kind that its algorithm takes."""
    name, kind, curve = _KEYS[found.algorithm]
    for key in keys:
        if not isinstance(key, dict) or key.get("kid") != found.key_id or key.get("kty") != kind:
            continue
        if key.get("use", "sig") != "sig" or key.get("alg", found.algorithm) not in (found.algorithm, name):
            continue
        if curve is not None and key.get("crv") != curve:
            continue
        public = {part: key[part] for part in ("kty", "n", "e", "crv", "x", "y") if part in key}
        try:
            read = _KINDS[kind].import_key(public)
        except (JoseError, ValueError, TypeError, KeyError):
            return None
        if isinstance(read, RSAKey) and read.raw_value.key_size < _FEWEST_RSA_BITS:
            return None
        return read
    return None


def verify(found: Unread, key: RSAKey | ECKey | OKPKey, *, issuer: str, audience: str, instant: datetime) -> Statement:
    """The statement, checked: signature, issuer, its one audience, and times. Raises Invalid saying what is wrong."""
    try:
        claims = _signed(found.text, key, _KEYS[found.algorithm][0])
    except (JoseError, ValueError, TypeError):
        raise _refused("Its signature is not good.") from None
    if claims.get("iss") != issuer:
        raise _refused("Its issuer is another.")
    named = claims.get("aud")
    if (named if isinstance(named, list) else [named]) != [audience]:
        raise _refused(f"Its audience must be {audience} and nothing else.")
    at = instant.timestamp()
    ends, made, begins = (_seconds(claims, each) for each in ("exp", "iat", "nbf"))
    if ends is None or made is None:
        raise _refused("It says neither when it was made nor when it ends.")
    if at >= ends + LEEWAY_SECONDS:
        raise _refused("It has ended.")
    if made > at + LEEWAY_SECONDS or (begins is not None and begins > at + LEEWAY_SECONDS):
        raise _refused("It begins in the future.")
    if ends - made > MOST_SECONDS or at - made > MOST_SECONDS:
        raise _refused("It lives longer than a day.")
    unique = claims.get("jti")
    if not isinstance(unique, str) or not 1 <= len(unique) <= 500:
        raise _refused("It has no jti, so it could be used twice.")
    return Statement(issuer, unique, ends, claims)


def _signed(text: str, key: Any, name: str) -> dict[str, Any]:
    """The claims, if the signature over them is good. Raises ValueError, JoseError."""
    signed, _, signature = text.rpartition(".")
    if not jws.JWSRegistry(algorithms=[name]).get_alg(name).verify(signed.encode(), _decoded(signature), key):
        raise ValueError
    return _json(_decoded(signed.partition(".")[2]))


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part.encode() + b"=" * (-len(part) % 4))


def _json(payload: bytes) -> dict[str, Any]:
    value = json.loads(payload)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _seconds(claims: dict[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise _refused(f"Its {name} is no time.")
    return int(value)


def _refused(why: str) -> Invalid:
    return Invalid(f"The job's statement is not accepted. {why}", next_step="Ask the job's issuer for a new one.")
