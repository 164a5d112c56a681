"""The terms of a model and the form that asks for access: reading, accepting, asking, and taking it back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import access, authz, licensing
from gatekeeper.access import RequestState, Standing
from gatekeeper.authz import Action, Allowed, Code, Denied
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.licensing import COUNTRIES, FieldKind, Terms
from gatekeeper.licensing.house import HouseForm
from gatekeeper.licensing.tables import Acceptance, Presentation
from gatekeeper.releases import Ladder, Stage, StageRule
from gatekeeper.web import words
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.model import restrictions_of, texts_of
from gatekeeper.web.portal.views import Seen, render, see, terms_of
from gatekeeper.web.source import source_of

_LACKS_GRANT = (Code.ACCESS_NOT_REQUESTED, Code.ACCESS_EXPIRED, Code.INSTITUTION_NEEDED, Code.PURPOSE_NEEDED)
_SAME_PAGE = timedelta(hours=12)  # reloading a page within this time is one presentation, not many


@dataclass(frozen=True)
class Question:
    """A question of the form as the page asks it; `input` is the name of its input."""

    input: str
    label: str
    kind: str
    is_long: bool
    options: tuple[tuple[str, str], ...]
    value: str
    error: str


@dataclass(frozen=True)
class Filled:
    """What was sent, so that nothing typed is lost: texts ticked, answers by input name, and what is wrong."""

    ticked: frozenset[str] = frozenset()
    answers: dict[str, str] | None = None
    errors: dict[str, str] | None = None
    presentation_id: str = ""


@dataclass(frozen=True)
class _Case:
    """Everything the page is about. `form` is what is asked: the card's questions, else the house's own.

    changed  from the terms that this person accepted to the present ones; then one click accepts
    """

    seen: Seen
    terms: Terms | None
    accepted: Acceptance | None
    stands: Standing
    rule: StageRule | None
    form: licensing.Form
    changed: licensing.Difference | None = None


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/access`."""
    return await _page(call, await _case(call), Filled())


async def ask(call: Call) -> Response:
    """`POST /{ns}/{name}/access`: accept what is ticked and ask, both or neither."""
    form = await forms.read(call.request)
    case = await _case(call)
    filled = _read(form, case)
    if filled.errors:
        return await _page(call, case, filled, status=422)
    answers = _named(case.form, filled.answers or {})
    try:
        async with call.session.begin_nested():
            done = await _accept_and_ask(call, case, filled, answers)
    except Invalid as error:
        wrong = error.details.get("fields", {}) if isinstance(error.details.get("fields"), dict) else {}
        inputs = {question.label: question.input for question in _questions(case.form, filled)}
        named = {inputs[name]: f"{name}: {why}" for name, why in wrong.items() if name in inputs}
        problem = Filled(filled.ticked, filled.answers, named or {"": error.sentence}, filled.presentation_id)
        return await _page(call, case, problem, status=422)
    return RedirectResponse(f"{case.seen.head.url}/access?done={done}", 303)


async def take_back(call: Call) -> Response:
    """`POST /{ns}/{name}/access/withdraw`: take the open request back, or give the access up."""
    stands = await access.standing(call.session, call.principal.person_id, call.repo.id, now())
    if stands.grant is not None:
        await access.close(call.session, stands.grant, by=call.principal)
        return RedirectResponse("/requests?done=given-up", 303)
    if stands.request is None or stands.request.state is not RequestState.IN_REVIEW:
        raise Conflict("You have neither access nor an open request here.", next_step="See your requests.")
    await access.withdraw(call.session, stands.request, by=call.principal)
    return RedirectResponse("/requests?done=withdrawn", 303)


async def _accept_and_ask(call: Call, case: _Case, filled: Filled, answers: dict[str, Any]) -> str:
    session, repo, principal, policies = call.session, call.repo, call.principal, call.gatekeeper.policies
    terms = case.terms
    if terms is not None and terms.need_acceptance and case.accepted is None:
        await licensing.accept(
            session,
            principal,
            repo,
            terms,
            texts=terms.texts,
            method="page",
            key=call.gatekeeper.keys.signing,
            presentation_id=filled.presentation_id or None,
            fields=answers,
            act=_act(case, filled),
            source=source_of(call),
            keep_source_days=call.gatekeeper.settings.keep_source_days,
            stage=case.seen.head.stage,
            policy=policies.sha256,
        )
    instant = now()
    fresh = await authz.load(session, principal, repo, instant=instant)
    if authz.decide(policies, principal, Action.DOWNLOAD, fresh, instant) or not _may_ask(case):
        return "terms-accepted"
    authz.require(policies, principal, Action.REQUEST_ACCESS, fresh, instant)
    request = await access.submit(
        session,
        principal,
        repo,
        fields=answers,
        bundle=terms,
        form=case.form,
        rule=access.AskRule.of(case.rule),
        rules=request_rules(call),
        policy=policies.sha256,
    )
    return "accepted" if request.state is RequestState.ACTIVE else "requested"


