"""The public hub's view of requests: pending, accepted, rejected, and the three ways to change between them.

    pending    in_review, returned, referred, awaiting_terms, suspended
    accepted   active, while its grant is in force
    rejected   rejected, revoked
    none       draft, withdrawn, closed, expired; and a renewal, while the access that it follows is in force

The Hub's client expects 400 for a repository without a gate and 404 for a transition that has been made already.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.access import activation, deciding, gate, grants, handling, moves
from gatekeeper.access.direct import grant_directly
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts import people
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

_NO_REASON = "No reason was given."
MAX_HUB_REASON_CHARS = 200


class HubStatus(StrEnum):
    """Status of a request in the Hub's API."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


_STATES = {
    HubStatus.PENDING: (
        RequestState.IN_REVIEW,
        RequestState.RETURNED,
        RequestState.REFERRED,
        RequestState.AWAITING_TERMS,
        RequestState.SUSPENDED,
    ),
    HubStatus.ACCEPTED: (RequestState.ACTIVE,),
    HubStatus.REJECTED: (RequestState.REJECTED, RequestState.REVOKED),
}


@dataclass(frozen=True, slots=True)
class HubRequest:
    """A request as the Hub's API shows it. `email` is None where access was given by hand."""

    request_id: str
    status: HubStatus
    at: datetime
    user: str
    fullname: str
    email: str | None
    fields: dict[str, Any]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HubPage:
    """A part of a list; `after` asks for the next part, None at the end."""

    items: tuple[HubRequest, ...]
    after: str | None


def hub_status(request: AccessRequest, grant: AccessGrant | None) -> HubStatus | None:
    """The Hub's word for a standing, None where it has none.

    grant  the person's grant that is in force, if there is one
    """
    if grant is not None and request.state is not RequestState.ACTIVE:
        return HubStatus.ACCEPTED  # a newer request, for what comes after the access that is there
    if request.state is RequestState.ACTIVE and grant is None:
        return None
    return next((status for status, states in _STATES.items() if request.state in states), None)


async def list_hub(
    session: AsyncSession, repo: Repo, status: HubStatus | str, *, after: str | None = None, limit: int = 100
) -> HubPage:
    """A repository's requests of one status, oldest first."""
    _must_be_gated(repo)
    status = _status(status)
    query = (
        sa.select(AccessRequest, Person)
        .join(Person, col(Person.id) == col(AccessRequest.person_id))
        .where(col(AccessRequest.repo_id) == repo.id, col(AccessRequest.state).in_(_STATES[status]))
        .order_by(col(AccessRequest.id))
        .limit(limit + 1)
    )
    if status is HubStatus.ACCEPTED:
        query = query.where(_has_grant_in_force(now()))
    else:
        query = query.where(~_person_has_grant_in_force(now()))
    if after:
        query = query.where(col(AccessRequest.id) > after)
    rows = (await session.execute(query)).all()
    shown = rows[:limit]
    return HubPage(
        tuple(_shown(request, person, status) for request, person in shown),
        shown[-1][0].id if len(rows) > limit else None,
    )


async def handle_hub(
    session: AsyncSession,
    repo: Repo,
    status: HubStatus | str,
    *,
    by: Principal,
    user: str | None = None,
    request_id: str | None = None,
    reason: str | None = None,
) -> AccessRequest:
    """Move a request to another status, as the Hub's `handle` call does. `pending` takes a decision back."""
    _must_be_gated(repo)
    status = _status(status)
    if reason and len(reason) > MAX_HUB_REASON_CHARS:
        raise errors.Invalid(
            f"The rejection reason has {len(reason)} characters; at most {MAX_HUB_REASON_CHARS} are sent this way.",
            next_step="Shorten it, or reject on the review page, where more fits.",
        )
    request, person = await _find(session, repo, user=user, request_id=request_id)
    grant = await grants.grant_in_force(session, request.person_id, repo.id, now())
    present = hub_status(request, grant)
    if present is None:
        raise _not_there(f"{person.name} has no request for {repo.full_name}.")
    if present is status:
        raise _not_there(f"The request of {person.name} for {repo.full_name} is {status} already.")
    match status:
        case HubStatus.ACCEPTED:
            await _accept(session, request, by=by)
        case HubStatus.PENDING:
            await deciding.cancel(session, request, by=by)
        case HubStatus.REJECTED:
            await _reject(session, request, by=by, reason=reason or _NO_REASON)
    return await session.get_one(AccessRequest, request.id, populate_existing=True)


