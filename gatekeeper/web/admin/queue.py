"""The review queue: requests that one may decide on, chosen by state, queue, repository and age; many at once."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.responses import Response

from gatekeeper import access, accounts
from gatekeeper.access import AccessRequest, AnswerTemplate, RequestState
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.admin import reasons
from gatekeeper.web.admin.choosing import AGES, QUEUE, STATE_NAMES, WAITING, Choice, choice_of, chosen, just_decided
from gatekeeper.web.admin.scope import decided_rows, names_of, reviewable, runs_hub
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_OPEN = tuple(state for state in access.OPEN if state is not RequestState.DRAFT)


@dataclass(frozen=True)
class Typed:
    """What was ticked and typed for many at once, kept when it is refused."""

    chosen: frozenset[str] = frozenset()
    decision: str = "approve"
    reason: str = ""
    code: str = ""
    answer: str = ""
    reapply_on: str = ""
    errors: dict[str, str] = field(default_factory=dict)


async def queue(call: Call) -> Response:
    """`GET /admin/requests`: waiting ones, who waits longest first; `?state=decided` and other choices."""
    return await _page(call, choice_of(call), Typed())


async def decide(call: Call) -> Response:
    """`POST /admin/requests/decide`: one decision on every ticked request, each by itself, with its outcome."""
    sent = await forms.read(call.request)
    ticked = [value.partition(".") for value in forms.texts(sent, "request")]
    typed = Typed(
        frozenset(request_id for request_id, _, _ in ticked),
        forms.text(sent, "decision", most=20),
        forms.text(sent, "reason"),
        forms.text(sent, reasons.code_field("reject"), most=60),
        forms.text(sent, "answer", most=26),
        forms.text(sent, "reapply_on", most=20),
    )
    choice = choice_of(call)
    seen = {request_id: version for request_id, _, version in ticked}
    requests, repos = [], {}
    for request_id in seen:
        request, repos[request_id] = await reviewable(call, request_id)
        requests.append(request)
    try:
        verb = await _decision(call, typed, sent, repos)
    except reasons.Wrong as wrong:
        return await _refused(call, choice, typed, {wrong.field: wrong.sentence})

    async def carry_out(request: AccessRequest) -> None:
        if str(request.version) != seen[request.id]:
            raise Conflict("It has changed since you looked.", next_step="Open it and decide by itself.")
        await verb(request)

    try:
        outcomes = await access.decide_many(call.session, requests, carry_out)
    except Invalid as error:
        return await _refused(call, choice, typed, {"": error.sentence})
    fresh = {request_id: await access.get(call.session, request_id) for request_id in seen}
    names = await names_of(call, [request.person_id for request in fresh.values()])
    return render(
        call,
        "admin/outcomes.html",
        sees_all=runs_hub(call),
        here=choice.query,
        back=f"{QUEUE}?{choice.query}",
        carried_out=sum(not outcome.problem for outcome in outcomes),
        outcomes=[
            {
                "id": outcome.id,
                "version": fresh[outcome.id].version,
                "can_undo": not outcome.problem
                and access.undo_until(fresh[outcome.id], call.principal, at=now()) is not None,
                "person": names.get(fresh[outcome.id].person_id, ""),
                "full_name": repos[outcome.id].full_name,
                "facts": words.REQUEST_STATES[fresh[outcome.id].state],
                "problem": outcome.problem,
            }
            for outcome in outcomes
        ],
    )


async def _decision(
    call: Call, typed: Typed, sent: FormData, repos: Mapping[str, Repo]
) -> Callable[[AccessRequest], Awaitable[object]]:
    """The verb that is carried out on each request, whose repositories are `repos` by its id. Raises Wrong."""
    session, by = call.session, call.principal
    rules = request_rules(call)
    match typed.decision:
        case "approve":
            return lambda request: access.approve(
                session, request, by=by, ends_at=access.proposed_end(request, now()), rules=rules
            )
        case "reject":
            answer = await _answer(call, typed.answer, repos.values())
            reasons.read(call, sent, "reject", "reason", answer=answer.text if answer else "")
            reapply_at = reasons.reapply_at(sent)

            async def reject(request: AccessRequest) -> None:
                text, repo = "", repos[request.id]
                if answer is not None:
                    if not access.is_for(answer, repo):
                        raise Conflict("The answer is another repository’s.", next_step="Open it and decide by itself.")
                    person = await accounts.people.get(session, request.person_id)
                    assert person is not None  # the request refers to them
                    text = reasons.filled(call, answer, person, repo)
                reason, code = reasons.read(call, sent, "reject", "reason", answer=text)
                await access.reject(session, request, by=by, reason=reason, reason_code=code, reapply_at=reapply_at)

            return reject
        case "claim":
            return lambda request: access.claim(session, request, by=by)
        case "undo":
            return lambda request: access.undo(session, request, by=by)
    raise reasons.Wrong("decision", "Choose what to do.")


async def _answer(call: Call, chosen: str, repos: Iterable[Repo]) -> AnswerTemplate | None:
    """The ready-made answer that was chosen, of those offered for the repositories. Raises Wrong."""
    if not chosen:
        return None
    offered = await _answers(call, repos)
    if chosen not in offered:
        raise reasons.Wrong("answer", "This answer is offered no longer. Choose another one, or none.")
    return offered[chosen]


async def _answers(call: Call, repos: Iterable[Repo]) -> dict[str, AnswerTemplate]:
    """Ready-made answers for a rejection, by their ids."""
    own = {repo.id: repo for repo in repos}
    templates = await access.templates_for(call.session, own.values())
    return {each.id: each for each in templates if each.act == "reject"}


async def _refused(call: Call, choice: Choice, typed: Typed, errors: dict[str, str]) -> Response:
    return await _page(call, choice, replace(typed, errors=errors), status=422)


async def _page(call: Call, choice: Choice, typed: Typed, *, status: int = 200) -> Response:
    rules, query = request_rules(call), call.request.query_params
    page = await chosen(call, choice, after=query.get("after"))
    rows = await decided_rows(call, page.rows)
    names = await names_of(call, [row.request.claimed_by for row in rows if row.request.claimed_by])
    can_decide = choice.state == WAITING and bool(rows)
    answers = (await _answers(call, [row.repo for row in rows])).values() if can_decide else ()
    return render(
        call,
        "admin/requests.html",
        status=status,
        sees_all=runs_hub(call),
        choice=choice,
        states=STATE_NAMES,
        queues=[("", "Every queue"), *((known.name, known.title) for known in rules.queues)],
        ages=list(AGES.items()),
        requests=[_row(row, rules, names, typed, is_all=query.get("tick") == "all") for row in rows],
        tick_all=f"{QUEUE}?{urlencode(choice.sent | {'after': query.get('after', ''), 'tick': 'all'})}",
        can_decide=can_decide,
        answers=[(each.id, each.title) for each in answers],
        answer_texts=[(each.title, each.text) for each in answers],
        typed=typed,
        kinds=reasons.kinds_of(call, "reject"),
        here=choice.query,
        last=await just_decided(call),
        more=f"{QUEUE}?{urlencode(choice.sent | {'after': page.after})}" if page.after else None,
    )


def _row(row: access.Row, rules: access.Rules, names: dict[str, str], typed: Typed, *, is_all: bool) -> dict[str, Any]:
    request = row.request
    waits = request.state in _OPEN
    return {
        "id": request.id,
        "version": request.version,
        "is_ticked": is_all or request.id in typed.chosen,
        "person": row.person.name,
        "fullname": row.person.fullname,
        "full_name": row.repo.full_name,
        "submitted_at": request.submitted_at,
        "facts": words.REQUEST_STATES[request.state],
        "age": access.age(request, rules, now()) if waits else None,
        "queue": next((known.title for known in rules.queues if known.name == request.queue), rules.queues[0].title),
        "claimed_by": names.get(request.claimed_by or "", ""),
        "is_flagged": request.is_flagged,
    }


ROUTES = [
    guarded(QUEUE, queue, needs=Action.USE_ACCOUNT),
    guarded(f"{QUEUE}/decide", decide, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