def _act(case: _Case, filled: Filled) -> licensing.Act:
    """What the person did on the page: ticked a box for each text, or used the button that accepts a change."""
    label = _titles(case, to_accept=True, may_ask=_may_ask(case))["submit"]
    if case.changed is not None and not _may_ask(case):
        return licensing.Act("button accept-all", label)
    return licensing.Act("boxes and button", label, tuple(sorted(filled.ticked)))


async def _case(call: Call) -> _Case:
    seen = await see(call, call.repo, call.resource)
    terms = await terms_of(call, call.repo, seen.commit) if seen.rights[Action.READ_CARD] else None
    stands = await access.standing(call.session, call.principal.person_id, call.repo.id, now())
    accepted = (
        await licensing.current_acceptance(call.session, call.principal.person_id, terms, repo=call.repo)
        if terms
        else None
    )
    ladder = Ladder.load(call.gatekeeper.policies.directory)
    rule = ladder.rule(Stage(seen.head.stage)) if seen.head.stage else None
    form = terms.form if terms else licensing.Form()
    if not form.fields and (rule.requests == "manual" if rule else seen.head.gate == "manual"):
        form = _house(call).form
    changed = await _changed(call, terms) if terms and terms.need_acceptance and accepted is None else None
    return _Case(seen, terms, accepted, stands, rule, form, changed)


async def _changed(call: Call, terms: Terms) -> licensing.Difference | None:
    """What became of the terms that this person accepted before."""
    before = await licensing.latest_acceptance(call.session, call.principal.person_id, call.repo)
    if before is None:
        return None
    accepted = await licensing.stored(call.session, before.bundle_sha256)
    return licensing.between(accepted.documents, terms.documents)


def _house(call: Call) -> HouseForm:
    return HouseForm.load(call.gatekeeper.policies.directory)


def _may_ask(case: _Case) -> bool:
    """Whether there is a request to make: a grant is what lacks, none is open, and none was turned down."""
    rights = case.seen.rights
    if case.stands.grant is not None or not rights[Action.REQUEST_ACCESS]:
        return False
    if case.rule is not None and case.rule.requests == "none":
        return False
    return any(
        isinstance(denied, Denied) and denied.code in _LACKS_GRANT
        for denied in (rights[Action.DOWNLOAD], rights[Action.GENERATE])
    )


def _read(sent: FormData, case: _Case) -> Filled:
    """What was sent, with everything wrong named at once."""
    documents = case.terms.documents if case.terms else ()
    ticked = frozenset(
        document.sha256
        for number, document in enumerate(documents, 1)
        if forms.text(sent, f"accept-{number}") == document.sha256
    )
    if case.changed is not None and case.terms and forms.text(sent, "accept-all") == case.terms.sha256:
        ticked = frozenset(document.sha256 for document in documents)
    answers = {name: forms.text(sent, name) for name in sent if name.startswith("q-")}
    errors = {
        f"accept-{number}": f"Accept “{document.title}” to go on."
        for number, document in enumerate(documents, 1)
        if case.accepted is None and document.sha256 not in ticked
    }
    if "show_form" in sent:
        try:
            case.form.validate(_named(case.form, answers))
        except Invalid as error:
            wrong = error.details.get("fields", {})
            errors |= {
                f"q-{index}": f"{field.name}: {wrong[field.name]}"
                for index, field in enumerate(case.form.fields)
                if field.name in wrong
            }
    return Filled(ticked, answers, errors, forms.text(sent, "presentation", most=26))


def _named(form: licensing.Form, answers: dict[str, str]) -> dict[str, Any]:
    """Answers by question instead of by input."""
    return {
        field.name: answers[f"q-{index}"]
        for index, field in enumerate(form.fields)
        if answers.get(f"q-{index}", "") != ""
    }


def _questions(form: licensing.Form, filled: Filled) -> list[Question]:
    given, errors = filled.answers or {}, filled.errors or {}
    made = []
    for index, field in enumerate(form.fields):
        name = f"q-{index}"
        options: tuple[tuple[str, str], ...] = ()
        if field.kind is FieldKind.SELECT:
            options = (("", "Choose one"), *((option.value, option.label) for option in field.options))
        elif field.kind is FieldKind.COUNTRY:
            options = (("", "Choose one"), *sorted(COUNTRIES.items(), key=lambda item: item[1]))
        is_long = field.kind is FieldKind.TEXT and any(
            word in field.name.lower() for word in ("what", "why", "how", "describe", "purpose")
        )
        error = errors.get(name, "").removeprefix(f"{field.name}: ")
        made.append(Question(name, field.name, field.kind.value, is_long, options, given.get(name, ""), error))
    return made


