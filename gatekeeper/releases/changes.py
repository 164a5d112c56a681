"""Changes that take more than one person: demotion, withdrawal, and a change of an announced embargo.

One maintainer asks, with a reason that is shown; as many as the release's present stage demands say yes; then it is
carried out. Who asks counts as a yes only where nobody else is left. To stop harm at once there is the hold, which one
maintainer suffices for.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.releases import holds, rows
from gatekeeper.releases.approvals import Quorum, quorum
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.organization_rules import ladder_for
from gatekeeper.releases.proposals import approve_proposal, must_be_open, record, step
from gatekeeper.releases.tables import Act, Proposal, ProposalState, Release, Stage
from gatekeeper.repos import catalogue
from gatekeeper.repos.tables import Repo


async def ask_change(
    session: AsyncSession,
    release: Release,
    act: Act,
    *,
    by: Principal,
    ladder: Ladder,
    reason: str,
    target: Stage | None = None,
    until: datetime | None = None,
) -> Proposal:
    """Ask for a change of a release. Who asks has said yes, whether or not that counts.

    target  of a demotion: a lower stage
    until   of an embargo: a later instant than was announced

    Raises Invalid or Conflict for what could not be carried out as things stand, or while such a change is asked for.
    """
    reason = rows.checked_reason(reason, what="A change of a release")
    holds.check(release, act, ladder=ladder, target=target, until=until)
    if await _open_change(session, release) is not None:
        raise errors.Conflict(
            "A change of this release is asked for already.", next_step="Decide that one first, or take it back."
        )
    made = Proposal(
        release_id=release.id,
        act=act,
        target=target or release.stage,
        until=until,
        note=reason,
        proposed_by=by.person_id,
    )
    session.add(made)
    await session.flush()  # approvals refer to it
    body = {
        "before": None,
        "after": made.state,
        "act": act,
        "target": made.target,
        "until": until,
        "reason_sha256": sha256_hex(reason.encode()),
    }
    await record(session, made, release, "ask", by=by, body=body)
    if by.person_id is not None:
        await approve_proposal(session, made, by=by)
    return made


async def carry_out(session: AsyncSession, proposal: Proposal, *, by: Principal, ladder: Ladder) -> Release:
    """Do what was asked for. Raises Conflict with details {"approvals"} while too few people said yes."""
    must_be_open(proposal)
    release = await rows.get(session, proposal.release_id)
    if proposal.act is Act.PROMOTE:
        raise errors.Invalid("This proposal is a promotion.", next_step="Promote it.")
    count = await change_quorum(session, proposal, ladder=ladder)
    if not count.is_reached:
        raise errors.Conflict(
            count.sentence,
            next_step="Let another maintainer approve it, or hold the release meanwhile.",
            details={"approvals": {"given": count.counted, "needed": count.needed}},
        )
    await step(session, proposal, ProposalState.EFFECTIVE, effective_at=now())
    body = {
        "proposal_id": proposal.id,
        "approved_by": list(count.approved_by),
        "is_self_approved": count.is_self_approved,
    }
    reason = proposal.note
    match proposal.act:
        case Act.DEMOTE:
            return await holds.demote(session, release, proposal.target, by=by, reason=reason, ladder=ladder, body=body)
        case Act.WITHDRAW:
            return await holds.withdraw(session, release, by=by, reason=reason, body=body)
        case _:
            until = proposal.until if proposal.act is Act.EMBARGO else None
            return await holds.embargo(session, release, until, by=by, reason=reason, body=body)


async def change_quorum(session: AsyncSession, proposal: Proposal, *, ladder: Ladder) -> Quorum:
    """How the approvals of a change stand, by the rule of the stage the release stands at."""
    release = await rows.get(session, proposal.release_id)
    repo = await _repo(session, release)
    rule = (await ladder_for(session, repo, ladder)).rule(release.stage)
    # A way down must never be barred because nobody else is there: the only maintainer suffices, and it is recorded.
    return await quorum(session, repo, release, proposal, rule, is_always_open=True)


async def waits_for_others(session: AsyncSession, release: Release, *, by: Principal, ladder: Ladder) -> bool:
    """Whether a change that `by` asked for now would wait for the yes of other people."""
    asked = Proposal(release_id=release.id, act=Act.WITHDRAW, target=release.stage, proposed_by=by.person_id)
    count = await change_quorum(session, asked, ladder=ladder)
    return count.needed > (by.person_id in count.eligible)


async def changes_of(session: AsyncSession, release: Release) -> list[Proposal]:
    """Open changes of a release: at most one."""
    found = await _open_change(session, release)
    return [found] if found else []


async def _open_change(session: AsyncSession, release: Release) -> Proposal | None:
    found = await session.scalars(
        sa.select(Proposal).where(
            col(Proposal.release_id) == release.id,
            col(Proposal.state) == ProposalState.OPEN,
            col(Proposal.act) != Act.PROMOTE,
        )
    )
    return found.first()


async def _repo(session: AsyncSession, release: Release) -> Repo:
    repo = await catalogue.by_id(session, release.repo_id)
    if repo is None:
        raise errors.RepoNotFound("Repository not found", next_step="It was deleted.")
    return repo
