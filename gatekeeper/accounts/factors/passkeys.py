"""Passkeys (WebAuthn): signing in without a name or password, or as the second step after one."""

import hashlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import webauthn
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gatekeeper import ledger
from gatekeeper.accounts import namespaces
from gatekeeper.accounts.factors import steps
from gatekeeper.accounts.factors.tables import Passkey, SignInStep, StepKind
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.errors import Conflict, Invalid, NotFound, NotSignedIn
from gatekeeper.kit.clock import now

MOST = 20
_LONGEST_NAME = 60
_REQUIRED = UserVerificationRequirement.REQUIRED


@dataclass(frozen=True)
class RelyingParty:
    """This hub, as browsers know it. `id` is its host name, `origin` scheme, host and port."""

    id: str
    origin: str
    name: str = "Gatekeeper"


async def begin_registration(session: AsyncSession, person: Person, *, rp: RelyingParty, key: bytes) -> tuple[str, str]:
    """Options for the browser (JSON) and the secret of the step. Raises Conflict for more keys than anybody has."""
    present = await _of(session, person.id)
    if len(present) >= MOST:
        raise Conflict(f"You have {MOST} passkeys.", next_step="Remove one that you do not use.")
    options = webauthn.generate_registration_options(
        rp_id=rp.id,
        rp_name=rp.name,
        user_name=person.name,
        user_id=person.id.encode(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in present],
    )
    secret = await steps.start(session, StepKind.REGISTER, key=key, person_id=person.id, challenge=options.challenge)
    return webauthn.options_to_json(options), secret


async def finish_registration(
    session: AsyncSession,
    person: Person,
    step_secret: str,
    credential: dict[str, Any],
    *,
    name: str,
    rp: RelyingParty,
    key: bytes,
    by: Principal,
) -> Passkey:
    """Keep a passkey. Raises NotSignedIn for a step of somebody else, Invalid for an answer that does not prove it."""
    step = await steps.find(session, StepKind.REGISTER, step_secret, key=key)
    await steps.use(session, step)
    if step.person_id != person.id:
        raise NotSignedIn("This passkey was begun by somebody else.", next_step="Start again.")
    name = name.strip() or "Passkey"
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Invalid(f"A name has at most {_LONGEST_NAME} printable characters.", next_step="Shorten it.")
    try:
        verified = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=step.challenge,
            expected_rp_id=rp.id,
            expected_origin=rp.origin,
            require_user_verification=True,
        )
    except _BAD_ANSWER as error:
        raise _unproven() from error
    passkey = Passkey(
        person_id=person.id,
        name=name,
        credential_sha256=_digest(verified.credential_id),
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
    )
    await namespaces.insert(session, passkey, otherwise=Conflict("This passkey is in use already."))
    await ledger.record(session, "accounts:passkey:add", actor=by.person_id, subject=passkey.id)
    return passkey


async def begin(session: AsyncSession, *, rp: RelyingParty, key: bytes) -> tuple[str, str]:
    """Options for signing in with whichever passkey the person picks, and the secret of the step."""
    options = webauthn.generate_authentication_options(rp_id=rp.id, user_verification=_REQUIRED)
    secret = await steps.start(session, StepKind.PASSKEY, key=key, challenge=options.challenge)
    return webauthn.options_to_json(options), secret


async def begin_second(session: AsyncSession, step: SignInStep, *, rp: RelyingParty) -> str:
    """Options for the second step of a sign-in: the person's own passkeys only."""
    own = [PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in await _of(session, step.person_id)]
    options = webauthn.generate_authentication_options(rp_id=rp.id, user_verification=_REQUIRED, allow_credentials=own)
    step.challenge = options.challenge
    session.add(step)
    return webauthn.options_to_json(options)


async def verify(session: AsyncSession, step: SignInStep, credential: dict[str, Any], *, rp: RelyingParty) -> Passkey:
    """The passkey that answered the step's challenge, of the step's person if it has one; that finishes the step.

    Raises NotSignedIn for everything else, always the same.
    """
    await steps.use(session, step)
    if not step.challenge:
        raise _unproven()
    try:
        credential_id = base64url_to_bytes(credential["id"])
        passkey = await session.scalar(
            sa.select(Passkey).where(col(Passkey.credential_sha256) == _digest(credential_id)).with_for_update()
        )
        if passkey is None or step.person_id not in (None, passkey.person_id):
            raise _unproven()
        handle = credential["response"].get("userHandle")
        if handle and base64url_to_bytes(handle) != passkey.person_id.encode():
            raise _unproven()
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=step.challenge,
            expected_rp_id=rp.id,
            expected_origin=rp.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except _BAD_ANSWER as error:
        raise _unproven() from error
    passkey.sign_count, passkey.last_used_at = verified.new_sign_count, now()
    session.add(passkey)
    return passkey


async def remove(session: AsyncSession, person: Person, passkey_id: str, *, by: Principal) -> None:
    """Let a passkey open nothing any more. Raises NotFound for one that is not the person's."""
    passkey = await session.get(Passkey, passkey_id)
    if passkey is None or passkey.person_id != person.id:
        raise NotFound("You have no such passkey.", next_step="Look at the list of your passkeys.")
    await session.delete(passkey)
    await session.flush()  # whether any factor is left is asked next
    await ledger.record(session, "accounts:passkey:remove", actor=by.person_id, subject=passkey.id)


async def _of(session: AsyncSession, person_id: str | None) -> list[Passkey]:
    return list(await session.scalars(sa.select(Passkey).where(col(Passkey.person_id) == person_id)))


# What the library raises for hostile JSON beside its own errors, and what a missing or odd member raises here.
_BAD_ANSWER = (WebAuthnException, KeyError, TypeError, ValueError, AttributeError)


def _digest(credential_id: bytes) -> str:
    return hashlib.sha256(credential_id).hexdigest()


def _unproven() -> NotSignedIn:
    return NotSignedIn("The passkey did not prove who you are.", next_step="Try again, or use another way.")
