"""Putting a release back to a lower stage, and withdrawing it for good: pages that say what it leads to, then the act.

Both are asked for, and carried out at once where nobody else has to agree; the page says which.
"""

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.releases import Act, Release, Stage
from gatekeeper.web import words
from gatekeeper.web.admin import effects
from gatekeeper.web.admin.release import ONE, ask_change, ladder, release_of, stages_below
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see


async def confirm_demotion(call: Call) -> Response:
    """`GET .../releases/{rev}/demote`: says what it will do before it does it."""
    return await _page(call, await release_of(call), Act.DEMOTE)


async def confirm_withdrawal(call: Call) -> Response:
    """`GET .../releases/{rev}/withdraw`: says what it will do before it does it."""
    return await _page(call, await release_of(call), Act.WITHDRAW)


async def demote_release(call: Call) -> Response:
    """`POST .../releases/{rev}/demote`: put it back, or ask for that where others have to agree."""
    return await _ask(call, Act.DEMOTE)


async def withdraw_release(call: Call) -> Response:
    """`POST .../releases/{rev}/withdraw`: withdraw it, or ask for that where others have to agree."""
    return await _ask(call, Act.WITHDRAW)


async def _ask(call: Call, act: Act) -> Response:
    release, sent = await release_of(call), await forms.read(call.request)
    target = forms.text(sent, "target", most=40)
    try:
        async with call.session.begin_nested():
            is_done = await ask_change(
                call,
                release,
                act,
                reason=forms.text(sent, "reason", most=3000),
                target=Stage(target) if act is Act.DEMOTE and target in set(Stage) else None,
            )
    except (Invalid, Conflict) as error:
        field = "target" if "below" in error.message else "reason"
        return await _page(call, release, act, sent, errors={field: error.sentence}, status=422)
    done = "change-made" if is_done else "change-asked"
    return RedirectResponse(f"{repo_url(call.repo)}/releases/{release.commit_id}?done={done}", 303)


async def _page(
    call: Call,
    release: Release,
    act: Act,
    sent: FormData | None = None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    seen = await see(call, call.repo, call.resource)
    below = await stages_below(call, release)
    if act is Act.DEMOTE and not below:
        raise Conflict("It stands at the lowest stage.", next_step="Hold it, or withdraw it for good.")
    return render(
        call,
        "admin/take_back.html",
        status=status,
        head=seen.head,
        commit=release.commit_id,
        is_demotion=act is Act.DEMOTE,
        lower=[(stage.value, words.STAGES[stage].label) for stage in below],
        effects=await effects.of_change(call, call.repo, release, act, below),
        waits=await releases.waits_for_others(call.session, release, by=call.principal, ladder=ladder(call)),
        typed=dict(sent or {}),
        errors=errors or {},
    )


ROUTES = [
    *for_kinds(f"{ONE}/demote", confirm_demotion, needs=Action.HOLD, is_dangerous=True),
    *for_kinds(f"{ONE}/demote", demote_release, needs=Action.HOLD, methods=("POST",), is_dangerous=True),
    *for_kinds(f"{ONE}/withdraw", confirm_withdrawal, needs=Action.HOLD, is_dangerous=True),
    *for_kinds(f"{ONE}/withdraw", withdraw_release, needs=Action.HOLD, methods=("POST",), is_dangerous=True),
]
