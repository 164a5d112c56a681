"""The terms of a model and the form that asks for access: reading, accepting, saving a draft, asking, renewing."""

from dataclasses import replace
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from gatekeeper import access, authz, licensing
from gatekeeper.access import RequestState
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms, questions
from gatekeeper.web.portal.access_page import Case, Filled, case_of, is_asking, must_sign, page_of, titles
from gatekeeper.web.source import source_of


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/access`."""
    return await page_of(call, await case_of(call), Filled())


async def ask(call: Call) -> Response:
    """`POST /{ns}/{name}/access`: accept what is ticked and ask, both or neither; or only keep the answers."""
    sent = await forms.read(call.request)
    case = await case_of(call, is_renewal="renew" in sent)
    filled = _read(sent, case)
    if "save" in sent and is_asking(case):
        return await _save(call, case, filled)
    if filled.errors:
        return await page_of(call, case, filled, status=422)
    answers = questions.named(case.form, filled.answers or {})
    try:
        async with call.session.begin_nested():
            done = await _accept_and_ask(call, case, filled, answers)
    except Invalid as error:
        problem = questions.wrong(case.form, error) or {"": error.sentence}
        return await page_of(call, case, replace(filled, errors=problem), status=422)
    return RedirectResponse(f"{case.seen.head.url}/access?done={done}", 303)


async def _save(call: Call, case: Case, filled: Filled) -> Response:
    """Keep the answers as a draft, complete or not; nothing is accepted by that."""
    try:
        async with call.session.begin_nested():
            await access.save(
                call.session,
                call.principal,
                call.repo,
                fields=questions.named(case.form, filled.answers or {}),
                bundle=case.terms,
                form=case.form,
                is_renewal=case.is_renewal,
            )
    except Invalid as error:
        problem = questions.wrong(case.form, error) or {"": error.sentence}
        return await page_of(call, case, replace(filled, errors=problem), status=422)
    return RedirectResponse(f"{case.seen.head.url}/access?done=draft-saved", 303)


async def _accept_and_ask(call: Call, case: Case, filled: Filled, answers: dict[str, Any]) -> str:
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
            must_sign=must_sign(case),
            keeping=licensing.Keeping.of(call.gatekeeper.settings),
            stage=case.seen.head.stage,
        )
    instant = now()
    fresh = await authz.load(session, principal, repo, instant=instant)
    may_download = bool(authz.decide(policies, principal, Action.DOWNLOAD, fresh, instant))
    if not is_asking(case) or (may_download and not case.is_renewal):
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
        is_renewal=case.is_renewal,
        rules=request_rules(call),
    )
    return "accepted" if request.state is RequestState.ACTIVE else "requested"


def _act(case: Case, filled: Filled) -> licensing.Act:
    """What the person did on the page: ticked a box for each text, or used the button that accepts a change."""
    label = titles(case, to_accept=True, asking=is_asking(case))["submit"]
    by_button = case.changed is not None and not is_asking(case)
    act = licensing.Act("button accept-all", label) if by_button else licensing.Act("boxes and button", label)
    return replace(
        act,
        boxes=() if by_button else tuple(sorted(filled.ticked)),
        typed_name=filled.typed.get("typed_name", ""),
        institution=filled.typed.get("institution", ""),
        has_authority=bool(filled.typed.get("has_authority")),
    )


def _read(sent: FormData, case: Case) -> Filled:
    """What was sent, with everything wrong named at once."""
    documents = case.terms.documents if case.terms else ()
    ticked = frozenset(
        document.sha256
        for number, document in enumerate(documents, 1)
        if forms.text(sent, f"accept-{number}") == document.sha256
    )
    if case.changed is not None and case.terms and forms.text(sent, "accept-all") == case.terms.sha256:
        ticked = frozenset(document.sha256 for document in documents)
    answers = questions.read(case.form, sent)
    errors = {
        f"accept-{number}": f"Accept “{document.title}” to go on."
        for number, document in enumerate(documents, 1)
        if case.accepted is None and document.sha256 not in ticked
    }
    if "show_form" in sent:
        try:
            case.form.validate(questions.named(case.form, answers))
        except Invalid as error:
            errors |= questions.wrong(case.form, error)
    typed_name = forms.text(sent, "typed_name", most=licensing.MAX_TYPED_NAME_CHARS).strip()
    if documents and case.accepted is None and must_sign(case) and not typed_name:
        errors["typed_name"] = "Type your full name: it stands for your signature."
    typed = {
        "typed_name": typed_name,
        "institution": forms.text(sent, "institution", most=licensing.MAX_INSTITUTION_CHARS + 1).strip(),
        "has_authority": forms.text(sent, "has_authority", most=3),
    }
    filled = Filled(ticked, answers, errors, forms.text(sent, "presentation", most=26), typed)
    if documents and case.accepted is None:
        try:
            _act(case, filled).check_claim()
        except Invalid as error:
            errors |= error.details
    return filled


ROUTES = [
    *for_kinds("/{ns}/{name}/access", show, needs=Action.KNOW),
    *for_kinds("/{ns}/{name}/access", ask, needs=Action.ACCEPT_TERMS, methods=("POST",)),
]
