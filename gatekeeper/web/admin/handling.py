"""What a reviewer does with a request: one address for each act of the machine, and one way to carry them out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from gatekeeper import access, accounts
from gatekeeper.access import AccessRequest, RequestState
from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.web.admin import reasons
from gatekeeper.web.admin.choosing import QUEUE, address_after, choice_of
from gatekeeper.web.admin.reasons import Wrong
from gatekeeper.web.admin.review import TAKING, Case, Typed, case_of, page, refuse_stale
from gatekeeper.web.admin.scope import missing
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, Endpoint, guarded
from gatekeeper.web.portal import forms

_MOST_CHARS = 10_000
_LEAVING = frozenset({"approve", "reject", "return", "refer", "delegate"})
_DONE = {
    RequestState.ACTIVE: "approved",
    RequestState.AWAITING_TERMS: "approved-waits",
    RequestState.IN_REVIEW: "approval-counted",
}


@dataclass(frozen=True)
class _Act:
    """An act's verb, and the field beside which its refusal is shown; it returns the key of a confirmation."""

    verb: Callable[[Call, AccessRequest, FormData], Awaitable[str]]
    field: str = ""


async def _approve(call: Call, request: AccessRequest, sent: FormData) -> str:
    try:
        ends_at = forms.last_instant(forms.text(sent, "ends_on", most=20))
    except ValueError as error:
        raise Wrong("ends_on", str(error)) from None
    conditions = forms.text(sent, "conditions")
    if len(conditions.strip()) > 2_000:
        raise Wrong("conditions", "At most 2,000 characters are kept. Shorten it.")
    await access.approve(
        call.session,
        request,
        by=call.principal,
        ends_at=ends_at,
        is_tester="is_tester" in sent,
        conditions=conditions,
        rules=request_rules(call),
    )
    return _DONE[(await access.get(call.session, request.id)).state]


async def _reject(call: Call, request: AccessRequest, sent: FormData) -> str:
    reapply_at = reasons.reapply_at(sent)
    reason, code = reasons.read(call, sent, "reject", "reason")
    await access.reject(
        call.session, request, by=call.principal, reason=reason, reason_code=code, reapply_at=reapply_at
    )
    return "rejected"


async def _return(call: Call, request: AccessRequest, sent: FormData) -> str:
    comment, _ = reasons.read(call, sent, "return", "comment")
    marked = tuple(dict.fromkeys(forms.texts(sent, "marked")))
    await access.give_back(call.session, request, by=call.principal, comment=comment, marked=marked)
    return "request-changed"


async def _refer(call: Call, request: AccessRequest, sent: FormData) -> str:
    to = await _person(call, sent, "referee")
    await access.refer(call.session, request, to, by=call.principal, comment=forms.text(sent, "question"))
    return "request-changed"


