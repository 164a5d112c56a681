"""The page on which terms are accepted and access is asked for: what it is about, and what stands on it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from starlette.responses import HTMLResponse

from gatekeeper import access, licensing
from gatekeeper.access import RequestState, Standing
from gatekeeper.authz import Action, Allowed, Code, Denied
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Terms
from gatekeeper.licensing.house import HouseForm
from gatekeeper.licensing.tables import Acceptance, Presentation
from gatekeeper.releases import Ladder, Stage, StageRule
from gatekeeper.web.asking import form_of, request_rules
from gatekeeper.web.guard import Call
from gatekeeper.web.portal import questions, standing
from gatekeeper.web.portal.model import restrictions_of, texts_of
from gatekeeper.web.portal.views import Seen, render, see, terms_of
from gatekeeper.web.portal.way import has_playground, lacks_answer, onward
from gatekeeper.web.wording.refusals import Refusal, refusal

_LACKS_GRANT: tuple[Code, ...] = (Code.ACCESS_NOT_REQUESTED, Code.REQUEST_RETURNED, Code.ACCESS_EXPIRED)
_LACKS_TERMS = (Code.TERMS_NOT_ACCEPTED, Code.TERMS_CHANGED, Code.TERMS_WITHDRAWN)
_IN_HAND = (RequestState.DRAFT, RequestState.RETURNED)
_ASKS_ANEW = (*_IN_HAND, RequestState.WITHDRAWN, RequestState.CLOSED, RequestState.EXPIRED)
_SAME_PAGE = timedelta(hours=12)  # reloading a page within this time is one presentation, not many


@dataclass(frozen=True)
class Filled:
    """What was sent, so that nothing typed is lost: texts ticked, answers by input name, and what is wrong.

    answers  None: the form was not sent, and shows what was answered before
    typed    what was typed into the forms beside the questions
    """

    ticked: frozenset[str] = frozenset()
    answers: dict[str, str | list[str]] | None = None
    errors: dict[str, str] | None = None
    presentation_id: str = ""
    typed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Everything the page is about. `form` is what is asked: the card's questions, else the house's own.

    before      answers that were given before: of a draft, a returned request, the access that is renewed
    is_renewal  what is asked for follows access that is there
    changed     from the terms that this person accepted to the present ones; then one click accepts
    """

    seen: Seen
    terms: Terms | None
    accepted: Acceptance | None
    stands: Standing
    rule: StageRule | None
    form: licensing.Form
    changed: licensing.Difference | None = None
    before: dict[str, Any] = field(default_factory=dict)
    is_renewal: bool = False

    @property
    def is_returned(self) -> bool:
        return self.stands.request is not None and self.stands.request.state is RequestState.RETURNED


async def case_of(call: Call, *, is_renewal: bool = False) -> Case:
    """Everything about this caller before this repository.

    is_renewal  they want to ask for what follows the access that they have
    """
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
    form = form_of(call, terms, rule)
    changed = await _changed(call, terms) if terms and terms.need_acceptance and accepted is None else None
    is_renewal |= call.request.query_params.get("renew") == "1" or lacks_answer(seen) is not None
    renews, before = _earlier(stands, is_renewal=is_renewal)
    return Case(seen, terms, accepted, stands, rule, form, changed, before, renews)


def _earlier(stands: Standing, *, is_renewal: bool) -> tuple[bool, dict[str, Any]]:
    """Whether what is asked for here renews access that is there, and the answers that were given before."""
    request, grant = stands.request, stands.grant
    if request is None:
        return False, {}
    if request.state in _IN_HAND:
        return grant is not None, request.draft or request.fields
    if grant is None or request.state in access.OPEN:
        return False, {}
    return is_renewal, request.fields


async def _changed(call: Call, terms: Terms) -> licensing.Difference | None:
    """What became of the terms that this person accepted before."""
    before = await licensing.latest_acceptance(call.session, call.principal.person_id, call.repo)
    if before is None:
        return None
    accepted = await licensing.stored(call.session, before.bundle_sha256)
    return licensing.between(accepted.documents, terms.documents)


def _house(call: Call) -> HouseForm:
    return HouseForm.load(call.gatekeeper.policies.directory)


def may_ask(case: Case) -> bool:
    """Whether there is a request to make or to complete: a grant is what lacks, or what ends, and none waits."""
    rights, request = case.seen.rights, case.stands.request
    if not rights[Action.REQUEST_ACCESS] or (case.rule is not None and case.rule.requests == "none"):
        return False
    if request is not None and request.state is RequestState.REJECTED:
        return request.reapply_at is not None and request.reapply_at <= now()
    if case.is_renewal or case.stands.grant is not None:
        return case.is_renewal
    lacks = _LACKS_GRANT
    if request is None or request.state in _ASKS_ANEW:
        lacks += (Code.EMBARGOED,)  # asked for meanwhile, access begins in time
    return any(
        isinstance(denied, Denied) and denied.code in lacks
        for denied in (rights[Action.DOWNLOAD], rights[Action.GENERATE])
    )


