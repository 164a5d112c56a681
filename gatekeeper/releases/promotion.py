"""The way up: propose, check, approve, promote. Two at once end with one winner; a second try is told what happened."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.releases import criteria, rows
from gatekeeper.releases.approvals import Quorum, quorum
from gatekeeper.releases.criteria import Candidate, Finding
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.organization_rules import ladder_for
from gatekeeper.releases.tables import Act, Approval, Proposal, ProposalState, Release, Stage
from gatekeeper.repos import catalogue, manifests
from gatekeeper.repos.tables import Repo

_MAX_NOTE_CHARS = 2_000


async def propose(
    session: AsyncSession,
    repo: Repo,
    commit: str,
    target: Stage,
    *,
    by: Principal,
    ladder: Ladder,
    note: str = "",
    policy: str | None = None,
) -> Proposal:
    """Ask to move a revision up to a stage. The criteria are checked and kept with the proposal as they stand.

    Raises Invalid for a target that is not above, Conflict while another proposal for the revision is open.
    """
    if not repo.is_staged:
        raise errors.Invalid(
            f"{repo.full_name} is not released in stages.", next_step="Turn on staged release in its settings first."
        )
    if len(note) > _MAX_NOTE_CHARS:
        raise errors.Invalid(f"The note has {len(note):,} characters; at most {_MAX_NOTE_CHARS:,} are kept.")
    release = await rows.ensure(session, repo, commit, by=by)
    if ladder.rank(target) <= ladder.rank(release.stage):
        raise errors.Invalid(
            f"The revision stands at “{release.stage}”, which is not below “{target}”.",
            next_step="Choose a higher stage; the way down is a demotion.",
        )
    if await open_proposal(session, release) is not None:
        raise errors.Conflict(
            "A promotion of this revision is proposed already.", next_step="Decide that one first, or take it back."
        )
    ladder = await ladder_for(session, repo, ladder)
    findings = await criteria.check(session, Candidate(repo, release, target, ladder))
    made = Proposal(
        release_id=release.id,
        target=target,
        note=note.strip(),
        criteria=[finding.as_json() for finding in findings],
        proposed_by=by.person_id,
    )
    session.add(made)
    await session.flush()  # pages and approvals refer to it
    await record(
        session,
        made,
        release,
        "propose",
        by=by,
        body={"before": None, "after": made.state, "target": target, "unmet": _unmet(findings)},
        policy=policy,
    )
    return made


async def approve_proposal(
    session: AsyncSession, proposal: Proposal, *, by: Principal, note: str = "", policy: str | None = None
) -> Approval:
    """Say yes to a proposal. Who may count is decided when it is promoted."""
    if by.person_id is None:
        raise errors.NotAllowed("A promotion is approved by a person.", next_step="Sign in as a maintainer.")
    if len(note) > _MAX_NOTE_CHARS:
        raise errors.Invalid(f"The note has {len(note):,} characters; at most {_MAX_NOTE_CHARS:,} are kept.")
    # Locked, so that it cannot be promoted or refused meanwhile. Two people's approvals do not exclude each other.
    proposal = await session.get_one(Proposal, proposal.id, populate_existing=True, with_for_update=True)
    must_be_open(proposal)
    given = await approvals_of(session, proposal)
    if any(approval.person_id == by.person_id for approval in given):
        raise errors.Conflict("You have approved this promotion already.", next_step="Wait for the other approvals.")
    release = await rows.get(session, proposal.release_id)
    made = Approval(proposal_id=proposal.id, person_id=by.person_id, note=note.strip())
    session.add(made)
    await session.flush()  # the unique constraint speaks here
    await record(session, proposal, release, "approve", by=by, body={"approval_id": made.id}, policy=policy)
    return made


async def waive(
    session: AsyncSession, proposal: Proposal, criterion: str, *, by: Principal, reason: str, policy: str | None = None
) -> Proposal:
    """Let one unmet criterion pass, with a reason that shows publicly beside the release."""
    reason = rows.checked_reason(reason, what="A waiver")
    must_be_open(proposal)
    found = next((row for row in proposal.criteria if row["id"] == criterion), None)
    if found is None or not criteria.can_be_waived(criterion):
        raise errors.Invalid(
            f"The criterion {criterion[:60]} cannot be waived here.", next_step="Waive one of those the proposal lists."
        )
    if found["is_met"]:
        raise errors.Conflict("The criterion is met; there is nothing to waive.", next_step="Promote the release.")
    changed = [
        row | {"waived_by": by.person_id or "operator", "waiver": reason} if row["id"] == criterion else row
        for row in proposal.criteria
    ]
    release = await rows.get(session, proposal.release_id)
    fresh = await step(session, proposal, ProposalState.OPEN, criteria=changed)
    body = {"criterion": criterion, "reason_sha256": sha256_hex(reason.encode())}
    await record(session, fresh, release, "waive", by=by, body=body, policy=policy)
    return fresh


async def promote(
    session: AsyncSession, proposal: Proposal, *, by: Principal, ladder: Ladder, policy: str | None = None
) -> Release:
    """Make a proposal effective: criteria are checked again on the released files, approvals counted.

    Raises Conflict with details {"criteria", "approvals"} that say what is missing.
    """
    must_be_open(proposal)
    if proposal.act is not Act.PROMOTE:
        raise errors.Invalid("This proposal is not a promotion.", next_step="Carry it out.")
    release = await rows.get(session, proposal.release_id)
    repo = await _repo(session, release)
    ladder = await ladder_for(session, repo, ladder)
    if (await manifests.manifest(session, repo, release.commit_id)).sha256 != release.manifest_sha256:
        raise errors.Conflict("The files are not those that were proposed.", next_step="Propose the new revision.")
    findings = await current_findings(session, proposal, ladder=ladder)
    count = await quorum(session, repo, release, proposal, ladder.rule(proposal.target))
    unmet = [finding for finding in findings if not finding.passes]
    if unmet or not count.is_reached:
        sentences = [finding.detail for finding in unmet] + ([] if count.is_reached else [count.sentence])
        raise errors.Conflict(
            f"The release cannot go to “{proposal.target}” yet. {' '.join(sentences)}",
            next_step="Meet what is missing, or let a maintainer waive it with a reason.",
            details={
                "criteria": [finding.as_json() for finding in findings],
                "approvals": {"given": count.counted, "needed": count.needed},
            },
        )
    at = now()
    kept = [finding.as_json() for finding in findings]
    await step(session, proposal, ProposalState.EFFECTIVE, criteria=kept, effective_at=at)
    body = {
        "proposal_id": proposal.id,
        "manifest_sha256": release.manifest_sha256,
        "bundle_sha256": release.bundle_sha256,
        "approved_by": list(count.approved_by),
        "is_self_approved": count.is_self_approved,
        "waived": [finding.id for finding in findings if finding.waived_by],
    }
    values = {"stage": proposal.target, "staged_at": at}
    await _put_terms_in_force(session, repo, release, proposal.target, by=by, ladder=ladder)
    return await rows.change(session, release, "promote", values, by=by, body=body, policy=policy)


async def _put_terms_in_force(
    session: AsyncSession, repo: Repo, release: Release, target: Stage, *, by: Principal, ladder: Ladder
) -> None:
    """From now on the release's terms bind; people may have accepted what older promoted releases had.

    Once a release stands as high as any older one, holders are told where their license asks for the latest version.
    """
    grace_days = ladder.rule(target).terms_grace_days
    if release.bundle_sha256 is None:
        return
    earlier = [each for each in await rows.list_for(session, repo) if each.id < release.id]
    promoted = [each for each in earlier if each.stage is not Stage.DRAFT and each.bundle_sha256]
    older = [each.bundle_sha256 for each in promoted if each.bundle_sha256]
    await licensing.put_in_force(session, repo, release.bundle_sha256, by=by, after=older, grace_days=grace_days)
    highest = max((ladder.rank(each.stage) for each in promoted), default=-1)
    if ladder.rank(release.stage) < highest <= ladder.rank(target):
        await licensing.tell_of_newer(
            session, repo, release.commit_id, release.bundle_sha256, by=by, catalogue=ladder.licenses
        )


async def close_proposal(
    session: AsyncSession, proposal: Proposal, *, by: Principal, reason: str, policy: str | None = None
) -> Proposal:
    """End an open proposal without effect: taken back by who made it, refused by anybody else."""
    reason = rows.checked_reason(reason, what="Ending a proposal")
    must_be_open(proposal)
    is_own = by.person_id is not None and by.person_id == proposal.proposed_by
    state = ProposalState.WITHDRAWN if is_own else ProposalState.REFUSED
    release = await rows.get(session, proposal.release_id)
    fresh = await step(session, proposal, state)
    body = {"before": ProposalState.OPEN, "after": state, "reason_sha256": sha256_hex(reason.encode())}
    await record(session, fresh, release, "withdraw" if is_own else "refuse", by=by, body=body, policy=policy)
    return fresh


async def current_findings(session: AsyncSession, proposal: Proposal, *, ladder: Ladder) -> list[Finding]:
    """The criteria as they stand now, with the waivers that were given."""
    release = await rows.get(session, proposal.release_id)
    repo = await _repo(session, release)
    waivers = {row["id"]: (row["waived_by"], row["waiver"]) for row in proposal.criteria if row.get("waived_by")}
    ladder = await ladder_for(session, repo, ladder)
    found = await criteria.check(session, Candidate(repo, release, proposal.target, ladder))
    return [
        Finding(finding.id, finding.is_met, finding.detail, *waivers.get(finding.id, (None, ""))) for finding in found
    ]


async def standing_of(session: AsyncSession, proposal: Proposal, *, ladder: Ladder) -> tuple[list[Finding], Quorum]:
    """What a page shows of a proposal: its criteria and its approvals as they stand now."""
    release = await rows.get(session, proposal.release_id)
    repo = await _repo(session, release)
    rule = (await ladder_for(session, repo, ladder)).rule(proposal.target)
    count = await quorum(session, repo, release, proposal, rule)
    return await current_findings(session, proposal, ladder=ladder), count


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


async def _repo(session: AsyncSession, release: Release) -> Repo:
    repo = await catalogue.by_id(session, release.repo_id)
    if repo is None:
        raise errors.RepoNotFound("Repository not found", next_step="It was deleted; nothing can be released.")
    return repo


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


def _unmet(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings if not finding.passes]


async def record(
    session: AsyncSession,
    proposal: Proposal,
    release: Release,
    act: str,
    *,
    by: Principal,
    body: dict[str, Any],
    policy: str | None,
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
        policy=policy,
    )
