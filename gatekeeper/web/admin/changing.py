"""What maintainers do with a release and with the changes that were asked for: ask, agree, carry out, close, waive."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, GatekeeperError, Invalid
from gatekeeper.kit.clock import instant_of
from gatekeeper.releases import Act, Release, Stage
from gatekeeper.web.admin.release import ONE, ladder, page, proposal_of, release_of
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import repo_url


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
        return instant_of(text)
    except (ValueError, OverflowError):
        raise Invalid("The instant must look like 2027-01-31T12:00.", next_step="Enter day and time in UTC.") from None


async def _try(call: Call, release: Release, field: str, act: Callable[[], Awaitable[None]]) -> Response | None:
    """Do it, or show the page again with what was wrong."""
    try:
        async with call.session.begin_nested():
            await act()
    except (Invalid, Conflict) as error:
        return await page(call, release, errors={_field_of(field, error): error.sentence}, status=422)
    return None


def _field_of(field: str, error: GatekeeperError) -> str:
    if "instant" in error.message or "embargo" in error.message.lower():
        return f"until-{field}"
    return f"reason-{field}" if field in {*Act, "announce", "deprecate"} else field


def _url(call: Call, release: Release) -> str:
    return f"{repo_url(call.repo)}/releases/{release.commit_id}"


_PROPOSAL = f"{ONE}/proposals/{{id}}"

ROUTES = [
    *for_kinds(f"{ONE}/change", ask, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/agree", agree, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/carry-out", carry_out, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/close", close, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/waive", waive, needs=Action.PROMOTE, methods=("POST",)),
]
