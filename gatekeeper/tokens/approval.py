"""What an organization demands of tokens that reach it: its word on each, and a longest life.

Only tokens that people make by hand are asked about. Those of applications were let in one by one in a browser and live
for days; those of service accounts and trusted jobs were set up by the organization itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Membership, Organization, Person, Principal, memberships
from gatekeeper.errors import Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.tokens.limits import reach_of
from gatekeeper.tokens.tables import AccessToken, TokenKind, TokenPolicy, TokenUse, TokenVerdict, Verdict

LONGEST_DAYS = 3650


@dataclass(frozen=True)
class Reaching:
    """A live token that reaches an organization. `state` is open, waiting, approved, refused or too-long."""

    token: AccessToken
    person: Person
    state: str
    last_used_at: datetime | None


async def closed_to(session: AsyncSession, token: AccessToken) -> frozenset[str]:
    """The organizations of the token's owner that it opens nothing of, for want of approval or for its long life."""
    states = await _states(session, token)
    return frozenset(organization_id for organization_id, state in states.items() if state not in _GOOD)


async def waited_for(session: AsyncSession, token: AccessToken) -> list[str]:
    """Ids of the organizations that the token reaches once one of their administrators has approved it."""
    found = []
    for organization_id, state in sorted((await _states(session, token)).items()):
        owned = set(await session.scalars(_REPOSITORIES, {"organization": organization_id}))
        if state == "waiting" and _reaches(token, organization_id, owned):
            found.append(organization_id)
    return found


async def _states(session: AsyncSession, token: AccessToken) -> dict[str, str]:
    """How the token stands to each organization of its owner's that demands anything."""
    if token.kind is not TokenKind.PERSONAL:
        return {}
    rows = await session.execute(
        sa.select(TokenPolicy, col(TokenVerdict.verdict))
        .join(
            Membership,
            sa.and_(
                col(Membership.organization_id) == col(TokenPolicy.organization_id),
                col(Membership.person_id) == token.person_id,
            ),
        )
        .outerjoin(
            TokenVerdict,
            sa.and_(
                col(TokenVerdict.organization_id) == col(TokenPolicy.organization_id),
                col(TokenVerdict.token_id) == token.id,
            ),
        )
    )
    return {policy.organization_id: state_of(policy, token, verdict) for policy, verdict in rows}


_GOOD = ("open", "approved")


def state_of(policy: TokenPolicy | None, token: AccessToken, verdict: Verdict | None) -> str:
    """How a token stands to an organization: open, waiting, approved, refused or too-long."""
    if verdict is Verdict.REFUSED:
        return "refused"
    if policy is None:
        return "open"
    if policy.max_days is not None and _life(token) > timedelta(days=policy.max_days):
        return "too-long"
    if not policy.needs_approval:
        return "open"
    return "approved" if verdict is Verdict.APPROVED else "waiting"


async def policy_of(session: AsyncSession, organization: Organization) -> TokenPolicy:
    """What the organization demands; the default demands nothing."""
    return await session.get(TokenPolicy, organization.id) or TokenPolicy(organization_id=organization.id)


async def set_policy(
    session: AsyncSession, organization: Organization, *, needs_approval: bool, max_days: int | None, by: Principal
) -> None:
    """Demand approval, a longest life, both or nothing. It binds tokens that are there already, on their next use."""
    await require_admin(session, organization, by=by)
    if max_days is not None and not 1 <= max_days <= LONGEST_DAYS:
        raise Invalid(
            f"A longest life is 1 to {LONGEST_DAYS} days.", next_step="Correct it.", details={"field": "max_days"}
        )
    policy = await policy_of(session, organization)
    policy.needs_approval, policy.max_days, policy.updated_at = needs_approval, max_days, now()
    session.add(policy)
    await ledger.record(
        session,
        "tokens:policy:set",
        actor=by.person_id,
        subject=organization.id,
        body={"needs_approval": needs_approval, "max_days": max_days},
    )
    await session.flush()


async def reaching(session: AsyncSession, organization: Organization, *, by: Principal) -> list[Reaching]:
    """The live tokens made by hand that reach the organization's namespace, by owner. Raises NotAllowed but for its
    administrators.
    """
    await require_admin(session, organization, by=by)
    policy = await session.get(TokenPolicy, organization.id)
    rows = await session.execute(
        sa.select(AccessToken, Person, col(TokenVerdict.verdict), col(TokenUse.last_used_at))
        .join(Person, col(Person.id) == col(AccessToken.person_id))
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .outerjoin(TokenUse, col(TokenUse.token_id) == col(AccessToken.id))
        .outerjoin(
            TokenVerdict,
            sa.and_(
                col(TokenVerdict.token_id) == col(AccessToken.id),
                col(TokenVerdict.organization_id) == organization.id,
            ),
        )
        .where(
            col(Membership.organization_id) == organization.id,
            col(AccessToken.kind) == TokenKind.PERSONAL,
            col(AccessToken.revoked_at).is_(None),
            col(AccessToken.expires_at) > now(),
            col(Person.is_disabled).is_(False),
        )
        .order_by(col(Person.name_key), col(AccessToken.id))
    )
    owned = set(await session.scalars(_REPOSITORIES, {"organization": organization.id}))
    return [
        Reaching(token, person, state_of(policy, token, verdict), used)
        for token, person, verdict, used in rows
        if _reaches(token, organization.id, owned)
    ]


async def decide(
    session: AsyncSession, organization: Organization, token_id: str, verdict: Verdict, *, by: Principal
) -> None:
    """Approve a token that reaches the organization, or shut it out of it. Nothing else of the token changes."""
    token = await _one(session, organization, token_id, by=by)
    row = await session.scalar(
        sa.select(TokenVerdict).where(
            col(TokenVerdict.token_id) == token.id, col(TokenVerdict.organization_id) == organization.id
        )
    ) or TokenVerdict(token_id=token.id, organization_id=organization.id, verdict=verdict)
    row.verdict, row.by_id, row.at = verdict, by.person_id, now()
    session.add(row)
    session.add(await policy_of(session, organization))  # verdicts are read beside it
    await ledger.record(
        session,
        "tokens:token:decide",
        actor=by.person_id,
        subject=token.id,
        body={"organization": organization.id, "verdict": verdict.value},
    )
    await session.flush()


async def require_admin(session: AsyncSession, organization: Organization, *, by: Principal) -> None:
    """Raise NotAllowed unless `by` administrates the organization (or the hub), in person."""
    # Asked of the database, not of the principal: the role may have been lost since the request began.
    if by.token_id is None and (by.is_admin or await memberships.administers(session, organization, by.person_id)):
        return
    raise NotAllowed(
        f"Only an administrator of {organization.name} does this, signed in with a browser.",
        next_step="Ask one of its administrators.",
    )


async def _one(session: AsyncSession, organization: Organization, token_id: str, *, by: Principal) -> AccessToken:
    for row in await reaching(session, organization, by=by):
        if row.token.id == token_id:
            return row.token
    raise NotFound("No such token reaches this organization.", next_step="Look at the list of its tokens.")


def _reaches(token: AccessToken, organization_id: str, owned: set[str]) -> bool:
    reach = reach_of(token)
    return reach is None or organization_id in reach.owners or bool(reach.repositories & owned)


def _life(token: AccessToken) -> timedelta:
    return token.expires_at - token.created_at if token.expires_at else timedelta.max


# This room lies below `repos`: the table is named, not imported.
_REPOSITORIES = sa.text("SELECT id FROM repo WHERE owner_organization_id = :organization")
