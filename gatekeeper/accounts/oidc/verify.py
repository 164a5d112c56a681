"""Whether a provider really said something: ID tokens and logout tokens, checked claim by claim.

Source: OpenID Connect Core 1.0, section 3.1.3.7; Back-Channel Logout 1.0, section 2.6; RFC 8725.
"""

import hmac
from datetime import timedelta
from typing import Any

from authlib.oidc.core.util import create_half_hash
from joserfc import jws, jwt
from joserfc.errors import JoseError

from gatekeeper.accounts.oidc.remote import Remote
from gatekeeper.errors import NotSignedIn
from gatekeeper.kit.clock import now

# Public keys only: a secret that both sides know, or none, would let others sign (algorithm confusion).
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_SECONDS = 60
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_LIFE_SECONDS = 600
_LONGEST = 100_000
_LONGEST_ID = 255


async def id_token(
    remote: Remote, text: object, *, nonce: str, access_token: str = "", fresh_since: float | None = None
) -> dict[str, Any]:
    """The claims of an ID token, if it answers this very sign-in.

    fresh_since  Unix time after which the person must have signed in at the provider (its `auth_time`)

    Raises NotSignedIn for anything that does not fit, Unavailable when the keys cannot be had.
    """
    header, claims = await _signed(remote, text)
    _issued_to_us(remote, claims)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise refused(remote, "nonce")
    if _number(claims, "exp") is None:
        raise refused(remote, "exp")
    if not _is_id(claims.get("sub")):
        raise refused(remote, "sub")
    if "at_hash" in claims:
        expected = create_half_hash(access_token, header["alg"])
        if expected is None or not hmac.compare_digest(str(claims["at_hash"]).encode(), expected):
            raise refused(remote, "at_hash")
    if fresh_since is not None and remote.provider.about.is_fresh_told:
        signed_in = _number(claims, "auth_time")
        if signed_in is None or signed_in < fresh_since - LEEWAY_SECONDS:
            raise NotSignedIn(
                f"{remote.provider.title} did not have you sign in again.", next_step="Sign out there, and try again."
            )
    return claims


async def logout_token(remote: Remote, text: object) -> dict[str, Any]:
    """The claims of a logout token. Whether it was used before is asked by the caller, by its `jti`.

    Raises NotSignedIn for anything that does not fit, Unavailable when the keys cannot be had.
    """
    header, claims = await _signed(remote, text)
    if str(header.get("typ", "logout+jwt")).lower() not in ("logout+jwt", "jwt"):
        raise refused(remote, "typ")
    _issued_to_us(remote, claims)
    issued = _number(claims, "iat") or 0
    if issued < now().timestamp() - LOGOUT_LIFE_SECONDS:
        raise refused(remote, "iat")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise refused(remote, "events")
    if "nonce" in claims:  # it would be an ID token
        raise refused(remote, "nonce")
    if not _is_id(claims.get("jti")) or not (_is_id(claims.get("sub")) or _is_id(claims.get("sid"))):
        raise refused(remote, "jti, sub or sid")
    if any(name in claims and not _is_id(claims[name]) for name in ("sub", "sid")):
        raise refused(remote, "sub or sid")
    return claims


def refused(remote: Remote, why: str) -> NotSignedIn:
    """What to raise for an answer that cannot be believed. People learn little; the operator's log names the part."""
    return NotSignedIn(
        f"What came back from {remote.provider.title} cannot be accepted.",
        next_step="Start again from the sign-in page. If it stays so, tell the administrators of this hub.",
        code="ProviderAnswerRefused",
        details={"part": why},
    )


async def _signed(remote: Remote, text: object) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise refused(remote, "token")
    metadata = await remote.metadata()
    supported = metadata.get("id_token_signing_alg_values_supported")
    allowed = [name for name in ALGORITHMS if not isinstance(supported, list) or name in supported]
    try:
        header = jws.extract_compact(text.encode()).headers()
        kid = header.get("kid")
        if header.get("alg") not in allowed or not (kid is None or isinstance(kid, str)):
            raise refused(remote, "alg")
    except (JoseError, ValueError, TypeError) as error:
        raise refused(remote, "form") from error
    keys = await remote.keys(kid)
    try:
        token = jwt.decode(text, keys, algorithms=allowed)
    except (JoseError, ValueError, TypeError) as error:
        raise refused(remote, "signature") from error
    return dict(token.header), dict(token.claims)


def _issued_to_us(remote: Remote, claims: dict[str, Any]) -> None:
    """`iss`, `aud`, `azp` and the times, which both kinds of token have in common."""
    client, instant = remote.provider.client_id, now().timestamp()
    if claims.get("iss") != remote.provider.issuer:
        raise refused(remote, "iss")
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(audiences, list) or client not in audiences:
        raise refused(remote, "aud")
    if claims.get("azp", client if len(audiences) == 1 else None) != client:
        raise refused(remote, "azp")
    issued, ends, begins = (_number(claims, name) for name in ("iat", "exp", "nbf"))
    if issued is None or issued > instant + LEEWAY_SECONDS:
        raise refused(remote, "iat")
    if "exp" in claims and (ends is None or ends <= instant - LEEWAY_SECONDS):
        raise refused(remote, "exp")
    if "nbf" in claims and (begins is None or begins > instant + LEEWAY_SECONDS):
        raise refused(remote, "nbf")


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable()


SEEN_FOR = timedelta(seconds=LOGOUT_LIFE_SECONDS + 2 * LEEWAY_SECONDS)  # longer than a token can be believed
