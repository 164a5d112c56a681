"""What maintainers do with a release and with the changes that were asked for: ask, agree, carry out, close, waive."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, GatekeeperError, Invalid
from gatekeeper.kit.clock import instant_of
from gatekeeper.releases import Act, Release
from gatekeeper.web.admin.release import ONE, ask_change, ladder, page, proposal_of, release_of
from gatekeeper.web.admin.releases import list_page
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import repo_url


async def ask(call: Call) -> Response:
    """`POST .../releases/{rev}/change`: announce an embargo or deprecate; ask to lengthen or lift an embargo."""
    release = await release_of(call)
    sent = await forms.read(call.request)
    act = forms.text(sent, "act", most=20)
    try:
        async with call.session.begin_nested():
            is_done = await _ask(call, release, act, sent)
    except (Invalid, Conflict) as error:
        return await _refused(call, release, act, error, sent)
    return RedirectResponse(f"{_url(call, release)}?done={'change-made' if is_done else 'change-asked'}", 303)


async def agree(call: Call) -> Response:
    """`POST .../proposals/{id}/agree`: say yes to a change."""
    release, proposal = await release_of(call), await proposal_of(call)
    seen = forms.text(await forms.read(call.request), "seen", most=40) or None

    async def act() -> None:
        await releases.approve_proposal(call.session, proposal, by=call.principal, seen=seen)

    done = await _try(call, release, "", act)
    return done or RedirectResponse(f"{_url(call, release)}?done=proposal-approved", 303)


async def carry_out(call: Call) -> Response:
    """`POST .../proposals/{id}/carry-out`."""
    release, proposal = await release_of(call), await proposal_of(call)

    async def act() -> None:
        await releases.carry_out(call.session, proposal, by=call.principal, ladder=ladder(call))

    return await _try(call, release, "", act) or RedirectResponse(f"{_url(call, release)}?done=change-made", 303)


async def close(call: Call) -> Response:
    """`POST .../proposals/{id}/close`: take back one's own proposal, or refuse another's."""
    release, proposal = await release_of(call), await proposal_of(call)
    sent = await forms.read(call.request)
    reason = forms.text(sent, f"close-{proposal.id}", most=3000)

    async def act() -> None:
        await releases.close_proposal(call.session, proposal, by=call.principal, reason=reason)

    where, is_listed = f"close-{proposal.id}", proposal.act is Act.PROMOTE
    refused = await _try(call, release, where, act, sent, is_listed=is_listed)
    home = f"{repo_url(call.repo)}/releases" if is_listed else _url(call, release)
    return refused or RedirectResponse(f"{home}?done=proposal-closed", 303)


async def waive(call: Call) -> Response:
    """`POST .../proposals/{id}/waive`: let one criterion pass, publicly."""
    release, proposal = await release_of(call), await proposal_of(call)
    sent = await forms.read(call.request)
    criterion = forms.text(sent, "criterion", most=60)
    field = f"waive-{proposal.id}-{criterion}"
    reason = forms.text(sent, field, most=3000)
    try:
        async with call.session.begin_nested():
            await releases.waive(call.session, proposal, criterion, by=call.principal, reason=reason)
    except (Invalid, Conflict) as error:
        return await list_page(call, sent, errors={field: error.sentence}, status=422)
    # Back to the list, where the promotion goes on.
    return RedirectResponse(f"{repo_url(call.repo)}/releases?done=waived#r-{release.commit_id[:10]}", 303)


async def _ask(call: Call, release: Release, act: str, sent: FormData) -> bool:
    session, by = call.session, call.principal
    reason = forms.text(sent, f"reason-{act}", most=3000)
    until = _until(forms.text(sent, f"until-{act}", most=40)) if act in ("announce", "embargo") else None
    match act:
        case "deprecate":
            await releases.deprecate(session, release, by=by, reason=reason)
        case "announce" if release.embargoed_until is None:
            await releases.embargo(session, release, until, by=by, reason=reason)
        case Act.EMBARGO | Act.LIFT:
            return await ask_change(call, release, Act(act), reason=reason, until=until)
        case _:
            raise Invalid("Choose what is to be done.", next_step="Use one of the page's forms.")
    return True


def _until(text: str) -> datetime:
    """An instant of a `datetime-local` field, in UTC."""
    try:
        return instant_of(text)
    except (ValueError, OverflowError):
        raise Invalid("The instant must look like 2027-01-31T12:00.", next_step="Enter day and time in UTC.") from None


async def _try(
    call: Call,
    release: Release,
    field: str,
    act: Callable[[], Awaitable[None]],
    sent: FormData | None = None,
    *,
    is_listed: bool = False,
) -> Response | None:
    """Do it, or show the page again with what was wrong and what was typed: the list where the form stands there."""
    try:
        async with call.session.begin_nested():
            await act()
    except (Invalid, Conflict) as error:
        if is_listed:
            where = field if isinstance(error, Invalid) else ""  # a form whose proposal is over stands there no more
            return await list_page(call, sent, errors={where: error.sentence}, status=422)
        return await _refused(call, release, field, error, sent)
    return None


async def _refused(call: Call, release: Release, field: str, error: GatekeeperError, sent: FormData | None) -> Response:
    errors = {_field_of(field, error): error.sentence}
    return await page(call, release, typed=dict(sent or {}), errors=errors, status=422)


def _field_of(field: str, error: GatekeeperError) -> str:
    if "instant" in error.message or "embargo" in error.message.lower():
        return f"until-{field}"
    return f"reason-{field}" if field in {*Act, "announce", "deprecate"} else field


def _url(call: Call, release: Release) -> str:
    return f"{repo_url(call.repo)}/releases/{release.commit_id}"


_PROPOSAL = f"{ONE}/proposals/{{id}}"

ROUTES = [
    *for_kinds(f"{ONE}/change", ask, needs=Action.HOLD, methods=("POST",), is_dangerous=True),
    *for_kinds(f"{_PROPOSAL}/agree", agree, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/carry-out", carry_out, needs=Action.HOLD, methods=("POST",), is_dangerous=True),
    *for_kinds(f"{_PROPOSAL}/close", close, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{_PROPOSAL}/waive", waive, needs=Action.PROMOTE, methods=("POST",), is_dangerous=True),
]
