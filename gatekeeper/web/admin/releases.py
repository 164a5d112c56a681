"""A repository's releases: the ladder, proposals with their criteria, promotion."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, authz, releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.releases import Finding, Ladder, Proposal, Release, Stage
from gatekeeper.repos import history
from gatekeeper.web import words
from gatekeeper.web.admin.release import ONE, ladder, proposal_of
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see

# Where what a criterion looks at can be read, under the repository's address.
_EVIDENCE = {
    "license_text": ("access", "The terms"),
    "flow_down": ("access", "The terms"),
    "card_complete": ("blob/{commit}/README.md", "The card"),
    "safetensors_only": ("tree/{commit}", "The files"),
    "scan_clean": ("tree/{commit}", "The files and their scans"),
    "not_held": ("releases/{commit}", "What happened to it"),
    "below_target": ("releases/{commit}", "What happened to it"),
    "soak_time": ("releases/{commit}", "What happened to it"),
    "bias_report": ("evaluations", "The reports"),
    "testers": ("releases/{commit}", "What happened to it"),
    "questions_answered": ("discussions", "The discussions"),
    "rollback_drill": ("releases/{commit}/drill", "The drill"),
}


@dataclass(frozen=True)
class Criterion:
    """One check of a proposal as it stands now; `href` and `evidence` lead to what it looks at."""

    id: str
    title: str
    kind: str  # yes, wait where it was waived, stop
    detail: str
    href: str
    evidence: str
    can_waive: bool = False


@dataclass(frozen=True)
class ProposalView:
    """An open proposal, and what its reader may do with it."""

    id: str
    target: str
    by: str
    proposed_at: datetime
    note: str
    approvals_text: str
    criteria: tuple[Criterion, ...]
    seen: str
    can_approve: bool
    why_no_approval: str
    can_promote: bool


@dataclass(frozen=True)
class ReleaseView:
    """A release in the list; `since` is the commit of the one before, where its reader may compare the two."""

    commit: str
    title: str
    is_main: bool
    stage: str
    staged_at: datetime
    is_held: bool
    held_at: datetime | None
    hold_reason: str
    is_withdrawn: bool
    is_embargoed: bool
    is_deprecated: bool
    proposals: tuple[ProposalView, ...]
    targets: tuple[tuple[str, str], ...]
    next_target: str
    is_private: bool = False
    gate: str = "none"
    since: str = ""


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/releases`."""
    return await list_page(call)


async def enable(call: Call) -> Response:
    """`POST .../releases/enable`."""
    await releases.enable_staging(call.session, call.repo, by=call.principal)
    return _back(call, "staged")


async def propose(call: Call) -> Response:
    """`POST .../releases/{rev}/propose`."""
    commit = call.commit or ""
    sent = await forms.read(call.request)
    target = forms.text(sent, f"target-{commit[:10]}", most=40)
    if target not in set(Stage):
        return await list_page(call, sent, errors={f"target-{commit[:10]}": "Choose a stage."}, status=422)
    await history.require_commit(call.session, call.repo, commit)
    try:
        async with call.session.begin_nested():
            await releases.propose(
                call.session,
                call.repo,
                commit,
                Stage(target),
                by=call.principal,
                ladder=ladder(call),
                note=forms.text(sent, f"note-{commit[:10]}"),
            )
    except (Invalid, Conflict) as error:
        return await list_page(call, sent, errors={f"target-{commit[:10]}": error.sentence}, status=422)
    return _back(call, "proposed")


async def approve(call: Call) -> Response:
    """`POST .../releases/{rev}/proposals/{id}/approve`."""
    proposal = await proposal_of(call)
    seen = forms.text(await forms.read(call.request), "seen", most=40) or None
    try:
        async with call.session.begin_nested():
            await releases.approve_proposal(call.session, proposal, by=call.principal, seen=seen)
    except (Invalid, Conflict) as error:
        return await list_page(call, errors={"": error.sentence}, status=422)
    return _back(call, "proposal-approved")


async def promote(call: Call) -> Response:
    """`POST .../releases/{rev}/proposals/{id}/promote`."""
    proposal = await proposal_of(call)
    try:
        async with call.session.begin_nested():
            await releases.promote(call.session, proposal, by=call.principal, ladder=ladder(call))
    except (Invalid, Conflict) as error:
        return await list_page(call, errors={"": error.sentence}, status=422)
    return _back(call, "promoted")