def is_asking(case: Case) -> bool:
    """Whether the page asks the questions now: after the license, where that alone lets this person make images."""
    generate = case.seen.rights[Action.GENERATE]
    opens_images = isinstance(generate, Denied) and generate.code in _LACKS_TERMS and has_playground(case.seen)
    return may_ask(case) and (case.is_renewal or not opens_images)


def must_sign(case: Case) -> bool:
    """Whether the stage wants a name typed under what is accepted."""
    return case.rule is not None and case.rule.typed_name


async def _usual(call: Call) -> access.Usual | None:
    return await access.usual_wait(call.session, call.repo.id, request_rules(call), at=now())


async def page_of(call: Call, case: Case, filled: Filled, *, status: int = 200) -> HTMLResponse:
    """The page, recorded as shown when it is one on which terms can be accepted."""
    terms, me = case.terms, call.principal
    mine, lacks = await standing.mine(call, call.repo, case.stands), lacks_answer(case.seen)
    if (
        mine and mine.can_renew and lacks is not None
    ):  # approved, and yet not let in: not a word of "you can use the model"
        mine = replace(mine, facts=replace(mine.facts, next_step=refusal(lacks, case.seen.head.url).sentence))
    to_accept = bool(terms and terms.need_acceptance and case.accepted is None and not terms.problems)
    asking = is_asking(case)
    can_act = me.is_signed_in and me.token_id is None and (to_accept or asking) and not (terms and terms.problems)
    given = questions.stored(case.form, case.before) if filled.answers is None else filled.answers
    asked = questions.questions(case.form, given, filled.errors or {}) if asking else []
    context: dict[str, Any] = {
        "head": case.seen.head,
        "errors": filled.errors or {},
        "mine": mine,
        "demands": await standing.demands(call, call.repo, case.rule.prerequisites if case.rule else ()),
        "typed": filled.typed,
        "is_renewal": case.is_renewal,
        "can_save": asking,
        "usual": await _usual(call) if asking else None,
        "aim": request_rules(call).queues[0].service_days,  # where requests start
        "accepted_at": case.accepted.accepted_at if case.accepted else None,
        "receipt_href": f"/receipts/{case.accepted.id}" if case.accepted else "",
        "not_yet": _not_yet(case) if can_act else "",
        "problems": terms.problems if terms else (),
        "restrictions": restrictions_of(call, case.seen) if to_accept else [],
        "documents": texts_of(case.seen, terms),
        "fields": asked,
        "to_accept": to_accept,
        "can_accept": can_act,
        "onward": onward(case.seen) if me.is_signed_in and not (can_act and (to_accept or case.is_renewal)) else None,
        "must_sign": can_act and to_accept and must_sign(case),
        "changed": case.changed if to_accept and not asking else None,
        "bundle": terms.sha256 if terms else "",
        "until": _until(case),
        "ticked": filled.ticked,
        "description": case.seen.card.gated_description or (_house(call).description if asked else ""),
        **titles(case, to_accept=to_accept, asking=asking),
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


def _until(case: Case) -> datetime | None:
    """Until when the acceptance of earlier terms still opens something."""
    rights = (case.seen.rights[Action.DOWNLOAD], case.seen.rights[Action.GENERATE])
    return max((each.terms_until for each in rights if isinstance(each, Allowed) and each.terms_until), default=None)


def titles(case: Case, *, to_accept: bool, asking: bool) -> dict[str, str]:
    card = case.seen.card
    note = "You get a signed receipt of exactly what you accepted."
    has_images = has_playground(case.seen) and bool(case.seen.rights[Action.GENERATE])
    if asking and case.is_returned:
        return {
            "title": "Answer what was asked",
            "lead": "Read what is asked back, change your answers and send them again.",
            "submit": "Accept and send it again" if to_accept else "Send it again",
            "submit_note": f"{note if to_accept else ''} You can withdraw the request at any time.",
        }
    if asking:
        return {
            "title": "Ask again"
            if lacks_answer(case.seen) is not None
            else "Renew your access"
            if case.is_renewal
            else card.gated_heading or ("Ask for the weights" if has_images else "Ask for access"),
            "lead": "Read the license, accept it, and answer the questions of the maintainers."
            if to_accept
            else "Answer the questions of the maintainers. You see their decision here and under Requests.",
            "submit": card.gated_button or ("Accept and ask for access" if to_accept else "Ask for access"),
            "submit_note": f"{note if to_accept else ''} You can withdraw the request at any time.",
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
            "lead": "Read and accept the license: then you make images here. The weights can be asked for after that."
            if may_ask(case)
            else "Read the license and accept it.",
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
        else _elsewhere(refusal(download, case.seen.head.url), case)
        if isinstance(download, Denied)
        else "",
        "submit": "",
        "submit_note": "",
    }


def _not_yet(case: Case) -> str:
    """Until when an embargo lasts, for who can do something here meanwhile."""
    denied = case.seen.rights[Action.DOWNLOAD]
    if isinstance(denied, Denied) and denied.code is Code.EMBARGOED:
        return refusal(denied, case.seen.head.url).reason
    return ""


def _elsewhere(told: Refusal, case: Case) -> str:
    """A refusal without what would lead to this page."""
    return told.reason if told.href == f"{case.seen.head.url}/access" else told.sentence
