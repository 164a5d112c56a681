"""Proposals: how each is read, agreed to, ended and moved on, with its evidence. Of two at once one wins."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.releases import rows
from gatekeeper.releases.tables import Act, Approval, Proposal, ProposalState, Release
from gatekeeper.repos.tables import Repo

_MAX_NOTE_CHARS = 2_000
_OPENING = frozenset({Act.PROMOTE, Act.LIFT})


async def approve_proposal(
    session: AsyncSession, proposal: Proposal, *, by: Principal, note: str = "", seen: str | None = None
) -> Approval:
    """Say yes to a proposal as it stands. Who may count is decided when it is promoted.

    seen  `standing_at` of what the person read; None where they name the proposal alone

    Raises Conflict for a proposal that is over, that was approved by them already, or changed since it was seen.
    """
    if by.person_id is None:
        raise errors.NotAllowed("A promotion is approved by a person.", next_step="Sign in as a maintainer.")
    note = checked_note(note)
    # Locked, so that it cannot be promoted or refused meanwhile. Two people's approvals do not exclude each other.
    proposal = await session.get_one(Proposal, proposal.id, populate_existing=True, with_for_update=True)
    must_be_open(proposal)
    release = await rows.get(session, proposal.release_id)
    if seen is not None and seen != standing_at(proposal, release):
        raise errors.Conflict(
            "The release or what was waived for it has changed since you read it.",
            next_step="Read it again, and approve it if you still agree.",
        )
    given = await approvals_of(session, proposal)
    made = next((each for each in given if each.person_id == by.person_id), None)
    if made is not None and still_counts(made, proposal, release):
        raise errors.Conflict("You have approved this promotion already.", next_step="Wait for the other approvals.")
    made = made or Approval(proposal_id=proposal.id, person_id=by.person_id)
    made.note, made.approved_at = note, now()
    made.release_version, made.proposal_version = release.version, proposal.version
    session.add(made)
    await session.flush()  # the unique constraint speaks here
    await record(session, proposal, release, "approve", by=by, body={"approval_id": made.id})
    return made


def still_counts(approval: Approval, proposal: Proposal, release: Release) -> bool:
    """Whether an approval is of what stands there now.

    INVARIANT: nothing opens by an approval from before the release changed or a criterion was waived. A way down may
    rest on an older one: a hold in between is no reason against it.
    """
    if proposal.act not in _OPENING:
        return True
    return (approval.release_version, approval.proposal_version) == (release.version, proposal.version)


def standing_at(proposal: Proposal, release: Release) -> str:
    """Names what somebody reads of a proposal, so that they approve that and nothing else."""
    return f"{release.version}.{proposal.version}"


async def end_promotions(session: AsyncSession, release: Release, *, by: Principal, because: str) -> None:
    """End every open promotion of a release that goes down: up again it comes by a new one.

    because  the act on the release, for the evidence
    """
    for proposal in await proposals_of(session, release):
        if proposal.act is Act.PROMOTE and proposal.state is ProposalState.OPEN:
            fresh = await step(session, proposal, ProposalState.WITHDRAWN)
            body = {"before": ProposalState.OPEN, "after": fresh.state, "because": because}
            await record(session, fresh, release, "withdraw", by=by, body=body)


async def close_proposal(session: AsyncSession, proposal: Proposal, *, by: Principal, reason: str) -> Proposal:
    """End an open proposal without effect: taken back by who made it, refused by anybody else."""
    reason = rows.checked_reason(reason, what="Ending a proposal")
    must_be_open(proposal)
    is_own = by.person_id is not None and by.person_id == proposal.proposed_by
    state = ProposalState.WITHDRAWN if is_own else ProposalState.REFUSED
    release = await rows.get(session, proposal.release_id)
    fresh = await step(session, proposal, state)
    body = {"before": ProposalState.OPEN, "after": state, "reason_sha256": sha256_hex(reason.encode())}
    await record(session, fresh, release, "withdraw" if is_own else "refuse", by=by, body=body)
    return fresh


async def get_proposal(session: AsyncSession, proposal_id: str) -> Proposal:
    """A proposal by id. Raises NotFound."""
    proposal = await session.get(Proposal, proposal_id)
    if proposal is None:
        raise errors.NotFound("There is no such proposal.", next_step="Take it from the list of releases.")
    return proposal


async def open_proposal(session: AsyncSession, release: Release) -> Proposal | None:
    """The release's open promotion."""
    found = await session.scalars(
        sa.select(Proposal).where(
            col(Proposal.release_id) == release.id,
            col(Proposal.state) == ProposalState.OPEN,
            col(Proposal.act) == Act.PROMOTE,
        )
    )
    return found.first()


