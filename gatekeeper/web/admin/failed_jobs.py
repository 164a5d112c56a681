"""Work of the hub that was given up: tried again when its cause is gone, or left undone."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from gatekeeper import jobs, ledger
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms


async def try_again(call: Call) -> Response:
    """`POST /admin/jobs/retry`: every job of a kind."""
    return await _take_up(call, jobs.try_again, "jobs:failed:retry", "jobs-again")


async def dismiss(call: Call) -> Response:
    """`POST /admin/jobs/dismiss`: every job of a kind."""
    return await _take_up(call, jobs.dismiss, "jobs:failed:dismiss", "jobs-dismissed")


async def _take_up(
    call: Call, act: Callable[[AsyncSession, str], Awaitable[int]], event: str, done: str
) -> RedirectResponse:
    kind = forms.text(await forms.read(call.request), "kind")[:80]
    count = await act(call.session, kind)
    if not count:
        raise Conflict("No job of this kind is set aside any more.", next_step="Load the overview again.")
    by, body = call.principal, {"kind": kind, "count": count}
    await ledger.record(call.session, event, actor=by.person_id, token=by.token_id, body=body)
    return RedirectResponse(f"/admin?done={done}", 303)


ROUTES = [
    guarded("/admin/jobs/retry", try_again, needs=Action.ADMIN_HUB, methods=("POST",)),
    guarded("/admin/jobs/dismiss", dismiss, needs=Action.ADMIN_HUB, methods=("POST",), is_dangerous=True),
]