async def _page(call: Call, case: _Case, filled: Filled, *, status: int = 200) -> HTMLResponse:
    """The page, recorded as shown when it is one on which terms can be accepted."""
    terms, me = case.terms, call.principal
    to_accept = bool(terms and terms.need_acceptance and case.accepted is None and not terms.problems)
    may_ask = _may_ask(case)
    can_act = me.is_signed_in and me.token_id is None and (to_accept or may_ask) and not (terms and terms.problems)
    questions = _questions(case.form, filled) if may_ask else []
    context: dict[str, Any] = {
        "head": case.seen.head,
        "errors": filled.errors or {},
        "asked": _request(case),
        "accepted_at": case.accepted.accepted_at if case.accepted else None,
        "receipt_href": f"/receipts/{case.accepted.id}" if case.accepted else "",
        "problems": terms.problems if terms else (),
        "restrictions": restrictions_of(call, case.seen) if to_accept else [],
        "documents": texts_of(case.seen, terms),
        "fields": questions,
        "to_accept": to_accept,
        "can_accept": can_act,
        "changed": case.changed if to_accept and not may_ask else None,
        "bundle": terms.sha256 if terms else "",
        "until": _until(case),
        "ticked": filled.ticked,
        "description": case.seen.card.gated_description or (_house(call).description if questions else ""),
        **_titles(case, to_accept=to_accept, may_ask=may_ask),
    }
    presentation_id = filled.presentation_id
    if can_act and to_accept and terms and not presentation_id:
        shown = bytes(render(call, "portal/access.html", presentation_id="", **context).body).decode()
        presentation_id = await _present(call, terms, shown)
    return render(call, "portal/access.html", status=status, presentation_id=presentation_id, **context)


async def _present(call: Call, terms: Terms, shown: str) -> str:
    """Record that this page is shown to this person; the same page again within hours is the same presentation."""
    if call.request.method == "POST":  # the unit of work writes already, and there is only one writer
        return await _presentation(call, call.session, terms, shown)
    async with call.gatekeeper.db.write() as session:
        return await _presentation(call, session, terms, shown)


async def _presentation(call: Call, session: AsyncSession, terms: Terms, shown: str) -> str:
    earlier = await session.scalar(
        sa.select(col(Presentation.id)).where(
            col(Presentation.person_id) == call.principal.person_id,
            col(Presentation.repo_id) == call.repo.id,
            col(Presentation.bundle_sha256) == terms.sha256,
            col(Presentation.shown_sha256) == sha256_hex(shown.encode()),
            col(Presentation.shown_at) > now() - _SAME_PAGE,
        )
    )
    if earlier is not None:
        return str(earlier)
    return (await licensing.present(session, call.principal, call.repo, terms, shown=shown)).id


def _until(case: _Case) -> datetime | None:
    """Until when the acceptance of earlier terms still opens something."""
    rights = (case.seen.rights[Action.DOWNLOAD], case.seen.rights[Action.GENERATE])
    return max((each.terms_until for each in rights if isinstance(each, Allowed) and each.terms_until), default=None)


def _titles(case: _Case, *, to_accept: bool, may_ask: bool) -> dict[str, str]:
    card = case.seen.card
    note = "You get a signed receipt of exactly what you accepted."
    if may_ask:
        return {
            "title": card.gated_heading or "Ask for access",
            "lead": "Read the license, accept it, and answer the questions of the maintainers."
            if to_accept
            else "Answer the questions of the maintainers. You see their decision here and under Requests.",
            "submit": card.gated_button or ("Accept and ask for access" if to_accept else "Ask for access"),
            "submit_note": f"{note} You can withdraw the request at any time.",
        }
    if to_accept and case.changed is not None:
        return {
            "title": "The terms have changed",
            "lead": "Read what is different from the terms that you accepted. One click accepts the present ones.",
            "submit": "I accept the changed terms",
            "submit_note": note,
        }
    if to_accept:
        return {
            "title": "Accept the license",
            "lead": "Read the license and accept it. There is nothing else to ask for.",
            "submit": "Accept the license",
            "submit_note": note,
        }
    download = case.seen.rights[Action.DOWNLOAD]
    is_in = bool(download or case.seen.rights[Action.GENERATE])
    return {
        "title": "Access",
        "lead": ""
        if case.stands.request
        else "There is nothing for you to do here."
        if is_in
        else f"{download.reason} {download.next_step}"
        if isinstance(download, Denied)
        else "",
        "submit": "",
        "submit_note": "",
    }


def _request(case: _Case) -> dict[str, Any] | None:
    request, grant = case.stands.request, case.stands.grant
    if request is None:
        return None
    state = request.state
    if state is RequestState.ACTIVE and grant is None:
        state = RequestState.EXPIRED
    return {
        "facts": words.REQUEST_STATES[state],
        "since": request.decided_at or request.submitted_at,
        "reason": request.reason,
        "next_step": next_step(state),
        "ends_at": grant.ends_at if grant else None,
        "can_withdraw": state is RequestState.IN_REVIEW,
        "can_give_up": grant is not None,
    }


def grant_end(rule: StageRule | None, instant: datetime) -> datetime | None:
    """When a grant made now at a stage ends unless somebody says otherwise; None: it has no end."""
    return instant + timedelta(days=rule.grant_days) if rule and rule.grant_days else None


def next_step(state: RequestState) -> str:
    """What happens next with a request in this state."""
    return words.REQUEST_STATES[state].next_step


ROUTES = [
    *for_kinds("/{ns}/{name}/access", show, needs=Action.KNOW),
    *for_kinds("/{ns}/{name}/access", ask, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    *for_kinds("/{ns}/{name}/access/withdraw", take_back, needs=Action.ACCEPT_TERMS, methods=("POST",)),
]
