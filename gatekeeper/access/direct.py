"""Access that was given without being asked for."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, ledger
from gatekeeper.access import moves, requests
from gatekeeper.access.grants import check_end, grant_in_force, latest_request, open_grant
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo


async def grant_directly(
    session: AsyncSession,
    repo: Repo,
    person: Person,
    *,
    by: Principal,
    ends_at: datetime | None = None,
    is_tester: bool = False,
    policy: str | None = None,
) -> AccessGrant:
    """Give access to somebody who need not have asked. An open request of theirs is approved by this.

    Raises Conflict when they have access already.
    """
    at = now()
    check_end(ends_at, at)
    if by.person_id == person.id:
        raise errors.NotAllowed("Nobody gives access to themselves.", next_step="Ask another maintainer.")
    if await grant_in_force(session, person.id, repo.id, at) is not None:
        raise errors.Conflict(f"{person.name} has access to {repo.full_name} already.", next_step="Reload the list.")
    last = await latest_request(session, person.id, repo.id)
    if last is not None and last.state is RequestState.ACTIVE:  # its grant has run out
        last = await moves.step(session, last, moves.EXPIRE, by=None, at=at)
    if last is not None and last.state in moves.APPROVE.sources:
        return await requests.approve(session, last, by=by, ends_at=ends_at, is_tester=is_tester, policy=policy)
    request = AccessRequest(
        repo_id=repo.id,
        person_id=person.id,
        state=RequestState.ACTIVE,
        submitted_at=at,
        decided_at=at,
        decided_by=by.person_id,
        is_direct=True,
    )
    session.add(request)
    await session.flush()  # the grant refers to it
    await ledger.record(
        session,
        "access:request:grant",
        actor=by.person_id,
        token=by.token_id,
        repo=repo.id,
        subject=request.id,
        body={"before": None, "after": RequestState.ACTIVE, "person_id": person.id, "ends_at": ends_at},
        policy=policy,
    )
    return await open_grant(session, request, by=by, at=at, ends_at=ends_at, is_tester=is_tester, policy=policy)