async def list_page(
    call: Call, sent: FormData | None = None, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    """The list; what was sent from one of its forms stays, with what is wrong beside it."""
    seen = await see(call, call.repo, call.resource)
    may_promote = bool(seen.rights[Action.PROMOTE])
    head = await history.resolve_revision(call.session, call.repo, "main")
    instant, policies = now(), call.gatekeeper.policies

    def where(action: Action) -> set[str | None]:
        at = [(each.release_id, authz.at_release(call.resource, each)) for each in call.resource.releases]
        return {key for key, place in at if authz.decide(policies, call.principal, action, place, instant)}

    known, comparable = where(Action.KNOW), where(Action.LIST_FILES)
    listed = [release for release in await releases.list_for(call.session, call.repo) if release.id in known]
    compared = [release for release in listed if release.id in comparable]
    since = {new.id: old.commit_id for new, old in pairwise(compared)}
    await history.warm(call.session, [(call.repo.id, release.commit_id) for release in listed])
    proposals = await releases.open_promotions(call.session, call.repo) if may_promote else {}
    rules = await releases.ladder_for(call.session, call.repo, ladder(call))
    rows = [
        replace(
            await _view(call, release, rules, proposals.get(release.id, ()), is_main=release.commit_id == head),
            since=since.get(release.id, ""),
        )
        for release in listed
    ]
    return render(
        call,
        "admin/releases.html",
        status=status,
        head=seen.head,
        releases=rows,
        may_manage=bool(seen.rights[Action.MANAGE]),
        jobs_url=f"/admin/repositories/{call.repo.kind.value}/{call.repo.full_name}/jobs",
        may_propose=bool(seen.rights[Action.PROPOSE]),
        may_hold=bool(seen.rights[Action.HOLD]),
        typed=dict(sent or {}),
        errors=errors or {},
    )


async def _view(
    call: Call, release: Release, rules: Ladder, promotions: Iterable[Proposal], *, is_main: bool
) -> ReleaseView:
    commit = await history.require_commit(call.session, call.repo, release.commit_id)
    above = [stage for stage in rules.stages if rules.rank(stage) > rules.rank(release.stage)]
    proposals = [await _proposal_view(call, release, proposal) for proposal in promotions]
    until = release.embargoed_until
    return ReleaseView(
        commit=release.commit_id,
        title=commit.title,
        is_main=is_main,
        stage=release.stage.value,
        staged_at=release.staged_at,
        is_held=release.held_at is not None,
        held_at=release.held_at,
        hold_reason=release.hold_reason,
        is_withdrawn=release.withdrawn_at is not None,
        is_embargoed=until is not None,
        is_deprecated=release.deprecated_at is not None,
        proposals=tuple(proposals),
        targets=tuple((stage.value, words.STAGES[stage].label) for stage in above) if not proposals else (),
        next_target=above[0].value if above else "",
    )


async def _proposal_view(call: Call, release: Release, proposal: Proposal) -> ProposalView:
    findings, quorum = await releases.standing_of(call.session, proposal, ladder=ladder(call))
    proposer = await accounts.people.get(call.session, proposal.proposed_by) if proposal.proposed_by else None
    me = call.principal.person_id
    counts = me in quorum.eligible
    return ProposalView(
        id=proposal.id,
        target=proposal.target.value,
        by=proposer.name if proposer else "the operator",
        proposed_at=proposal.proposed_at,
        note=proposal.note,
        approvals_text=quorum.sentence,
        criteria=tuple(_criterion(call, release, finding) for finding in findings),
        seen=releases.standing_at(proposal, release),
        can_approve=counts and me not in quorum.given_by and quorum.needed > 0,
        why_no_approval="You have approved it."
        if me in quorum.given_by
        else "Your approval does not count: you uploaded or proposed it, or do not maintain this repository."
        if quorum.needed and not counts
        else "",
        can_promote=quorum.is_reached and all(finding.passes for finding in findings),
    )


def _criterion(call: Call, release: Release, finding: Finding) -> Criterion:
    detail = f"{finding.detail} Waived: {finding.waiver}" if finding.waived_by else finding.detail
    can_waive = not finding.passes and releases.can_be_waived(finding.id)
    path, evidence = _EVIDENCE.get(finding.id, ("releases/{commit}", "What happened to it"))
    href = f"{repo_url(call.repo)}/{path.format(commit=release.commit_id)}"
    kind = "yes" if finding.is_met else "wait" if finding.passes else "stop"
    title = words.CRITERIA.get(finding.id, finding.id)
    return Criterion(finding.id, title, kind, detail, href, evidence, can_waive)


def _back(call: Call, done: str) -> Response:
    return RedirectResponse(f"{repo_url(call.repo)}/releases?done={done}", 303)


_ALL = "/{ns}/{name}/releases"
_PROPOSAL = f"{ONE}/proposals/{{id}}"

ROUTES = [
    *for_kinds(_ALL, show, needs=Action.KNOW),
    *for_kinds(f"{_ALL}/enable", enable, needs=Action.MANAGE, methods=("POST",), is_dangerous=True),
    *for_kinds(f"{ONE}/propose", propose, needs=Action.PROPOSE, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/approve", approve, needs=Action.PROMOTE, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/promote", promote, needs=Action.PROMOTE, methods=("POST",), is_dangerous=True),
]