async def proposals_of(session: AsyncSession, release: Release) -> list[Proposal]:
    """Every proposal of a release, newest first."""
    found = await session.scalars(
        sa.select(Proposal).where(col(Proposal.release_id) == release.id).order_by(col(Proposal.id).desc())
    )
    return list(found)


async def open_promotions(session: AsyncSession, repo: Repo) -> dict[str, list[Proposal]]:
    """The open promotions of a repository's releases, newest first, by the release's id."""
    rows = await session.scalars(
        sa.select(Proposal)
        .join(Release, col(Release.id) == col(Proposal.release_id))
        .where(
            col(Release.repo_id) == repo.id,
            col(Proposal.state) == ProposalState.OPEN,
            col(Proposal.act) == Act.PROMOTE,
        )
        .order_by(col(Proposal.id).desc())
    )
    found: dict[str, list[Proposal]] = {}
    for proposal in rows:
        found.setdefault(proposal.release_id, []).append(proposal)
    return found


async def approvals_of(session: AsyncSession, proposal: Proposal) -> list[Approval]:
    """Who said yes, first ones first."""
    found = await session.scalars(
        sa.select(Approval).where(col(Approval.proposal_id) == proposal.id).order_by(col(Approval.id))
    )
    return list(found)


async def step(session: AsyncSession, proposal: Proposal, state: ProposalState, **values: Any) -> Proposal:
    """Move an open proposal on, compare-and-set on its version. Raises Conflict when somebody else was faster."""
    won = await session.scalar(
        sa.update(Proposal)
        .where(
            col(Proposal.id) == proposal.id,
            col(Proposal.version) == proposal.version,
            col(Proposal.state) == ProposalState.OPEN,
        )
        .values(state=state, version=proposal.version + 1, **values)
        .returning(col(Proposal.id))
        .execution_options(synchronize_session=False)
    )
    fresh = await session.get_one(Proposal, proposal.id, populate_existing=True)
    if won is None:
        must_be_open(fresh)
        raise errors.Conflict(
            "The proposal was changed by somebody else in the meantime.", next_step="Reload it and try again."
        )
    return fresh


def must_be_open(proposal: Proposal) -> None:
    """Raise Conflict, saying what became of it, for a proposal that is over."""
    said = {
        ProposalState.EFFECTIVE: "is effective already",
        ProposalState.REFUSED: "was refused",
        ProposalState.WITHDRAWN: "was taken back",
    }.get(proposal.state)
    if said:
        raise errors.Conflict(
            f"This promotion {said}.",
            next_step="Reload the list of releases; propose anew if needed.",
            details={"state": proposal.state.value},
        )


async def record(
    session: AsyncSession, proposal: Proposal, release: Release, act: str, *, by: Principal, body: dict[str, Any]
) -> None:
    """Leave evidence of an act on a proposal."""
    await ledger.record(
        session,
        f"releases:proposal:{act}",
        actor=by.person_id,
        token=by.token_id,
        repo=release.repo_id,
        subject=proposal.id,
        body={"release_id": release.id, "commit": release.commit_id, **body},
    )


def checked_note(note: str) -> str:
    """The note beside a proposal or an approval, trimmed. Raises Invalid when it is too long."""
    if len(note) > _MAX_NOTE_CHARS:
        raise errors.Invalid(f"The note has {len(note):,} characters; at most {_MAX_NOTE_CHARS:,} are kept.")
    return note.strip()
