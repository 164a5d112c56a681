"""What an applicant does about a request beside asking: take it back, correct it, appeal, agree, tell what became."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from gatekeeper import access
from gatekeeper.access import AccessRequest, RequestState, Standing
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.access_page import Filled, case_of, page_of
from gatekeeper.web.portal.views import repo_url


async def take_back(call: Call) -> Response:
    """`POST /{ns}/{name}/access/withdraw`: take the open request back, or give the access up (`what` says which)."""
    sent = await forms.read(call.request)
    stands = await _stands(call)
    request = stands.request
    held = stands.grant
    if held is None and request is not None and request.state is RequestState.SUSPENDED:
        held = await access.open_grant_of(call.session, request)
    if held is not None and forms.text(sent, "what", most=20) != "request":
        await access.close(call.session, held, by=call.principal)
        return RedirectResponse("/requests?done=given-up", 303)
    if request is None or request.state not in access.OPEN:
        raise Conflict("You have neither access nor an open request here.", next_step="See your requests.")
    await access.withdraw(call.session, request, by=call.principal)
    return RedirectResponse("/requests?done=withdrawn", 303)


async def correct(call: Call) -> Response:
    """`POST /{ns}/{name}/access/correct`: take a request that waits back into one's hands, to change the answers."""
    await access.correct(call.session, await _own(call), by=call.principal)
    return RedirectResponse(f"{repo_url(call.repo)}/access?done=corrected", 303)


async def appeal(call: Call) -> Response:
    """`POST /{ns}/{name}/access/appeal`: ask that somebody else look at a decision again."""

    async def carry_out(request: AccessRequest, sent: FormData) -> None:
        text = forms.text(sent, "appeal")
        await access.appeal(call.session, request, by=call.principal, text=text, rules=request_rules(call))

    return await _with_form(call, "appeal", carry_out, done="appealed")


async def confirm(call: Call) -> Response:
    """`POST /{ns}/{name}/access/confirm`: agree to the conditions of an approval, named by digest."""

    async def carry_out(request: AccessRequest, sent: FormData) -> None:
        digest = forms.text(sent, "confirm", most=80)
        if not digest:
            raise Invalid("The conditions were not agreed to.", next_step="Tick the box to agree.")
        await access.confirm(call.session, request, by=call.principal, conditions_sha256=digest)

    return await _with_form(call, "confirm", carry_out, done="confirmed")


async def close_out(call: Call) -> Response:
    """`POST /{ns}/{name}/access/close-out`: say what became of one's copies after access ended."""

    async def carry_out(request: AccessRequest, sent: FormData) -> None:
        answer, comment = forms.text(sent, "close_out", most=40), forms.text(sent, "close_out_comment")
        await access.close_out(call.session, request, by=call.principal, answer=answer, comment=comment)

    return await _with_form(call, "close_out", carry_out, done="closed-out")


async def _with_form(
    call: Call, field: str, carry_out: Callable[[AccessRequest, FormData], Awaitable[None]], *, done: str
) -> Response:
    """Carry an act out; refused for what was typed, the page comes again with it."""
    sent = await forms.read(call.request)
    request = await _own(call)
    try:
        async with call.session.begin_nested():
            await carry_out(request, sent)
    except Invalid as error:
        typed = {name: forms.text(sent, name) for name in sent}
        filled = Filled(errors={field: error.sentence}, typed=typed)
        return await page_of(call, await case_of(call), filled, status=422)
    return RedirectResponse(f"{repo_url(call.repo)}/access?done={done}", 303)


async def _stands(call: Call) -> Standing:
    return await access.standing(call.session, call.principal.person_id, call.repo.id, now())


async def _own(call: Call) -> AccessRequest:
    request = (await _stands(call)).request
    if request is None:
        raise Conflict("You have not asked for access here.", next_step="Ask first.")
    return request


ROUTES = [
    *for_kinds("/{ns}/{name}/access/withdraw", take_back, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    *for_kinds("/{ns}/{name}/access/correct", correct, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    *for_kinds("/{ns}/{name}/access/appeal", appeal, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    *for_kinds("/{ns}/{name}/access/confirm", confirm, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    *for_kinds("/{ns}/{name}/access/close-out", close_out, needs=Action.ACCEPT_TERMS, methods=("POST",)),
]
