"""Whose requests are not taken: for one repository, for an organization's, or for all. Access that is there stays,
unless whoever blocks chooses to revoke it too."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.access import grants, moves
from gatekeeper.access.tables import AccessBlock, AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization, Person
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import beginning_at
from gatekeeper.repos.tables import Repo

_MOST = 500


async def block(
    session: AsyncSession,
    person: Person,
    *,
    by: Principal,
    reason: str,
    repo: Repo | None = None,
    organization: Organization | None = None,
    is_revoking: bool = False,
) -> AccessBlock:
    """Take no more requests from a person: for `repo`, for `organization`'s repositories, or for all.

    is_revoking  also revoke the access they have there, and what was approved but has not begun
    Raises Conflict when they are blocked there already.
    """
    reason = moves.checked_reason(reason, what="A block")
    if by.person_id == person.id:
        raise errors.Invalid("Nobody blocks themselves.", next_step="Name somebody else.")
    repo_id, organization_id = repo.id if repo else None, organization.id if organization else None
    if repo_id and organization_id:
        raise ValueError("a block is for a repository or for an organization")
    await moves.take_turn(session, person.id)
    twin = await session.scalar(
        sa.select(col(AccessBlock.id)).where(
            col(AccessBlock.person_id) == person.id,
            col(AccessBlock.repo_id).is_not_distinct_from(repo_id),
            col(AccessBlock.organization_id).is_not_distinct_from(organization_id),
            col(AccessBlock.lifted_at).is_(None),
        )
    )
    if twin is not None:
        raise errors.Conflict(f"{person.name} is blocked there already.", next_step="Look at the list of blocks.")
    made = AccessBlock(
        person_id=person.id,
        repo_id=repo_id,
        organization_id=organization_id,
        reason=(await key_of(session, person.id)).words(reason),
        blocked_by=by.person_id,
        blocked_at=now(),
    )
    session.add(made)
    await session.flush()  # evidence names it
    await _record(session, made, "block", by=by, is_revoking=is_revoking)
    if is_revoking:
        await revoke_under(session, made, by=by, reason=reason)
    return made


async def revoke_under(
    session: AsyncSession, made: AccessBlock, *, by: Principal, reason: str, reason_code: str = ""
) -> None:
    """Revoke the access that lies under a block, and what was approved there but has not begun.

    Lifting the block gives none of it back. Raises Conflict for a block that was lifted.
    """
    if made.lifted_at is not None:
        raise errors.Conflict("This block was lifted already.", next_step="Reload the list of blocks.")
    reason = moves.checked_reason(reason, what="A revocation")
    held, approved = await under(session, made)
    for grant in held:
        if grant.revoked_at is None:  # else it ended with the one before
            await grants.revoke(session, grant, by=by, reason=reason, reason_code=reason_code)
    for request in approved:
        await moves.step(
            session,
            request,
            moves.REVOKE,
            by=by,
            at=now(),
            reason=reason,
            facts={"reason_code": reason_code} if reason_code else {},
            values={"reason_code": reason_code},
        )


async def under(session: AsyncSession, made: AccessBlock) -> tuple[list[AccessGrant], list[AccessRequest]]:
    """What a block does not end by itself: open grants, suspended ones too, and approvals that have not begun."""
    held = sa.select(AccessGrant).where(
        col(AccessGrant.person_id) == made.person_id,
        col(AccessGrant.revoked_at).is_(None),
        sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > now()),
        col(AccessGrant.repo_id).in_(_under(made)),
    )
    approved = sa.select(AccessRequest).where(
        col(AccessRequest.person_id) == made.person_id,
        col(AccessRequest.state) == RequestState.AWAITING_TERMS,
        col(AccessRequest.repo_id).in_(_under(made)),
    )
    return list(await session.scalars(held)), list(await session.scalars(approved))


async def unblock(session: AsyncSession, made: AccessBlock, *, by: Principal) -> AccessBlock:
    """Take requests again. Raises Conflict when somebody did so already."""
    at = now()
    won = await session.scalar(
        sa.update(AccessBlock)
        .where(col(AccessBlock.id) == made.id, col(AccessBlock.lifted_at).is_(None))
        .values(lifted_at=at, lifted_by=by.person_id)
        .returning(col(AccessBlock.id))
        .execution_options(synchronize_session=False)
    )
    if won is None:
        raise errors.Conflict("This block was lifted already.", next_step="Reload the list of blocks.")
    fresh = await session.get_one(AccessBlock, made.id, populate_existing=True)
    await _record(session, fresh, "unblock", by=by)
    return fresh


async def is_blocked(session: AsyncSession, person_id: str, repo: Repo) -> bool:
    """Whether requests of this person for this repository are not taken."""
    found = await session.scalar(
        sa.select(col(AccessBlock.id))
        .where(
            col(AccessBlock.person_id) == person_id,
            col(AccessBlock.lifted_at).is_(None),
            sa.or_(
                col(AccessBlock.repo_id) == repo.id,
                col(AccessBlock.organization_id) == (repo.owner_organization_id or ""),
                sa.and_(col(AccessBlock.repo_id).is_(None), col(AccessBlock.organization_id).is_(None)),
            ),
        )
        .limit(1)
    )
    return found is not None


def refusal(repo: Repo) -> errors.Conflict:
    """What to raise where a block stands in the way of access."""
    return errors.Conflict(
        f"This person is blocked: they get no access to {repo.full_name}.",
        next_step="A maintainer can lift the block.",
    )


async def get_block(session: AsyncSession, block_id: str) -> AccessBlock:
    """A block by id. Raises NotFound."""
    found = await session.get(AccessBlock, block_id)
    if found is None:
        raise errors.NotFound("There is no such block.", next_step="Take it from the list of blocks.")
    return found


async def blocks_of(
    session: AsyncSession,
    *,
    repos: Iterable[sa.ColumnElement[bool]],
    organization_ids: Collection[str],
    has_all: bool,
    begin: AccessBlock | None = None,
    limit: int = _MOST,
) -> list[tuple[AccessBlock, Person]]:
    """Blocks in force and lifted ones, newest first; `begin` is the first one listed.

    repos    conditions on Repo: blocks for a repository that meets them, each to be decided again
    has_all  those for all repositories too
    """
    scopes: list[sa.ColumnElement[bool]] = [
        col(AccessBlock.repo_id).in_(sa.select(col(Repo.id)).where(*repos)),
        col(AccessBlock.organization_id).in_(organization_ids),
    ]
    if has_all:
        scopes.append(sa.and_(col(AccessBlock.repo_id).is_(None), col(AccessBlock.organization_id).is_(None)))
    is_over = col(AccessBlock.lifted_at).is_not(None)
    query = sa.select(AccessBlock, Person).join(Person, col(Person.id) == col(AccessBlock.person_id))
    if begin is not None:
        was_over = begin.lifted_at is not None
        query = query.where(beginning_at(is_over, col(AccessBlock.id), was_over=was_over, id=begin.id))
    rows = await session.execute(
        query.where(sa.or_(*scopes)).order_by(is_over, col(AccessBlock.id).desc()).limit(limit)
    )
    return [(made, person) for made, person in rows]


def _under(made: AccessBlock) -> sa.Select[str]:
    """Ids of the repositories that a block closes."""
    query = sa.select(col(Repo.id))
    if made.repo_id:
        query = query.where(col(Repo.id) == made.repo_id)
    if made.organization_id:
        query = query.where(col(Repo.owner_organization_id) == made.organization_id)
    return query


async def _record(
    session: AsyncSession, made: AccessBlock, act: str, *, by: Principal, is_revoking: bool = False
) -> None:
    key = await key_of(session, made.person_id)
    await ledger.record(
        session,
        f"access:person:{act}",
        actor=by.person_id,
        token=by.token_id,
        repo=made.repo_id,
        subject=made.person_id,
        body={
            "block_id": made.id,
            "organization_id": made.organization_id,
            "reason_commitment": key.commit(made.reason, about=made.id),
        }
        | ({"is_revoking": is_revoking} if act == "block" else {}),
    )
