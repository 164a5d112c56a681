"""One release: what happened to it, what was waived, and the changes that were asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from gatekeeper import accounts, releases
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.generation import measuring
from gatekeeper.kit.clock import instant_of
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases import Act, Ladder, Proposal, ProposalState, Release, Stage
from gatekeeper.web import words
from gatekeeper.web.admin import effects
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.views import render, see
from gatekeeper.web.wording.times import instant_tag

ONE = "/{ns}/{name}/releases/{rev}"  # so the guard decides about this revision, not about the best one

_ASKED = {
    Act.DEMOTE: "Put it back to a lower stage",
    Act.WITHDRAW: "Withdraw it for good",
    Act.EMBARGO: "Lengthen the embargo",
    Act.LIFT: "Lift the embargo",
}


@dataclass(frozen=True)
class Happening:
    """A line of the timeline."""

    at: datetime
    text: str
    stage: str


@dataclass(frozen=True)
class Waiver:
    """A criterion that was let pass, by whom and why. Public."""

    criterion: str
    by: str
    reason: str


@dataclass(frozen=True)
class ChangeView:
    """A change that was asked for, and what its reader may do with it."""

    id: str
    title: str
    by: str
    asked_at: datetime
    reason: str
    approvals_text: str
    seen: str
    can_approve: bool
    can_carry_out: bool
    effects: list[str]


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/releases/{rev}`."""
    return await page(call, await release_of(call))


async def release_of(call: Call) -> Release:
    """The release of the address. Raises NotFound."""
    found = await releases.stage_of(call.session, call.repo, call.commit or "")
    if found is None:
        raise NotFound("There is no such release.", next_step="Take it from the list of releases.")
    return found


async def proposal_of(call: Call) -> Proposal:
    """The proposal of the address, which belongs to its release. Raises NotFound."""
    release = await release_of(call)
    proposal = await releases.get_proposal(call.session, call.params["id"])
    if proposal.release_id != release.id:
        raise NotFound("There is no such proposal.", next_step="Take it from the list of releases.")
    return proposal


def ladder(call: Call) -> Ladder:
    """The hub's ladder in force."""
    return measuring.ladder_here(call.gatekeeper.policies.directory)


async def stages_below(call: Call, release: Release) -> list[Stage]:
    """The stages that a release could be put back to, the lowest first."""
    rules = await releases.ladder_for(call.session, call.repo, ladder(call))
    return [stage for stage in rules.stages if rules.rank(stage) < rules.rank(release.stage)]


async def ask_change(
    call: Call, release: Release, act: Act, *, reason: str, target: Stage | None = None, until: datetime | None = None
) -> bool:
    """Ask for a change, and carry it out where nobody else has to agree. Returns whether it was."""
    session, by, rules = call.session, call.principal, ladder(call)
    proposal = await releases.ask_change(
        session, release, act, by=by, ladder=rules, reason=reason, target=target, until=until
    )
    count = await releases.change_quorum(session, proposal, ladder=rules)
    if count.is_reached:
        await releases.carry_out(session, proposal, by=by, ladder=rules)
    return count.is_reached


async def page(
    call: Call,
    release: Release,
    *,
    typed: Mapping[str, object] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The page of a release; `errors` stand beside the fields that they name, and what was typed stays."""
    seen = await see(call, call.repo, call.resource)
    may_change = bool(seen.rights[Action.HOLD])
    rules = await releases.ladder_for(call.session, call.repo, ladder(call))
    return render(
        call,
        "admin/release.html",
        status=status,
        head=seen.head,
        release=release,
        stage=release.stage.value,
        timeline=[_happening(event) for event in await releases.timeline(call.session, release)],
        waivers=await _waivers(call, release),
        changes=[await _change(call, release, change) for change in await releases.changes_of(call.session, release)]
        if may_change
        else [],
        may_change=may_change and release.withdrawn_at is None,
        may_review=bool(seen.rights[Action.REVIEW]),
        needed=rules.rule(release.stage).approvals,
        waits=await releases.waits_for_others(call.session, release, by=call.principal, ladder=ladder(call)),
        has_lower=bool(await stages_below(call, release)),
        typed=typed or {},
        errors=errors or {},
    )


def _happening(event: LedgerEvent) -> Happening:
    after, act = event.body.get("after") or {}, event.kind.rpartition(":")[2]
    text = words.RELEASE_ACTS.get(act, event.kind)
    if "embargo" in event.kind and (until := after.get("embargoed_until")):
        text = Markup("{} until {}").format(text, instant_tag(instant_of(until)))
    return Happening(event.occurred_at, text, str(after.get("stage", "")) if act in ("promote", "demote") else "")


async def _waivers(call: Call, release: Release) -> list[Waiver]:
    found = []
    for proposal in await releases.proposals_of(call.session, release):
        if proposal.act is Act.PROMOTE and proposal.state in (ProposalState.OPEN, ProposalState.EFFECTIVE):
            for row in proposal.criteria:
                if row.get("waived_by"):
                    person = await accounts.people.get(call.session, row["waived_by"])
                    found.append(
                        Waiver(
                            words.CRITERIA.get(row["id"], row["id"]),
                            person.name if person else "the operator",
                            row["waiver"],
                        )
                    )
    return found


async def _change(call: Call, release: Release, proposal: Proposal) -> ChangeView:
    count = await releases.change_quorum(call.session, proposal, ladder=ladder(call))
    person = await accounts.people.get(call.session, proposal.proposed_by) if proposal.proposed_by else None
    me = call.principal.person_id
    title = _ASKED[proposal.act]
    if proposal.act is Act.DEMOTE:
        title = f"Put it back to {words.STAGES[proposal.target].label}"
    if proposal.until:
        title = Markup("{} until {}").format(title, instant_tag(proposal.until))
    return ChangeView(
        id=proposal.id,
        title=title,
        by=person.name if person else "the operator",
        asked_at=proposal.proposed_at,
        reason=proposal.note,
        approvals_text=count.sentence,
        seen=releases.standing_at(proposal, release),
        can_approve=me in count.eligible and me not in count.given_by,
        can_carry_out=count.is_reached,
        effects=await effects.of_change(call, call.repo, release, proposal.act, [proposal.target])
        if count.is_reached or me in count.eligible
        else [],
    )


ROUTES = [*for_kinds(ONE, show, needs=Action.KNOW)]
