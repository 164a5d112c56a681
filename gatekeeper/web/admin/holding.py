"""Holding a release: the page that says what it will do before it does it, the one button, and lifting the hold."""

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.releases import Release
from gatekeeper.web.admin import effects
from gatekeeper.web.admin.release import ONE, release_of
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see


async def confirm_hold(call: Call) -> Response:
    """`GET .../releases/{rev}/hold`: says what it will do before it does it."""
    return await _page(call, await release_of(call))


async def hold(call: Call) -> Response:
    """`POST .../releases/{rev}/hold`."""
    release = await release_of(call)
    sent = await forms.read(call.request)
    reason = forms.text(sent, "reason")
    try:
        async with call.session.begin_nested():
            await releases.hold(call.session, release, by=call.principal, reason=reason)
    except Invalid as error:
        return await _page(call, release, reason=reason, errors={"reason": error.sentence}, status=422)
    return _back(call, "held")


async def resume(call: Call) -> Response:
    """`POST .../releases/{rev}/resume`."""
    await releases.resume(call.session, await release_of(call), by=call.principal)
    return _back(call, "resumed")


async def _page(
    call: Call, release: Release, *, reason: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    seen = await see(call, call.repo, call.resource)
    return render(
        call,
        "admin/hold.html",
        status=status,
        head=seen.head,
        commit=release.commit_id,
        effects=await effects.of_hold(call, call.repo, release),
        form={"reason": reason},
        errors=errors or {},
    )


def _back(call: Call, done: str) -> Response:
    return RedirectResponse(f"{repo_url(call.repo)}/releases?done={done}", 303)


ROUTES = [
    *for_kinds(f"{ONE}/hold", confirm_hold, needs=Action.HOLD),
    *for_kinds(f"{ONE}/hold", hold, needs=Action.HOLD, methods=("POST",)),
    *for_kinds(f"{ONE}/resume", resume, needs=Action.HOLD, methods=("POST",), is_dangerous=True),
]
