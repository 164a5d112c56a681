"""What people are told about their accounts and tokens: nobody else knows when something of theirs is taken over."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Membership, Organization, Person, Role, memberships
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices.telling import tell
from gatekeeper.tokens import AccessToken, approval

_TO_OWNER = {
    "accounts:person:rename": "renamed",
    "accounts:person:set-admin": "administration-changed",
    "accounts:person:set-password": "password-changed",
    "accounts:session:start": "new-browser",
    **dict.fromkeys(
        (
            "accounts:totp:confirm",
            "accounts:totp:remove",
            "accounts:passkey:add",
            "accounts:passkey:remove",
            "accounts:recovery-codes:use",
            "accounts:factors:take-off",
            "accounts:identity:link",
            "accounts:identity:unlink",
        ),
        "sign-in-changed",
    ),
}
_ASK = "accounts:organization:ask-factor"
_ISSUE = "tokens:token:issue"
KINDS = frozenset({*_TO_OWNER, _ASK, _ISSUE})


async def tell_people(session: AsyncSession, event: LedgerEvent) -> None:
    """Leave notices about an event of one of KINDS. People are told of what they did themselves, too: was it they?"""
    if event.kind == _ISSUE:
        await _tell_approvers(session, event)
    elif event.kind == _ASK:
        await _tell_lacking(session, event)
    elif event.kind != "accounts:session:start" or event.body.get("is_new_browser"):
        person = await _owner(session, event)
        if person is not None:
            await tell(session, person.id, _TO_OWNER[event.kind], event=event.id)


async def _owner(session: AsyncSession, event: LedgerEvent) -> Person | None:
    """Whose account an event is about: the body or the subject names them, or they did it themselves."""
    for person_id in (event.body.get("person"), event.subject_id, event.actor_id):
        person = await session.get(Person, person_id) if person_id else None
        if person is not None:
            return person
    return None


async def _tell_lacking(session: AsyncSession, event: LedgerEvent) -> None:
    """Tell members whose membership counts for nothing now, unless the organization does not ask any more."""
    organization = await session.get_one(Organization, event.subject_id)
    if organization.asks_factor and event.body["asks"]:
        for person in await memberships.lacking(session, organization):
            await tell(session, person.id, "factor-asked", event=event.id, organization=organization.name)


async def _tell_approvers(session: AsyncSession, event: LedgerEvent) -> None:
    """Tell the administrators of each organization in which the token opens nothing before they approve it."""
    token = await session.get(AccessToken, event.subject_id)
    person = await session.get(Person, token.person_id) if token is not None else None
    if token is None or person is None or token.revoked_at is not None:
        return
    for organization_id in await approval.waited_for(session, token):
        organization = await session.get_one(Organization, organization_id)
        admins = sa.select(col(Membership.person_id)).where(
            col(Membership.organization_id) == organization_id, col(Membership.role) == Role.ADMIN
        )
        for admin in await session.scalars(admins):
            if admin != person.id:
                key = f"{event.id}/{organization_id}"
                await tell(
                    session, admin, "token-waiting", event=key, person=person.name, organization=organization.name
                )
