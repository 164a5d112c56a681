"""Ending sessions with the provider: what it ends there ends here, and the way to end it there too."""

from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import namespaces
from gatekeeper.accounts.factors.tables import SignInStep
from gatekeeper.accounts.oidc import verify
from gatekeeper.accounts.oidc.providers import Provider
from gatekeeper.accounts.oidc.remote import Remote
from gatekeeper.accounts.oidc.tables import Identity, SeenLogout
from gatekeeper.accounts.tables import BrowserSession, ProviderSession
from gatekeeper.errors import Conflict
from gatekeeper.kit.clock import now
from gatekeeper.kit.sealing import Box
from gatekeeper.kit.secrets import keyed_hash


async def obey(session: AsyncSession, provider: Provider, claims: dict[str, Any], *, key: bytes) -> int:
    """End the sessions that a checked logout token names: one by `sid`, all of the subject's without; returns how many.

    Raises Conflict for a token that was obeyed before.
    """
    seen = SeenLogout(
        jti_hash=keyed_hash(key, f"logout {provider.issuer} {claims['jti']}"), expires_at=now() + verify.SEEN_FOR
    )
    await namespaces.insert(
        session, seen, otherwise=Conflict("This logout token was used before.", next_step="Send each one once.")
    )
    which = [col(Identity.issuer) == provider.issuer, col(ProviderSession.provider) == provider.name]
    if "sub" in claims:
        which.append(col(Identity.subject) == claims["sub"])
    if "sid" in claims:
        which.append(col(ProviderSession.sid) == claims["sid"])
    rows = await session.scalars(
        sa.select(BrowserSession)
        .join(ProviderSession, col(ProviderSession.session_id) == col(BrowserSession.id))
        .join(Identity, col(Identity.id) == col(ProviderSession.identity_id))
        .where(*which, col(BrowserSession.ended_at).is_(None))
    )
    ended = 0
    for browser in rows:
        browser.ended_at = now()
        session.add(browser)
        ended += 1
        await ledger.record(
            session,
            "accounts:session:end",
            actor=browser.person_id,
            subject=browser.id,
            body={"by": "identity provider"},
        )
    await _forget_begun(session, provider, claims)
    return ended


async def way_out(session: AsyncSession, session_id: str, *, box: Box) -> tuple[str, str] | None:
    """Through which provider a session began, by name, and its ID token as a hint; None for a session of our own."""
    row = await session.get(ProviderSession, session_id)
    if row is None:
        return None
    return row.provider, box.open(row.sealed_id_token, purpose=f"id token {row.identity_id}")


def end_session_address(remote: Remote, *, hint: str, back_to: str) -> str | None:
    """Where a person signs out at the provider too, None if it offers no such page, as far as is known."""
    endpoint = (remote.known or {}).get("end_session_endpoint")
    if endpoint is None:
        return None
    query = urlencode(
        {"id_token_hint": hint, "client_id": remote.provider.client_id, "post_logout_redirect_uri": back_to}
    )
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


async def _forget_begun(session: AsyncSession, provider: Provider, claims: dict[str, Any]) -> None:
    """What waits for its second step would become such a session, so it ends too."""
    subject = sa.select(col(Identity.id)).where(
        col(Identity.issuer) == provider.issuer, col(Identity.subject) == claims.get("sub", "")
    )
    identity_id = await session.scalar(subject)
    for step in await session.scalars(sa.select(SignInStep).where(col(SignInStep.arrival).is_not(None))):
        begun = step.arrival or {}
        is_it = begun["provider"] == provider.name and claims.get("sid", begun["sid"]) == begun["sid"]
        if is_it and ("sub" not in claims or begun["identity_id"] == identity_id):
            await session.delete(step)


async def clean_up(session: AsyncSession) -> None:
    """Forget logout tokens that would be too old anyway."""
    await session.execute(sa.delete(SeenLogout).where(col(SeenLogout.expires_at) < now()))
