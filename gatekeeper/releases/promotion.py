"""The way up: propose, check, waive, promote. Of two at once one wins; a second try is told what happened."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.releases import criteria, rows
from gatekeeper.releases.approvals import Quorum, quorum
from gatekeeper.releases.criteria import Candidate, Finding
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.organization_rules import ladder_for
from gatekeeper.releases.proposals import (
    approvals_of,
    checked_note,
    must_be_open,
    open_proposal,
    record,
    step,
    still_counts,
)
from gatekeeper.releases.stage_terms import bind
from gatekeeper.releases.tables import Act, Proposal, ProposalState, Release, Stage
from gatekeeper.repos import catalogue, manifests
from gatekeeper.repos.tables import Repo


async def propose(
    session: AsyncSession, repo: Repo, commit: str, target: Stage, *, by: Principal, ladder: Ladder, note: str = ""
) -> Proposal:
    """Ask to move a revision up to a stage. The criteria are checked and kept with the proposal as they stand.

    Raises Invalid for a target that is not above, Conflict while another proposal for the revision is open.
    """
    if not repo.is_staged:
        raise errors.Invalid(
            f"{repo.full_name} is not released in stages.", next_step="Turn on staged release in its settings first."
        )
    note = checked_note(note)
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
        note=note,
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
    )
    return made


async def waive(session: AsyncSession, proposal: Proposal, criterion: str, *, by: Principal, reason: str) -> Proposal:
    """Let one unmet criterion pass, with a reason that shows publicly beside the release.

    Approvals given so far count no more, for nobody who gave one has seen it.
    """
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
    lapsed = [one.person_id for one in await approvals_of(session, proposal) if still_counts(one, proposal, release)]
    fresh = await step(session, proposal, ProposalState.OPEN, criteria=changed)
    body = {"criterion": criterion, "reason_sha256": sha256_hex(reason.encode()), "lapsed": lapsed}
    await record(session, fresh, release, "waive", by=by, body=body)
    return fresh


async def promote(session: AsyncSession, proposal: Proposal, *, by: Principal, ladder: Ladder) -> Release:
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
    bundle_sha256 = await bind(session, repo, release, proposal.target, by=by, ladder=ladder)
    await step(session, proposal, ProposalState.EFFECTIVE, criteria=kept, effective_at=at)
    body = {
        "proposal_id": proposal.id,
        "manifest_sha256": release.manifest_sha256,
        "bundle_sha256": bundle_sha256,
        "approved_by": list(count.approved_by),
        "is_self_approved": count.is_self_approved,
        "waived": [finding.id for finding in findings if finding.waived_by],
    }
    values = {"stage": proposal.target, "staged_at": at, "bundle_sha256": bundle_sha256}
    return await rows.change(session, release, "promote", values, by=by, body=body)


async def current_findings(session: AsyncSession, proposal: Proposal, *, ladder: Ladder) -> list[Finding]:
    """The criteria as they stand now, with the waivers that were given."""
    release = await rows.get(session, proposal.release_id)
    repo = await _repo(session, release)
    return await _findings(session, proposal, release, repo, await ladder_for(session, repo, ladder))


async def _findings(
    session: AsyncSession, proposal: Proposal, release: Release, repo: Repo, ladder: Ladder
) -> list[Finding]:
    waivers = {row["id"]: (row["waived_by"], row["waiver"]) for row in proposal.criteria if row.get("waived_by")}
    found = await criteria.check(session, Candidate(repo, release, proposal.target, ladder))
    return [
        Finding(finding.id, finding.is_met, finding.detail, *waivers.get(finding.id, (None, ""))) for finding in found
    ]


async def standing_of(session: AsyncSession, proposal: Proposal, *, ladder: Ladder) -> tuple[list[Finding], Quorum]:
    """What a page shows of a proposal: its criteria and its approvals as they stand now."""
    release = await rows.get(session, proposal.release_id)
    repo = await _repo(session, release)
    ladder = await ladder_for(session, repo, ladder)
    count = await quorum(session, repo, release, proposal, ladder.rule(proposal.target))
    return await _findings(session, proposal, release, repo, ladder), count


async def _repo(session: AsyncSession, release: Release) -> Repo:
    repo = await catalogue.by_id(session, release.repo_id)
    if repo is None:
        raise errors.RepoNotFound("Repository not found", next_step="It was deleted; nothing can be released.")
    return repo


def _unmet(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings if not finding.passes]
