"""One release: what happened to it, what was waived, who holds it; and the changes that can be asked for."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotFound
from gatekeeper.kit.canonical import instant_text
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases import Act, Holder, Ladder, Proposal, ProposalState, Release, Stage
from gatekeeper.web import words
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see

_ACTS = {
    "draft": "became a draft",
    "promote": "was promoted",
    "demote": "was put back",
    "hold": "was put on hold",
    "resume": "was resumed",
    "withdraw": "was withdrawn",
    "embargo": "was put under embargo",
    "lift": "had its embargo lifted",
    "open": "opened at the end of its embargo",
    "deprecate": "was deprecated",
    "undeprecate": "is no longer deprecated",
}
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
    can_approve: bool
    can_carry_out: bool


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/releases/{rev}`."""
    return await _page(call, await release_of(call))


async def ask(call: Call) -> Response:
    """`POST .../releases/{rev}/change`: announce an embargo, deprecate, or ask for what takes more people."""
    release = await release_of(call)
    sent = await forms.read(call.request)
    act = forms.text(sent, "act", most=20)
    done = await _try(call, release, act, lambda: _ask(call, release, act, sent))
    return done or RedirectResponse(f"{_url(call, release)}?done=change-asked", 303)


async def agree(call: Call) -> Response:
    """`POST .../proposals/{id}/agree`: say yes to a change."""
    release, proposal = await release_of(call), await proposal_of(call)

    async def act() -> None:
        await releases.approve_proposal(
            call.session, proposal, by=call.principal, policy=call.gatekeeper.policies.sha256
        )

    done = await _try(call, release, "", act)
    return done or RedirectResponse(f"{_url(call, release)}?done=proposal-approved", 303)


async def carry_out(call: Call) -> Response:
    """`POST .../proposals/{id}/carry-out`."""
    release, proposal = await release_of(call), await proposal_of(call)

    async def act() -> None:
        await releases.carry_out(
            call.session, proposal, by=call.principal, ladder=ladder(call), policy=call.gatekeeper.policies.sha256
        )

    return await _try(call, release, "", act) or RedirectResponse(f"{_url(call, release)}?done=change-made", 303)


async def close(call: Call) -> Response:
    """`POST .../proposals/{id}/close`: take back one's own proposal, or refuse another's."""
    release, proposal = await release_of(call), await proposal_of(call)
    reason = forms.text(await forms.read(call.request), f"close-{proposal.id}", most=3000)

    async def act() -> None:
        await releases.close_proposal(
            call.session, proposal, by=call.principal, reason=reason, policy=call.gatekeeper.policies.sha256
        )

    where = f"close-{proposal.id}"
    return await _try(call, release, where, act) or RedirectResponse(f"{_url(call, release)}?done=proposal-closed", 303)


async def waive(call: Call) -> Response:
    """`POST .../proposals/{id}/waive`: let one criterion pass, publicly."""
    release, proposal = await release_of(call), await proposal_of(call)
    sent = await forms.read(call.request)
    criterion = forms.text(sent, "criterion", most=60)
    reason = forms.text(sent, f"waive-{criterion}", most=3000)

    async def act() -> None:
        await releases.waive(
            call.session,
            proposal,
            criterion,
            by=call.principal,
            reason=reason,
            policy=call.gatekeeper.policies.sha256,
        )

    done = await _try(call, release, f"waive-{criterion}", act)
    return done or RedirectResponse(f"{_url(call, release)}?done=waived", 303)


async def holders(call: Call) -> Response:
    """`GET .../releases/{rev}/holders`: who fetched what of it, as a page or (`?format=csv`) as a file."""
    release = await release_of(call)
    found = await releases.holders(call.session, release)
    if call.request.query_params.get("format") == "csv":
        name = f"holders-{release.commit_id[:10]}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
        return Response(_csv(found), media_type="text/csv; charset=utf-8", headers=headers)
    seen = await see(call, call.repo, call.resource)
    return render(
        call,
        "admin/holders.html",
        head=seen.head,
        commit=release.commit_id,
        holders=found,
        nameless=await releases.without_account(call.session, release),
    )


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
    return Ladder.load(call.gatekeeper.policies.directory)


async def _ask(call: Call, release: Release, act: str, sent: FormData) -> None:
    session, by, policy = call.session, call.principal, call.gatekeeper.policies.sha256
    reason = forms.text(sent, f"reason-{act}", most=3000)
    until = _until(forms.text(sent, f"until-{act}", most=40)) if act in ("announce", "embargo") else None
    if act == "deprecate":
        await releases.deprecate(session, release, by=by, reason=reason, policy=policy)
        return
    if act == "announce" and release.embargoed_until is None:
        await releases.embargo(session, release, until, by=by, reason=reason, policy=policy)
        return
    if act not in set(Act):
        raise Invalid("Choose what is to be done.", next_step="Use one of the page's forms.")
    target = forms.text(sent, "target-demote", most=40) if act == Act.DEMOTE else ""
    proposal = await releases.ask_change(
        session,
        release,
        Act(act),
        by=by,
        ladder=ladder(call),
        reason=reason,
        target=Stage(target) if target in set(Stage) else None,
        until=until,
        policy=policy,
    )
    count = await releases.change_quorum(session, proposal, ladder=ladder(call))
    if count.is_reached:
        await releases.carry_out(session, proposal, by=by, ladder=ladder(call), policy=policy)