async def _answer(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.answer(
        call.session,
        request,
        by=call.principal,
        opinion=forms.text(sent, "opinion"),
        has_conflict="has_conflict" in sent,
    )
    return "opinion-given"


async def _vote(call: Call, request: AccessRequest, sent: FormData) -> str:
    value, comment = forms.text(sent, "vote", most=10), forms.text(sent, "vote_comment")
    await access.vote(call.session, request, by=call.principal, value=value, comment=comment)
    return "request-changed"


async def _route(call: Call, request: AccessRequest, sent: FormData) -> str:
    name = forms.text(sent, "queue", most=60)
    await access.route(call.session, request, name, by=call.principal, rules=request_rules(call))
    return "request-changed"


async def _delegate(call: Call, request: AccessRequest, sent: FormData) -> str:
    to = await _person(call, sent, "delegate")
    await access.delegate(call.session, request, to, by=call.principal, comment=forms.text(sent, "delegate_comment"))
    return "request-changed"


async def _suspend(call: Call, request: AccessRequest, sent: FormData) -> str:
    reason, code = reasons.read(call, sent, "suspend", "suspend_reason")
    await access.suspend(call.session, request, by=call.principal, reason=reason, reason_code=code)
    return "request-changed"


async def _revoke(call: Call, request: AccessRequest, sent: FormData) -> str:
    reason, code = reasons.read(call, sent, "revoke", "revoke_reason")
    grant = await _grant(call, request)
    await access.revoke(call.session, grant, by=call.principal, reason=reason, reason_code=code)
    return "revoked"


async def _add_terms(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.add_terms(call.session, request, by=call.principal, conditions=forms.text(sent, "new_conditions"))
    return "request-changed"


async def _cancel(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.cancel(call.session, request, by=call.principal)
    return "request-changed"


async def _undo(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.undo(call.session, request, by=call.principal)
    return "undone"


async def _resume(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.resume(call.session, request, by=call.principal)
    return "request-changed"


async def _claim(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.claim(call.session, request, by=call.principal)
    return "request-changed"


async def _unclaim(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.unclaim(call.session, request, by=call.principal)
    return "request-changed"


async def _recall(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.recall(call.session, request, by=call.principal)
    return "request-changed"


async def _close(call: Call, request: AccessRequest, sent: FormData) -> str:
    await access.close(call.session, await _grant(call, request), by=call.principal)
    return "request-changed"


ACTS = {
    "approve": _Act(_approve, "ends_on"),
    "reject": _Act(_reject, "reason"),
    "cancel": _Act(_cancel),
    "undo": _Act(_undo),
    "claim": _Act(_claim),
    "unclaim": _Act(_unclaim),
    "route": _Act(_route, "queue"),
    "return": _Act(_return, "comment"),
    "refer": _Act(_refer, "question"),
    "recall": _Act(_recall),
    "answer": _Act(_answer, "opinion"),
    "vote": _Act(_vote, "vote_comment"),
    "delegate": _Act(_delegate, "delegate_comment"),
    "suspend": _Act(_suspend, "suspend_reason"),
    "resume": _Act(_resume),
    "revoke": _Act(_revoke, "revoke_reason"),
    "close": _Act(_close),
    "add-terms": _Act(_add_terms, "new_conditions"),
}


def endpoint_of(name: str, act: _Act) -> Endpoint:
    """`POST /admin/requests/{id}/<act>`: carried out, or the page again with what is wrong and what was typed."""

    async def carry_out(call: Call) -> Response:
        case = await case_of(call)
        if not case.is_reviewer and name != "answer":
            raise missing()
        sent = await forms.read(call.request)
        refuse_stale(case.request, forms.text(sent, "version", most=20))
        try:
            async with call.session.begin_nested():
                done = await act.verb(call, case.request, sent)
        except Wrong as error:
            wrong, status = {error.field: error.sentence}, 422
        except (Invalid, Conflict, NotAllowed) as error:
            wrong, status = {act.field: error.sentence}, 422 if isinstance(error, Invalid) else error.status
        else:
            return RedirectResponse(await _next(call, case, name, done), 303)
        values = {key: forms.text(sent, key, most=_MOST_CHARS) for key in sent if key != "version"}
        return await page(call, case, Typed(values, frozenset(forms.texts(sent, "marked")), wrong), status=status)

    carry_out.__name__ = name.replace("-", "_")
    carry_out.__doc__ = f"`POST /admin/requests/{{id}}/{name}`."
    return carry_out


async def _next(call: Call, case: Case, act: str, done: str) -> str:
    """The next in the queue once this one waits no longer, else the request itself."""
    if not case.is_reviewer:
        return f"/requests?done={done}"
    fresh = await access.get(call.session, case.request.id)
    if act in _LEAVING and fresh.state is not RequestState.IN_REVIEW:
        return await address_after(call, fresh.id, done)
    return f"{QUEUE}/{fresh.id}?{urlencode(choice_of(call).sent | {'done': done})}"


async def _person(call: Call, sent: FormData, field: str) -> Person:
    found = await accounts.people.find(call.session, forms.text(sent, field, most=60).strip())
    if found is None:
        raise Wrong(field, "There is nobody with this name.")
    return found


async def _grant(call: Call, request: AccessRequest) -> access.AccessGrant:
    grant = await access.open_grant_of(call.session, request)
    if grant is None or (grant.ends_at is not None and grant.ends_at <= now()):
        raise Conflict("There is no access left that could be ended.", next_step="Reload the request.")
    return grant


ROUTES = [
    guarded(
        f"/admin/requests/{{id}}/{name}",
        endpoint_of(name, act),
        needs=Action.MANAGE_ACCOUNT,
        methods=("POST",),
        is_dangerous=name in TAKING,
    )
    for name, act in ACTS.items()
]
