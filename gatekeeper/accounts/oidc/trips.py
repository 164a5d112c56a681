"""The way to a provider and back: one row for each try, bound to the browser, used once."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import sqlalchemy as sa
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.oidc import verify
from gatekeeper.accounts.oidc.remote import Remote
from gatekeeper.accounts.oidc.tables import Trip
from gatekeeper.errors import NotSignedIn, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.sealing import Box
from gatekeeper.kit.secrets import is_well_formed, keyed_hash, new_secret

BROWSER = "gb_"  # prefix of the secret that binds a trip to the browser that began it
STATE = "go_"
LIFE_SECONDS = 900
PER_ADDRESS = 60  # an office behind one address starts work at the same time
WINDOW_SECONDS = 300
_KEPT_CLAIMS = 200_000
_LONGEST_CODE = 4000


@dataclass(frozen=True)
class Vouched:
    """Somebody, as a provider vouches for them: what the ID token says, and the userinfo about the same subject."""

    issuer: str
    subject: str
    claims: dict[str, Any]
    id_token: str


@dataclass(frozen=True)
class Start:
    """Where to send the browser, and the secret for its cookie."""

    address: str
    browser_secret: str


@dataclass(frozen=True)
class Underway:
    """A trip that was taken from the database: it cannot be taken again."""

    trip: Trip
    nonce: str
    verifier: str


async def begin(
    session: AsyncSession,
    remote: Remote,
    metadata: dict[str, Any],
    *,
    redirect_uri: str,
    return_to: str,
    browser_secret: str,
    address: str,
    key: bytes,
    box: Box,
    is_fresh: bool = False,
    links_session_id: str | None = None,
) -> Start:
    """Remember a trip and say where it leads.

    redirect_uri      the exact address that is registered with the provider
    browser_secret    the one the browser holds from another tab, or ""
    is_fresh          have the person sign in again there, whether they are signed in or not
    links_session_id  the session whose account gets the identity; that takes a fresh sign-in, too

    Raises TooMany for an address that begins too many.
    """
    address_hash = keyed_hash(key, f"oidc address {address}")
    await _limit(session, address_hash)
    if not is_well_formed(browser_secret, BROWSER):
        browser_secret = new_secret(BROWSER)
    state, nonce, verifier = new_secret(STATE), new_secret("n"), new_secret("v") + new_secret("")
    trip = Trip(
        id=new_id(),
        provider=remote.provider.name,
        state_hash=keyed_hash(key, state),
        browser_hash=keyed_hash(key, browser_secret),
        sealed="",
        return_to=return_to,
        links_session_id=links_session_id,
        is_fresh=is_fresh or links_session_id is not None,
        address_hash=address_hash,
        expires_at=now() + timedelta(seconds=LIFE_SECONDS),
    )
    trip.sealed = box.seal(json.dumps([nonce, verifier]), purpose=f"oidc trip {trip.id}")
    session.add(trip)
    more = {}
    if trip.is_fresh:
        more["prompt"] = remote.provider.about.fresh_prompt
        if remote.provider.about.is_fresh_told:
            more["max_age"] = "0"
    async with _client(remote, metadata, redirect_uri) as client:
        url, _ = client.create_authorization_url(
            metadata["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce, **more
        )
    return Start(url, browser_secret)


async def take(
    session: AsyncSession, remote: Remote, *, state: str, browser_secret: str, key: bytes, box: Box
) -> Underway:
    """The trip of this answer, which is over by that. Raises NotSignedIn for any other, old or used one."""
    instant = now()
    trip = None
    if is_well_formed(state, STATE) and is_well_formed(browser_secret, BROWSER):
        trip = await session.scalar(
            sa.update(Trip)
            .where(
                col(Trip.state_hash) == keyed_hash(key, state),
                col(Trip.browser_hash) == keyed_hash(key, browser_secret),
                col(Trip.provider) == remote.provider.name,
                col(Trip.used_at).is_(None),
                col(Trip.expires_at) > instant,
            )
            .values(used_at=instant)
            .returning(Trip)
        )
    if trip is None:
        raise NotSignedIn(
            "This sign-in is over, or was begun in another browser.",
            next_step="Start again from the sign-in page.",
            code="SignInExpired",
        )
    nonce, verifier = json.loads(box.open(trip.sealed, purpose=f"oidc trip {trip.id}"))
    return Underway(trip, nonce, verifier)


async def arrive(
    remote: Remote, underway: Underway, *, code: str, iss: str | None, error: str, redirect_uri: str
) -> Vouched:
    """Redeem the code and find out for whom it is. Called outside any transaction: the provider may be slow.

    iss    the parameter of the answer (RFC 9207), None if there was none

    Raises NotSignedIn for whatever does not fit, Unavailable when the provider does not answer.
    """
    metadata = await remote.metadata()
    is_iss_due = metadata.get("authorization_response_iss_parameter_supported") is True
    if iss != remote.provider.issuer and (iss is not None or is_iss_due):
        raise verify.refused(remote, "iss parameter")
    if error == "access_denied":
        raise NotSignedIn(
            f"You did not sign in at {remote.provider.title}.", next_step="Sign in another way, or try again."
        )
    if error or not 0 < len(code) <= _LONGEST_CODE:
        raise verify.refused(remote, "error")
    tokens = await _redeem(remote, metadata, underway, code, redirect_uri)
    access_token = tokens.get("access_token") if isinstance(tokens.get("access_token"), str) else ""
    trip = underway.trip
    claims = await verify.id_token(
        remote,
        tokens.get("id_token"),
        nonce=underway.nonce,
        access_token=access_token or "",
        fresh_since=trip.created_at.timestamp() if trip.is_fresh else None,
    )
    told = await _userinfo(remote, metadata, access_token or "", subject=claims["sub"])
    merged = told | claims
    if len(json.dumps(merged)) > _KEPT_CLAIMS:
        raise verify.refused(remote, "size")
    return Vouched(remote.provider.issuer, claims["sub"], merged, tokens["id_token"])


async def clean_up(session: AsyncSession) -> None:
    """Forget trips that are over."""
    await session.execute(sa.delete(Trip).where(col(Trip.expires_at) < now()))


async def _limit(session: AsyncSession, address_hash: str) -> None:
    since = now() - timedelta(seconds=WINDOW_SECONDS)
    begun = await session.scalar(
        sa.select(sa.func.count()).where(col(Trip.address_hash) == address_hash, col(Trip.created_at) > since)
    )
    if (begun or 0) >= PER_ADDRESS:
        raise TooMany(
            "Too many sign-ins were begun from here.",
            next_step="Try again in five minutes.",
            details={"retry_after_seconds": WINDOW_SECONDS},
        )


def _client(remote: Remote, metadata: dict[str, Any], redirect_uri: str) -> AsyncOAuth2Client:
    provider, secret = remote.provider, remote.provider.secret()
    methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
    return AsyncOAuth2Client(
        client_id=provider.client_id,
        client_secret=secret,
        token_endpoint_auth_method=method if secret else "none",
        scope=" ".join(provider.scopes),
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        timeout=10,
        follow_redirects=False,
    )


async def _redeem(
    remote: Remote, metadata: dict[str, Any], underway: Underway, code: str, redirect_uri: str
) -> dict[str, Any]:
    try:
        async with _client(remote, metadata, redirect_uri) as client:
            return dict(
                await client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=redirect_uri,
                    code_verifier=underway.verifier,
                )
            )
    except httpx2.HTTPError as error:
        raise remote.broken("its token endpoint does not answer") from error
    except OAuthError as error:
        if error.error == "invalid_grant":
            raise verify.refused(remote, "code") from error
        raise remote.broken(f"its token endpoint refused: {str(error.error)[:60]}") from error
    except (ValueError, TypeError) as error:
        raise remote.broken("its token endpoint answers no JSON") from error


async def _userinfo(remote: Remote, metadata: dict[str, Any], access_token: str, *, subject: str) -> dict[str, Any]:
    """More about the same subject; what is about another one is refused (OpenID Connect Core 1.0, 5.3.2)."""
    if "userinfo_endpoint" not in metadata or not access_token:
        return {}
    told = await remote.fetch(metadata["userinfo_endpoint"], authorization=f"Bearer {access_token}")
    if told.get("sub") != subject:
        raise verify.refused(remote, "userinfo")
    return told
