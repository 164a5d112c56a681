"""A request for review: who asks for what, their answers, what happened so far, and what a reviewer can do now."""

from dataclasses import dataclass, field
from typing import Any

from starlette.responses import HTMLResponse, Response

from gatekeeper import access, accounts, licensing
from gatekeeper.access import AccessRequest, RequestState
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict
from gatekeeper.kit.clock import now
from gatekeeper.licensing import COUNTRIES
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.admin import reasons
from gatekeeper.web.admin.applicant import applicant_of
from gatekeeper.web.admin.choosing import QUEUE, choice_of, just_decided, next_in_queue
from gatekeeper.web.admin.scope import found, may_review, missing, names_of, runs_hub
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, repo_url

_WITH_FORMS = frozenset(
    {
        "claim", "unclaim", "recall", "resume", "return", "refer", "vote", "route", "delegate", "cancel", "undo",
        "add-terms", "suspend", "revoke", "close",
    }
)  # fmt: skip
_STARTS = {"approve": "conditions", "reject": "reason", "return": "comment"}  # the field that an answer begins
TAKING = frozenset({"revoke", "close", "cancel", "add-terms"})  # access that is there ends by them, or waits
_DECIDING = frozenset({"approve", "reject", "cancel", "add-terms"})


@dataclass(frozen=True)
class Typed:
    """What was typed into the page's forms, kept when it is refused, and what is wrong with it."""

    values: dict[str, str] = field(default_factory=dict)
    marked: frozenset[str] = frozenset()
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A request before somebody who may act on it: a reviewer, or only the person asked for an opinion."""

    request: AccessRequest
    repo: Repo
    is_reviewer: bool
    is_barred: bool = False  # they decided what was appealed against
    newer: AccessRequest | None = None  # what the applicant asked for since


async def show(call: Call) -> Response:
    """`GET /admin/requests/{id}`."""
    return await page(call, await case_of(call), Typed())


async def case_of(call: Call) -> Case:
    """The request that the path names. For who is neither a reviewer nor asked for an opinion it does not exist."""
    request, repo = await found(call, call.params["id"])
    is_reviewer = await may_review(call, repo)
    is_asked = request.state is RequestState.REFERRED and request.referred_to == call.principal.person_id
    if not is_reviewer and not is_asked:
        raise missing()
    is_barred = call.principal.person_id in await access.barred(call.session, request)
    latest = await access.latest_requests(call.session, request.person_id, [repo.id], with_drafts=False)
    return Case(request, repo, is_reviewer, is_barred, None if latest[repo.id] is request else latest[repo.id])


def refuse_stale(request: AccessRequest, version: str) -> None:
    """Raise Conflict for a page that shows the request as it was before somebody else acted."""
    if version != str(request.version):
        raise Conflict(
            "This request has changed since you opened it.", next_step="Open it again and look at what happened."
        )


async def page(call: Call, case: Case, typed: Typed, *, status: int = 200) -> HTMLResponse:
    """The page, as much of it as the caller may read."""
    session, request, repo = call.session, case.request, case.repo
    rules, instant, choice = request_rules(call), now(), choice_of(call)
    person = await accounts.people.get(session, request.person_id)
    assert person is not None  # the request refers to them
    acts = acts_for(call, case)
    proposed = access.proposed_end(request, instant)
    templates = await access.templates_for(session, [repo]) if case.is_reviewer else []
    values = {"ends_on": proposed.date().isoformat() if proposed else ""} | _started(call, case, person, templates)
    values |= typed.values
    names = await names_of(call, [request.decided_by, request.claimed_by, request.referred_to])
    grant = await access.open_grant_of(session, request)
    steps = await access.history(session, request, is_whole=True)
    accepted = await _accepted(call, request, repo)
    asked_by = next((told for told in reversed(steps) if told.step.act == "refer"), None)
    return render(
        call,
        "admin/request.html" if case.is_reviewer else "admin/opinion.html",
        sees_all=runs_hub(call),
        status=status,
        id=request.id,
        version=request.version,
        person=person,
        full_name=repo.full_name,
        facts=words.REQUEST_STATES[request.state],
        is_active=request.state is RequestState.ACTIVE,
        is_flagged=request.is_flagged,
        answers=[(name, _answer(value)) for name, value in request.fields.items()],
        submitted_at=request.submitted_at,
        age=access.age(request, rules, instant) if request.state in access.OPEN else None,
        queue=request.queue,
        queues=[(known.name, known.title) for known in rules.queues],
        templates={act: [(each.id, each.title) for each in templates if each.act == act] for act in access.ANSWER_USES},
        answers_url=f"{repo_url(repo)}/answers",
        reasons={act: reasons.kinds_of(call, act) for act in ("reject", "return", "suspend", "revoke")},
        claimed_by=names.get(request.claimed_by or "", ""),
        referred_to=names.get(request.referred_to or "", ""),
        is_asked=request.referred_to == call.principal.person_id,
        question=asked_by.step.note if asked_by else "",
        conditions=request.conditions,
        conditions_accepted_at=request.conditions_accepted_at,
        lacking=await access.lacking(session, person.id, repo, request.required, at=instant),
        close_out=words.CLOSE_OUTS.get(request.close_out or "", ""),
        needed=request.approvals_needed,
        given=len(await access.approvals(session, request)),
        voices=[
            (name, "Approved" if voice.kind == "approval" else words.VOTES[voice.value], voice.note, voice.at)
            for voice, name in await access.voices(session, request)
        ],
        steps=[_step(told) for told in steps],
        here=choice.query,
        following=await next_in_queue(call, choice, request.id) if case.is_reviewer else None,
        last=await just_decided(call) if case.is_reviewer else None,
        applicant=await applicant_of(call, request) if case.is_reviewer else None,
        accepted_at=accepted.accepted_at if accepted else None,
        on_behalf_of=(licensing.claim_of(accepted) or {}).get("institution", "") if accepted else "",
        decided_at=request.decided_at,
        decided_by=names.get(request.decided_by or "", ""),
        reason=request.reason,
        ends_at=grant.ends_at if grant else None,
        acts=acts,
        takes_access=bool(acts & TAKING),
        has_more=bool(acts & _WITH_FORMS),
        why_not=_why_not(call, case),
        typed=values,
        marked=typed.marked,
        errors=typed.errors,
    )


def acts_for(call: Call, case: Case) -> frozenset[str]:
    """Names of the acts that the state allows and that are not closed to this person from the start."""
    request, me = case.request, call.principal.person_id
    possible = {act.name for act in access.ACTS if request.state in act.sources}
    if not case.is_reviewer:
        return frozenset(possible & {"answer"})
    if request.person_id == me:
        return frozenset()
    if case.is_barred:
        possible -= _DECIDING
    if access.undo_until(request, call.principal, at=now()) is None:
        possible -= {"undo"}
    if request.referred_to != me:
        possible -= {"answer"}
    if request.approvals_needed > 1 and request.state is not RequestState.IN_REVIEW:
        possible -= {"approve"}  # several people cannot turn it around at once: it goes back to review first
    if request.state is RequestState.AWAITING_TERMS:
        possible -= {"revoke"}  # there is no access yet: the approval is taken back
    if case.newer is not None:
        possible -= {"cancel"} if request.state is RequestState.IN_REVIEW else {"cancel", "approve"}
        possible -= {"add-terms"} if case.newer.state in access.OPEN else set()
    possible -= {"claim"} if request.claimed_by else {"unclaim"}
    return frozenset(possible)


def _started(call: Call, case: Case, person: accounts.Person, templates: list[access.AnswerTemplate]) -> dict[str, str]:
    """The words of the answer that `?template=` names, beside what they are for; none for an answer of elsewhere."""
    chosen = next((each for each in templates if each.id == call.request.query_params.get("template")), None)
    if chosen is None:
        return {}
    return {_STARTS[chosen.act]: reasons.filled(call, chosen, person, case.repo)}


def _why_not(call: Call, case: Case) -> str:
    if case.request.person_id == call.principal.person_id:
        return "This is your own request: another maintainer decides."
    if case.is_barred:
        return "This is an appeal against your own decision: another maintainer decides."
    return ""


def _step(told: access.Told) -> dict[str, Any]:
    step = told.step
    said = words.REQUEST_ACTS.get(step.act, step.act)
    if step.act == "vote":
        said = f"{said}: {words.VOTES.get(step.data.get('value', ''), '')}"
    if step.act == "answer" and step.data.get("has_conflict"):
        said = f"{said}: not impartial"
    before = step.data.get("before")
    return {
        "text": said,
        "who": told.who,
        "at": step.at,
        "note": step.note or step.data.get("comment") or step.data.get("conditions") or "",
        "marked": step.data.get("marked", []),
        "before": [(name, _answer(value)) for name, value in before.items()] if isinstance(before, dict) else [],
    }


async def _accepted(call: Call, request: AccessRequest, repo: Repo) -> Acceptance | None:
    if request.bundle_sha256 is None:
        return None
    terms = await licensing.stored(call.session, request.bundle_sha256, repo_id=repo.id)
    return await licensing.current_acceptance(call.session, request.person_id, terms, repo=repo)


def _answer(value: Any) -> str:
    match value:
        case True:
            return "Yes"
        case False | None:
            return "No"
        case list():
            return ", ".join(str(one) for one in value)
    text = str(value)
    return COUNTRIES.get(text, text)


ROUTES = [guarded(f"{QUEUE}/{{id}}", show, needs=Action.USE_ACCOUNT)]
