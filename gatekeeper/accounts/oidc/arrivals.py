"""Arriving from a provider: into an account one has, into a new one, or to the page where a name is chosen."""

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import people
from gatekeeper.accounts.names import email_key
from gatekeeper.accounts.oidc import claims as reading
from gatekeeper.accounts.oidc import identities, mapping
from gatekeeper.accounts.oidc.providers import Admits, Provider
from gatekeeper.accounts.oidc.tables import Identity, Invitation, Newcomer
from gatekeeper.accounts.oidc.trips import BROWSER, Vouched
from gatekeeper.accounts.signin import SecondStepNeeded, SignedIn, begin_session
from gatekeeper.accounts.tables import Person, Strength
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.sealing import Box
from gatekeeper.kit.secrets import is_well_formed, keyed_hash

NEWCOMER_SECONDS = 1800
INVITED_DAYS = 14
_LONGEST_STRENGTH = 200
_SECOND_FACTORS = frozenset({"mfa", "otp", "hwk"})


@dataclass(frozen=True)
class Door:
    """What starting a session takes: the keys, the browser, and how long it lasts.

    replaces  id of the session the browser had before, which ends: one planted earlier gains nothing
    device    the mark of a browser in which somebody signed in before
    """

    key: bytes
    box: Box
    user_agent: str
    days: int
    replaces: str | None
    device: str = ""


async def enter(
    session: AsyncSession, provider: Provider, vouched: Vouched, door: Door, *, return_to: str, browser_secret: str
) -> SignedIn | SecondStepNeeded | Newcomer:
    """A session for whom the provider vouches, in a new account if need be; or a Newcomer who has to choose a name.

    Whoever has a second factor here is asked for it, unless the provider shows that it asked for one.

    Raises NotSignedIn for a disabled account, NotAllowed for a stranger whom the provider's entry does not admit.
    """
    identity = await identities.find(session, vouched.issuer, vouched.subject)
    if identity is not None:
        person = await people.get(session, identity.person_id)
        if person is None or person.is_disabled:
            raise NotSignedIn("This account is disabled.", next_step="Ask an administrator of this hub.")
        return await _start(session, provider, identity, person, vouched, door)
    await _require_admitted(session, provider, vouched, key=door.key)
    name, email = reading.name_of(vouched.claims), reading.email_of(vouched.claims)
    if name and email:
        try:
            return await _create(session, provider, vouched, door, name=name, email=email)
        except (Conflict, Invalid):
            pass  # the name or the address is somebody's: the newcomer chooses, and nobody is taken for them
    newcomer = Newcomer(
        id=new_id(),
        provider=provider.name,
        browser_hash=keyed_hash(door.key, browser_secret),
        sealed="",
        return_to=return_to,
        expires_at=now() + timedelta(seconds=NEWCOMER_SECONDS),
    )
    newcomer.sealed = door.box.seal(json.dumps(asdict(vouched)), purpose=f"oidc newcomer {newcomer.id}")
    session.add(newcomer)
    return newcomer


async def newcomer_of(
    session: AsyncSession, browser_secret: str, *, key: bytes, box: Box
) -> tuple[Newcomer, Vouched] | None:
    """Who is choosing a name in this browser, None if nobody is."""
    if not is_well_formed(browser_secret, BROWSER):
        return None
    newcomer = await session.scalar(
        sa.select(Newcomer)
        .where(
            col(Newcomer.browser_hash) == keyed_hash(key, browser_secret),
            col(Newcomer.used_at).is_(None),
            col(Newcomer.expires_at) > now(),
        )
        .order_by(col(Newcomer.expires_at).desc())
        .limit(1)
    )
    if newcomer is None:
        return None
    return newcomer, Vouched(**json.loads(box.open(newcomer.sealed, purpose=f"oidc newcomer {newcomer.id}")))


async def settle(
    session: AsyncSession,
    provider: Provider,
    newcomer: Newcomer,
    vouched: Vouched,
    door: Door,
    *,
    name: str,
    email: str,
) -> SignedIn | SecondStepNeeded:
    """The account of a newcomer under the name they chose.

    Raises Invalid and Conflict with details["field"] `name` or `email`, NotSignedIn when it was done meanwhile.
    """
    used = await session.execute(
        sa.update(Newcomer)
        .where(col(Newcomer.id) == newcomer.id, col(Newcomer.used_at).is_(None))
        .values(used_at=now())
    )
    if not used.rowcount:  # type: ignore[attr-defined]  # an UPDATE has it; the stubs know only Result
        raise NotSignedIn("This sign-in is over.", next_step="Start again from the sign-in page.")
    await _require_admitted(session, provider, vouched, key=door.key)
    return await _create(session, provider, vouched, door, name=name, email=email)