def _until(text: str) -> datetime:
    """An instant of a `datetime-local` field, in UTC."""
    try:
        return datetime.fromisoformat(f"{text.strip()}+00:00")
    except ValueError:
        raise Invalid("The instant must look like 2027-01-31T12:00.", next_step="Enter day and time in UTC.") from None


async def _try(call: Call, release: Release, field: str, act: Callable[[], Awaitable[None]]) -> Response | None:
    """Do it, or show the page again with what was wrong."""
    try:
        async with call.session.begin_nested():
            await act()
    except (Invalid, Conflict) as error:
        return await _page(call, release, errors={_field_of(field, error): error.sentence}, status=422)
    return None


def _field_of(field: str, error: GatekeeperError) -> str:
    if "instant" in error.message or "embargo" in error.message.lower():
        return f"until-{field}"
    return f"reason-{field}" if field in {*Act, "announce", "deprecate"} else field


async def _page(
    call: Call, release: Release, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    seen = await see(call, call.repo, call.resource)
    may_change = bool(seen.rights[Action.HOLD])
    rules = await releases.ladder_for(call.session, call.repo, ladder(call))
    below = [stage for stage in rules.stages if rules.rank(stage) < rules.rank(release.stage)]
    return render(
        call,
        "admin/release.html",
        status=status,
        head=seen.head,
        release=release,
        stage=release.stage.value,
        timeline=[_happening(event) for event in await releases.timeline(call.session, release)],
        waivers=await _waivers(call, release),
        changes=[await _change(call, change) for change in await releases.changes_of(call.session, release)]
        if may_change
        else [],
        may_change=may_change and release.withdrawn_at is None,
        may_review=bool(seen.rights[Action.REVIEW]),
        needed=rules.rule(release.stage).approvals,
        lower=[(stage.value, words.STAGES[stage].label) for stage in below],
        errors=errors or {},
    )


def _happening(event: LedgerEvent) -> Happening:
    after = event.body.get("after") or {}
    text = _ACTS.get(event.kind.rpartition(":")[2], event.kind)
    if until := after.get("embargoed_until"):
        text += f" until {until}" if "embargo" in event.kind else ""
    return Happening(event.occurred_at, text, str(after.get("stage", "")))


async def _waivers(call: Call, release: Release) -> list[Waiver]:
    found = []
    for proposal in await releases.proposals_of(call.session, release):
        if proposal.act is Act.PROMOTE and proposal.state in (ProposalState.OPEN, ProposalState.EFFECTIVE):
            for row in proposal.criteria:
                if row.get("waived_by"):
                    person = await accounts.people.get(call.session, row["waived_by"])
                    found.append(Waiver(row["id"], person.name if person else "the operator", row["waiver"]))
    return found


async def _change(call: Call, proposal: Proposal) -> ChangeView:
    count = await releases.change_quorum(call.session, proposal, ladder=ladder(call))
    given = {approval.person_id for approval in await releases.approvals_of(call.session, proposal)}
    person = await accounts.people.get(call.session, proposal.proposed_by) if proposal.proposed_by else None
    me = call.principal.person_id
    title = _ASKED[proposal.act]
    if proposal.act is Act.DEMOTE:
        title = f"Put it back to {words.STAGES[proposal.target].label}"
    if proposal.until:
        title += f" until {instant_text(proposal.until)}"
    return ChangeView(
        id=proposal.id,
        title=title,
        by=person.name if person else "the operator",
        asked_at=proposal.proposed_at,
        reason=proposal.note,
        approvals_text=count.sentence,
        can_approve=me in count.eligible and me not in given,
        can_carry_out=count.is_reached,
    )


def _csv(found: Sequence[Holder]) -> str:
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(("person", "path", "sha256", "by git", "first", "last"))
    for holder in found:
        for path, digest in holder.files or (("", ""),):
            row = (
                holder.name,
                path,
                digest,
                holder.has_git,
                instant_text(holder.first_at),
                instant_text(holder.last_at),
            )
            # A spreadsheet must not take a path for a formula.
            table.writerow([f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@") else cell for cell in row])
    return written.getvalue()


def _url(call: Call, release: Release) -> str:
    return f"{repo_url(call.repo)}/releases/{release.commit_id}"


_ONE = "/{ns}/{name}/releases/{rev}"
_PROPOSAL = f"{_ONE}/proposals/{{id}}"

ROUTES = [
    *for_kinds(_ONE, show, needs=Action.KNOW),
    *for_kinds(f"{_ONE}/change", ask, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_ONE}/holders", holders, needs=Action.HOLD),
    *for_kinds(f"{_PROPOSAL}/agree", agree, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/carry-out", carry_out, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/close", close, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/waive", waive, needs=Action.PROMOTE, methods=("POST",)),
]
