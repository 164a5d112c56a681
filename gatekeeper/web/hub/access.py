"""Our own calls around the gate: where I stand, what I must accept, asking, and giving access up."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response

from gatekeeper import access, authz, licensing
from gatekeeper.authz import Action, Allowed
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Form, HouseForm, Terms
from gatekeeper.releases import Ladder, StageRule
from gatekeeper.repos import Gate, history
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api


async def standing(call: Call) -> Response:
    """`GET .../access`: the caller's own standing, with what is denied and why."""
    instant = now()
    terms = await _terms(call)
    rule = _rule(call)
    stands = await access.standing(call.session, call.principal.person_id, call.repo.id, instant)
    accepted = (
        await licensing.current_acceptance(call.session, call.principal.person_id, terms, repo=call.repo)
        if terms is not None
        else None
    )
    rights = authz.capabilities(call.gatekeeper.policies, call.principal, call.resource, instant)
    status = None if stands.request is None else access.hub_status(stands.request, stands.grant)
    body = schemas.standing(
        call.repo,
        terms=terms,
        form=_form(call, terms, rule),
        accepted=accepted,
        request=stands.request,
        grant=stands.grant,
        status=status.value if status is not None else None,
        rights=rights,
        address=call.gatekeeper.url(f"/api/{call.repo.kind.value}/{call.repo.full_name}/terms"),
    )
    return JSONResponse(body, headers={"Cache-Control": "private, no-store"})


async def ask(call: Call) -> Response:
    """`POST .../access`: accept the named texts and ask for access."""
    asked = schemas.parse(schemas.AskAccess, await call.request.body())
    return await _ask(call, asked.accept, asked.fields, presentation_id=asked.presentation_id)


async def ask_by_form(call: Call) -> Response:
    """`POST .../ask-access`: the same as a form; `accept` names the texts, every other field answers a question."""
    form = await call.request.form(max_files=0, max_fields=200)
    fields = {
        name: value for name, value in form.multi_items() if name != "accept" and not isinstance(value, UploadFile)
    }
    return await _ask(call, [str(value) for value in form.getlist("accept")], fields, presentation_id=None)


async def give_up(call: Call) -> Response:
    """`DELETE .../access`: take the open request back, or give the grant up."""
    stands = await access.standing(call.session, call.principal.person_id, call.repo.id, now())
    if stands.grant is not None:
        await access.close(call.session, stands.grant, by=call.principal)
        return JSONResponse({"status": "closed"})
    if stands.request is not None and stands.request.state is access.RequestState.IN_REVIEW:
        await access.withdraw(call.session, stands.request, by=call.principal)
        return JSONResponse({"status": "withdrawn"})
    raise Conflict("You have neither a grant nor an open request here.", next_step="There is nothing to give up.")


async def text(call: Call) -> Response:
    """`GET .../terms/{sha256}`: the exact text, for whoever may know the repository."""
    terms = await _terms(call)
    for document in terms.documents if terms is not None else ():
        if document.sha256 == call.params["sha256"]:
            return _exact(document.body)
    return _exact((await licensing.text_of(call.session, call.repo, call.params["sha256"])).body)


async def _ask(call: Call, texts: list[str], fields: Mapping[str, Any], *, presentation_id: str | None) -> Response:
    """Accept and ask in one transaction: both are kept, or neither."""
    session, repo, principal = call.session, call.repo, call.principal
    digest = call.gatekeeper.policies.sha256
    terms, rule = await _terms(call), _rule(call)
    form = _form(call, terms, rule)
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
                policy=digest,
            )
            receipt = acceptance.receipt
    elif texts:
        raise Invalid("This repository has no terms to accept.", status=422, next_step="Leave `accept` out.")
    if not access.is_gated(repo) or (rule is not None and rule.requests == "none"):
        return JSONResponse(schemas.asked(None, receipt), 201)
    instant = now()
    fresh = await authz.load(session, principal, repo, instant=instant)
    if authz.decide(call.gatekeeper.policies, principal, Action.DOWNLOAD, fresh, instant):
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
        is_automatic=rule is not None and rule.requests == "auto",
        ends_at=instant + timedelta(days=rule.grant_days) if rule is not None and rule.grant_days else None,
        policy=digest,
    )
    return JSONResponse(schemas.asked(request, receipt), 201)


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


def _rule(call: Call) -> StageRule | None:
    """The rule of the stage that the caller stands before, None for a repository without stages."""
    known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, call.resource, now())
    stage = known.revision.stage if known.revision is not None else None
    return Ladder.load(call.gatekeeper.policies.directory).rule(stage) if stage is not None else None


def _form(call: Call, terms: Terms | None, rule: StageRule | None) -> Form:
    """The card's questions, else the house's own where a person decides."""
    if terms is not None and terms.form.fields:
        return terms.form
    is_reviewed = rule.requests == "manual" if rule is not None else call.repo.gate is Gate.MANUAL
    return HouseForm.load(call.gatekeeper.policies.directory).form if is_reviewed else Form()


async def _terms(call: Call) -> Terms | None:
    """The terms of the revision that the caller stands before: the best one they may know, else the head."""
    known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, call.resource, now())
    commit = known.revision.commit if isinstance(known, Allowed) and known.revision is not None else ""
    if not commit:
        commit = await history.resolve_revision(call.session, call.repo, "main")
    return await licensing.terms_for(call.session, call.repo, commit)


def _exact(body: bytes) -> Response:
    return Response(
        body, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "private, max-age=31536000, immutable"}
    )


_REPO = "/{kind:kind}/{ns}/{name}"

ROUTES = [
    api(f"{_REPO}/access", standing, needs=Action.KNOW),
    api(f"{_REPO}/access", ask, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/access", give_up, needs=Action.ACCEPT_TERMS, methods=("DELETE",)),
    api(f"{_REPO}/ask-access", ask_by_form, needs=Action.ACCEPT_TERMS, methods=("POST",)),
    api(f"{_REPO}/terms/{{sha256}}", text, needs=Action.KNOW),
]