async def invite(session: AsyncSession, email: str, *, key: bytes) -> None:
    """Let the owner of this address make an account at a provider that admits invited people. Kept for two weeks."""
    ends = now() + timedelta(days=INVITED_DAYS)
    await session.merge(Invitation(email_hash=_email_hash(key, email), expires_at=ends))
    await ledger.record(session, "accounts:invitation:make", body={"days": INVITED_DAYS})


async def clean_up(session: AsyncSession) -> None:
    """Forget newcomers who did not stay, and invitations that nobody followed."""
    for table in (Newcomer, Invitation):
        await session.execute(sa.delete(table).where(col(table.expires_at) < now()))


async def _require_admitted(session: AsyncSession, provider: Provider, vouched: Vouched, *, key: bytes) -> None:
    match provider.admits:
        case Admits.OPEN:
            return
        case Admits.LISTED if reading.is_listed(provider, vouched.claims):
            return
        case Admits.INVITED if email := reading.verified_email_of(vouched.claims):
            invitation = await session.get(Invitation, _email_hash(key, email))
            if invitation is not None and invitation.expires_at > now():
                return
    raise NotAllowed(
        f"{provider.title} knows you, but you have no account on this hub.",
        next_step="Ask its administrators to invite you. If you have an account, sign in as before and add "
        f"{provider.title} under Settings, Ways to sign in.",
        code="NotInvited",
    )


async def _create(
    session: AsyncSession, provider: Provider, vouched: Vouched, door: Door, *, name: str, email: str
) -> SignedIn | SecondStepNeeded:
    async with session.begin_nested():  # a name that is taken leaves nothing behind
        person = await people.add(session, name, email=email, fullname=reading.fullname_of(vouched.claims))
        if email_key(email) == email_key(reading.verified_email_of(vouched.claims)):
            person.email_verified_at = now()
        identity = await identities.link(session, person, provider, vouched)
    invited = await session.get(Invitation, _email_hash(door.key, reading.verified_email_of(vouched.claims)))
    if invited is not None and provider.admits is Admits.INVITED:
        await session.delete(invited)
    return await _start(session, provider, identity, person, vouched, door)


async def _start(
    session: AsyncSession, provider: Provider, identity: Identity, person: Person, vouched: Vouched, door: Door
) -> SignedIn | SecondStepNeeded:
    await mapping.apply(session, provider, identity, person, vouched.claims)
    identity.last_used_at, identity.label = now(), reading.label_of(vouched.claims)
    session.add(identity)
    return await begin_session(
        session,
        person,
        _strength(provider, vouched),
        key=door.key,
        user_agent=door.user_agent,
        days=door.days,
        replaces=door.replaces,
        device=door.device,
        arrival=_remembered(identity, vouched, door.box),
    )


def _strength(provider: Provider, vouched: Vouched) -> Strength:
    """A second factor where the provider says so (RFC 8176), or the operator, for one that asks everybody for it."""
    amr, acr = vouched.claims.get("amr"), vouched.claims.get("acr")
    is_told = isinstance(amr, list) and any(each in _SECOND_FACTORS for each in amr if isinstance(each, str))
    is_told = is_told or (isinstance(acr, str) and acr in provider.second_factor_acr)
    return Strength.SECOND_FACTOR if is_told or provider.has_second_factor else Strength.PASSWORD


def _remembered(identity: Identity, vouched: Vouched, box: Box) -> dict[str, Any]:
    """What is remembered with the session, as columns of ProviderSession."""
    sid, acr, amr = (vouched.claims.get(name) for name in ("sid", "acr", "amr"))
    return {
        "identity_id": identity.id,
        "provider": identity.provider,
        "sid": sid if isinstance(sid, str) and len(sid) <= 255 else None,
        "acr": acr[:_LONGEST_STRENGTH] if isinstance(acr, str) else "",
        "amr": [each for each in amr if isinstance(each, str)][:20] if isinstance(amr, list) else [],
        "sealed_id_token": box.seal(vouched.id_token, purpose=f"id token {identity.id}"),
    }


def _email_hash(key: bytes, email: str) -> str:
    return keyed_hash(key, f"oidc invitation {email_key(email)}")
