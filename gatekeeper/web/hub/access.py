"""Our own calls around the gate: where I stand, what I must accept, asking, and giving access up."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response

from gatekeeper import access, authz, licensing, releases
from gatekeeper.authz import Action, Allowed
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Form, Terms
from gatekeeper.repos import history
from gatekeeper.web.asking import form_of, request_rules, stage_rule
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.source import source_of


async def form_and_standing(call: Call) -> Response:
    """`GET .../ask-access`: the form to fill in, the terms to accept, and how the caller's own request stands."""
    return await standing(call)


async def standing(call: Call) -> Response:
    """`GET .../access`: the caller's own standing, with what is denied and why, the form and the terms."""
    instant = now()
    terms = await _terms(call)
    rule = stage_rule(call)
    stands = await access.standing(call.session, call.principal.person_id, call.repo.id, instant)
    accepted = (
        await licensing.current_acceptance(call.session, call.principal.person_id, terms, repo=call.repo)
        if terms is not None
        else None
    )
    rights = authz.Capabilities(call.gatekeeper.policies, call.principal, call.resource, instant)
    status = None if stands.request is None else access.hub_status(stands.request, stands.grant)
    body = schemas.standing(
        call.repo,
        terms=terms,
        form=form_of(call, terms, rule),
        accepted=accepted,
        request=stands.request,
        grant=stands.grant,
        status=status.value if status is not None else None,
        rights=rights,
        lacking=await access.lacking(
            call.session,
            call.principal.person_id,
            call.repo,
            access.AskRule.of(rule).required,
            at=instant,
        )
        if call.principal.person_id is not None
        else [],
        usual=await access.usual_wait(call.session, call.repo.id, request_rules(call), at=instant),
        address=call.gatekeeper.url(f"/api/{call.repo.kind.value}/{call.repo.full_name}/terms"),
    )
    return JSONResponse(body, headers={"Cache-Control": "private, no-store"})


async def ask(call: Call) -> Response:
    """`POST .../access`: accept the named texts and ask for access."""
    asked = schemas.parse(schemas.AskAccess, await call.request.body())
    if asked.draft:
        return await _save(call, asked.fields, is_renewal=asked.renew)
    return await _ask(
        call,
        asked.accept,
        asked.fields,
        presentation_id=asked.presentation_id,
        is_renewal=asked.renew,
        act=_act(asked),
    )


async def ask_by_form(call: Call) -> Response:
    """`POST .../ask-access`: ask for access by a form; `accept` names the accepted texts, other fields are answers.

    A field that is sent several times is a list of choices. `?draft=1` only saves, `?renew=1` asks for what follows.
    """
    form = await call.request.form(max_files=0, max_fields=_MOST_FIELDS)
    sent: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            raise Invalid("Files cannot be sent here.", next_step="Answer with text.")
        sent.setdefault(name, []).append(value)
    texts = sent.pop("accept", [])
    fields = {name: values if len(values) > 1 else values[0] for name, values in sent.items()}
    query = call.request.query_params
    if query.get("draft") == "1":
        return await _save(call, fields, is_renewal=query.get("renew") == "1")
    return await _ask(call, texts, fields, presentation_id=None, is_renewal=query.get("renew") == "1")


async def give_up(call: Call) -> Response:
    """`DELETE .../access`: take the open request back, or give the grant up."""
    stands = await access.standing(call.session, call.principal.person_id, call.repo.id, now())
    if stands.grant is not None:
        await access.close(call.session, stands.grant, by=call.principal)
        return JSONResponse({"status": "closed"})
    if stands.request is not None and stands.request.state is access.RequestState.SUSPENDED:
        suspended = await access.open_grant_of(call.session, stands.request)
        if suspended is not None:
            await access.close(call.session, suspended, by=call.principal)
            return JSONResponse({"status": "closed"})
    if stands.request is not None and stands.request.state in access.OPEN:
        await access.withdraw(call.session, stands.request, by=call.principal)
        return JSONResponse({"status": "withdrawn"})
    raise Conflict("You have neither a grant nor an open request here.", next_step="There is nothing to give up.")


async def text(call: Call) -> Response:
    """`GET .../terms/{sha256}`: the exact text of terms, for whoever may know the repository."""
    terms = await _terms(call)
    for document in terms.documents if terms is not None else ():
        if document.sha256 == call.params["sha256"]:
            return _exact(document.body)
    return _exact((await licensing.text_of(call.session, call.repo, call.params["sha256"])).body)


async def appeal(call: Call) -> Response:
    """`POST .../access/appeal`: `{"text"}` asks that somebody else look at a rejection or revocation again."""
    sent = schemas.parse(schemas.Appeal, await call.request.body())
    done = await access.appeal(
        call.session, await _latest(call), by=call.principal, text=sent.text, rules=request_rules(call)
    )
    return JSONResponse(schemas.asked(done, None))


async def correct(call: Call) -> Response:
    """`POST .../access/correct`: take a request that waits back, to change its answers."""
    return JSONResponse(schemas.asked(await access.correct(call.session, await _latest(call), by=call.principal), None))


async def confirm(call: Call) -> Response:
    """`POST .../access/confirm`: `{"conditions_sha256"}` agrees to the conditions of an approval."""
    sent = schemas.parse(schemas.Confirm, await call.request.body())
    done = await access.confirm(
        call.session, await _latest(call), by=call.principal, conditions_sha256=sent.conditions_sha256
    )
    return JSONResponse(schemas.asked(done, None))


