"""Strikes of people at the repositories in one's care: what safety stopped, appeals, and the review."""

from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts, generation
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.generation import Strike
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.admin.scope import PAGE, decided_or_gone, in_care_or_gone, names_of, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_DECISIONS = {"dismiss": False, "uphold": True}


async def show(call: Call) -> Response:
    """`GET /admin/strikes`: what waits; `?reviewed=yes` what was decided; `?person=` one person's."""
    return await _page(call, {})


async def review(call: Call) -> Response:
    """`POST /admin/strikes/{id}/review`."""
    sent = await forms.read(call.request)
    strike = await call.session.get(Strike, call.params["id"])
    repo = await call.session.get(Repo, strike.repo_id) if strike else None
    if strike is None or repo is None or not await decided_or_gone(call, [repo]):
        raise NotFound("There is no such strike.", next_step="Take it from the list of strikes.")
    decision, field = forms.text(sent, "decision", most=20), f"note-{strike.id}"
    try:
        if decision not in _DECISIONS:
            raise Invalid("Say whether it was right.", status=422, next_step="Choose one of the two.")
        async with call.session.begin_nested():
            await generation.review(
                call.session,
                strike,
                by=call.principal,
                is_upheld=_DECISIONS[decision],
                note=forms.text(sent, field),
            )
    except (Conflict, Invalid, NotAllowed) as error:
        about = field if isinstance(error, Invalid) else ""  # who was reviewed meanwhile has no field any more
        return await _page(call, {about: error.sentence}, sent, status=error.status)
    return RedirectResponse("/admin/strikes?done=reviewed", 303)


async def _page(call: Call, errors: dict[str, str], sent: FormData | None = None, *, status: int = 200) -> Response:
    query = call.request.query_params
    is_reviewed, who = query.get("reviewed") == "yes", query.get("person", "")[:60].strip()
    condition = in_care_or_gone(call)
    if who:
        person = await accounts.people.find(call.session, who)
        condition = sa.and_(condition, col(Strike.person_id) == (person.id if person else None))
    begin = await call.session.get(Strike, query.get("from", ""))
    rows = await generation.strikes_to_review(
        call.session, condition, is_reviewed=is_reviewed, begin=begin, limit=PAGE + 1
    )
    more = {"person": who, "reviewed": query.get("reviewed", ""), "from": rows[PAGE][0].id} if len(rows) > PAGE else {}
    may = {repo.id for repo in await decided_or_gone(call, (repo for _, repo, _ in rows[:PAGE]))}
    rows = [row for row in rows[:PAGE] if row[1].id in may]
    names = await names_of(call, [each for strike, _, _ in rows for each in (strike.person_id, strike.reviewed_by)])
    return render(
        call,
        "admin/strikes.html",
        status=status,
        sees_all=runs_hub(call),
        is_reviewed=is_reviewed,
        who=who,
        strikes=[
            {"row": strike, "repo": repo, "prompt": prompt, "kind": words.STRIKE_KINDS[strike.kind]}
            for strike, repo, prompt in rows
        ],
        more=f"/admin/strikes?{urlencode({key: value for key, value in more.items() if value})}" if more else None,
        states=words.STRIKE_STATES,
        names=names,
        typed=dict(sent or {}),
        errors=errors,
    )


ROUTES = [
    guarded("/admin/strikes", show, needs=Action.USE_ACCOUNT),
    guarded("/admin/strikes/{id}/review", review, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
