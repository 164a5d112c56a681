"""Access that was given without being asked for."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, ledger
from gatekeeper.access import activation, blocks, deciding, moves
from gatekeeper.access.gate import AskRule
from gatekeeper.access.grants import check_end, grant_in_force, latest_request, open_grant
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

_IN_OTHER_HANDS = (RequestState.RETURNED, RequestState.REFERRED)


async def grant_directly(
    session: AsyncSession,
    repo: Repo,
    person: Person,
    *,
    by: Principal,
    ends_at: datetime | None = None,
    is_tester: bool = False,
    rule: AskRule | None = None,
    rules: Rules | None = None,
) -> AccessGrant | None:
    """Give access to somebody who need not have asked. An open request of theirs is approved by this.

    Returns the grant, or None where the stage asks for more reviewers: their approvals are waited for.
    Raises Conflict when they have access already.
    """
    at = now()
    rule = rule or AskRule()
    check_end(ends_at, at)
    if by.person_id == person.id:
        raise errors.NotAllowed("Nobody gives access to themselves.", next_step="Ask another maintainer.")
    await moves.take_turn(session, person.id)
    if await blocks.is_blocked(session, person.id, repo):
        raise blocks.refusal(repo)
    if await grant_in_force(session, person.id, repo.id, at) is not None:
        raise errors.Conflict(f"{person.name} has access to {repo.full_name} already.", next_step="Reload the list.")
    last = await latest_request(session, person.id, repo.id)
    last = await activation.settle(session, last, at) if last is not None else None
    if last is not None and last.state in _IN_OTHER_HANDS:
        last = await moves.step(session, last, moves.RECALL, by=by, at=at)
    if last is not None and last.state in moves.APPROVE.sources:
        return await deciding.approve(session, last, by=by, ends_at=ends_at, is_tester=is_tester, rules=rules)
    if last is not None and last.state is RequestState.DRAFT:
        await moves.step(session, last, moves.WITHDRAW, by=by, at=at)
    if last is not None and last.state in (RequestState.AWAITING_TERMS, RequestState.SUSPENDED):
        raise await moves.conflict(session, last, moves.APPROVE)
    is_enough = rule.approvals <= 1
    request = AccessRequest(
        repo_id=repo.id,
        person_id=person.id,
        state=RequestState.ACTIVE if is_enough else RequestState.IN_REVIEW,
        submitted_at=at,
        changed_at=at,
        waiting_since=at,
        decided_at=at if is_enough else None,
        decided_by=by.person_id if is_enough else None,
        approvals_needed=rule.approvals,
        required=list(rule.required),
        grant_days=rule.grant_days,
        approved_ends_at=ends_at,
        is_tester=is_tester,
        is_direct=True,
    )
    session.add(request)
    await session.flush()  # the grant refers to it
    await moves.remember(session, request, "grant", by=by, before=None)
    await ledger.record(
        session,
        "access:request:grant",
        actor=by.person_id,
        token=by.token_id,
        repo=repo.id,
        subject=request.id,
        body={"before": None, "after": request.state, "person_id": person.id, "ends_at": ends_at},
    )
    if not is_enough:
        return await deciding.approve(session, request, by=by, ends_at=ends_at, is_tester=is_tester, rules=rules)
    await activation.supersede(session, request, by=by, at=at)
    return await open_grant(
        session,
        request,
        by=by,
        at=at,
        ends_at=ends_at,
        is_tester=is_tester,
        notice_days=(rules or Rules.load()).expiry_notice_days,
    )