async def close_out(call: Call) -> Response:
    """`POST .../access/close-out`: `{"answer", "comment"}` says what became of the copies after access ended."""
    sent = schemas.parse(schemas.CloseOut, await call.request.body())
    done = await access.close_out(
        call.session, await _latest(call), by=call.principal, answer=sent.answer, comment=sent.comment
    )
    return JSONResponse(schemas.asked(done, None))


async def _latest(call: Call) -> access.AccessRequest:
    found = await access.latest_request(call.session, call.principal.person_id or "", call.repo.id)
    if found is None:
        raise Conflict("You have not asked for access here.", next_step="Ask first.")
    return found


async def _save(call: Call, fields: Mapping[str, Any], *, is_renewal: bool) -> Response:
    terms = await _terms(call)
    draft = await access.save(
        call.session,
        call.principal,
        call.repo,
        fields=fields,
        bundle=terms,
        form=form_of(call, terms, stage_rule(call)),
        is_renewal=is_renewal,
    )
    return JSONResponse(schemas.asked(draft, None), 201)


async def _ask(
    call: Call,
    texts: list[str],
    fields: Mapping[str, Any],
    *,
    presentation_id: str | None,
    is_renewal: bool,
    act: licensing.Act = licensing.BY_API,
) -> Response:
    """Accept and ask in one transaction: both are kept, or neither."""
    session, repo, principal = call.session, call.repo, call.principal
    terms, rule = await _terms(call), stage_rule(call)
    form = form_of(call, terms, rule)
    _check_all(terms, form, texts, fields)
    receipt: dict[str, Any] | None = None
    if terms is not None:
        if terms.need_acceptance:
            acceptance = await licensing.accept(
                session,
                principal,
                repo,
                terms,
                texts=texts,
                method="api",
                key=call.gatekeeper.keys.signing,
                presentation_id=presentation_id,
                fields=fields,
                source=source_of(call),
                act=act,
                must_sign=rule is not None and rule.typed_name,
                keeping=licensing.Keeping.of(call.gatekeeper.settings),
                stage=rule.stage.value if rule is not None else "",
            )
            receipt = acceptance.receipt
    elif texts:
        raise Invalid("This repository has no terms to accept.", status=422, next_step="Leave `accept` out.")
    if not access.is_gated(repo) or (rule is not None and rule.requests == "none"):
        return JSONResponse(schemas.asked(None, receipt), 201)
    instant = now()
    fresh = await authz.load(session, principal, repo, instant=instant)
    if not is_renewal and authz.decide(call.gatekeeper.policies, principal, Action.DOWNLOAD, fresh, instant):
        # The terms were all that was missing: there is nothing left to ask for.
        return JSONResponse(schemas.asked(None, receipt), 201)
    authz.require(call.gatekeeper.policies, principal, Action.REQUEST_ACCESS, fresh, instant)
    request = await access.submit(
        session,
        principal,
        repo,
        fields=fields,
        bundle=terms,
        form=form,
        rule=access.AskRule.of(rule),
        is_renewal=is_renewal,
        rules=request_rules(call),
    )
    return JSONResponse(schemas.asked(request, receipt), 201)


def _act(asked: schemas.AskAccess) -> licensing.Act:
    claim = asked.on_behalf_of
    return replace(
        licensing.BY_API,
        typed_name=asked.typed_name.strip(),
        institution=claim.institution.strip() if claim else "",
        has_authority=claim is not None and claim.has_authority,
    )


def _check_all(terms: Terms | None, form: Form, texts: list[str], fields: Mapping[str, Any]) -> None:
    """Name everything that is missing at once, texts and answers, instead of one after the other."""
    missing = {
        document.sha256: f"“{document.title}” was not accepted."
        for document in (terms.documents if terms is not None else ())
        if document.sha256 not in texts
    }
    wrong: Mapping[str, str] = {}
    try:
        form.validate(fields)
    except Invalid as error:
        wrong = error.details.get("fields", {"": error.message})
    if missing or wrong:
        told = [*missing.values(), *(f"{name}: {why}" for name, why in wrong.items())]
        raise Invalid(
            " ".join(told),
            status=422,
            next_step="Read the terms, accept each text by its digest, and answer every question.",
            details={"texts": missing, "fields": dict(wrong)},
        )


async def _terms(call: Call) -> Terms | None:
    """The terms of the revision that the caller stands before: the best one they may know, else the head."""
    known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, call.resource, now())
    commit = known.revision.commit if isinstance(known, Allowed) and known.revision is not None else ""
    if not commit:
        commit = await history.resolve_revision(call.session, call.repo, "main")
    return await releases.terms_in_force(call.session, call.repo, commit)


def _exact(body: bytes) -> Response:
    return Response(
        body, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "private, max-age=31536000, immutable"}
    )


_MOST_FIELDS = 400
_REPO = "/{kind:kind}/{ns}/{name}"

ROUTES = [
    api(f"{_REPO}/access", standing, needs=Action.KNOW),
    api(f"{_REPO}/access", ask, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/access", give_up, needs=Action.ACCEPT_TERMS, methods=("DELETE",)),
    api(f"{_REPO}/access/appeal", appeal, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/access/correct", correct, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/access/confirm", confirm, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/access/close-out", close_out, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/ask-access", form_and_standing, needs=Action.KNOW),
    api(f"{_REPO}/ask-access", ask_by_form, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/terms/{{sha256}}", text, needs=Action.KNOW),
]