async def grant_hub(
    session: AsyncSession, repo: Repo, user: str, *, by: Principal, rule: gate.AskRule | None = None
) -> AccessGrant | None:
    """Give access to a named person, as the Hub's `grant` call does, until the end that the stage proposes."""
    _must_be_gated(repo)
    days = rule.grant_days if rule else 0
    return await grant_directly(
        session,
        repo,
        await _person(session, user),
        by=by,
        ends_at=now() + timedelta(days=days) if days else None,
        rule=rule,
    )


async def _accept(session: AsyncSession, request: AccessRequest, *, by: Principal) -> None:
    if request.state is RequestState.SUSPENDED:
        await deciding.resume(session, request, by=by)
        return
    if request.state in moves.RECALL.sources:
        request = await handling.recall(session, request, by=by)
    ends_at = activation.proposed_end(request, now())
    await deciding.approve(session, request, by=by, ends_at=ends_at)


async def _reject(session: AsyncSession, request: AccessRequest, *, by: Principal, reason: str) -> None:
    if request.state in moves.REVOKE.sources:
        grant = await grants.open_grant_of(session, request)
        if grant is not None:
            await grants.revoke(session, grant, by=by, reason=reason)
            return
    if request.state in moves.RECALL.sources:
        request = await handling.recall(session, request, by=by)
    if request.state is RequestState.AWAITING_TERMS:
        request = await deciding.cancel(session, request, by=by)
    await deciding.reject(session, request, by=by, reason=reason)


def _has_grant_in_force(instant: datetime) -> sa.ColumnElement[bool]:
    return (
        sa.exists()
        .where(
            col(AccessGrant.request_id) == col(AccessRequest.id),
            grants.in_force(instant),
        )
        .correlate(AccessRequest)
    )


def _person_has_grant_in_force(instant: datetime) -> sa.ColumnElement[bool]:
    return (
        sa.exists()
        .where(
            col(AccessGrant.person_id) == col(AccessRequest.person_id),
            col(AccessGrant.repo_id) == col(AccessRequest.repo_id),
            grants.in_force(instant),
        )
        .correlate(AccessRequest)
    )


def _shown(request: AccessRequest, person: Person, status: HubStatus) -> HubRequest:
    return HubRequest(
        request_id=request.id,
        status=status,
        at=request.submitted_at,
        user=person.name,
        fullname=person.fullname or person.name,
        email=None if request.is_direct else person.email,
        fields=request.fields,
        reason=request.reason,
    )


async def _find(
    session: AsyncSession, repo: Repo, *, user: str | None, request_id: str | None
) -> tuple[AccessRequest, Person]:
    if request_id is not None:
        request = await session.get(AccessRequest, request_id)
        if request is None or request.repo_id != repo.id:
            raise _not_there(f"{repo.full_name} has no such request.")
        return request, await session.get_one(Person, request.person_id)  # a draft has no status, so it is not told
    if not user:
        raise errors.Invalid("Whose request it is was not said.", next_step="Send the user's name or the request's id.")
    person = await _person(session, user)
    held = await grants.grant_in_force(session, person.id, repo.id, now())
    if held is not None and held.request_id:
        return await session.get_one(AccessRequest, held.request_id), person
    found = await grants.latest_request(session, person.id, repo.id)
    if found is None:
        raise _not_there(f"{person.name} has no request for {repo.full_name}.")
    return found, person


async def _person(session: AsyncSession, user: str) -> Person:
    found = await people.find(session, user)
    if found is None:
        raise _not_there("There is no person with this name.")
    return found


def _status(status: HubStatus | str) -> HubStatus:
    try:
        return HubStatus(status)
    except ValueError:
        raise errors.Invalid(
            "The status of a request is one of pending, accepted, rejected.", next_step="Send one of these."
        ) from None


def _must_be_gated(repo: Repo) -> None:
    if not gate.is_gated(repo):
        raise errors.Invalid(
            f"{repo.full_name} is not gated, so it has no access requests.",
            next_step="Gate it in its settings, or turn on staged release.",
        )


def _not_there(message: str) -> errors.NotFound:
    return errors.NotFound(message, next_step="Reload the list of requests.")
