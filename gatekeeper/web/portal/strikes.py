"""What safety stopped of mine: what fired, what a reviewer made of it, and the way to say that it was wrong."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import RedirectResponse, Response

from gatekeeper import generation
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.generation import Safety
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import policies_dir, render

_PAGE = 50


@dataclass(frozen=True)
class Form:
    """An appeal as it was sent."""

    id: str = ""
    text: str = ""
    shows_prompt: bool = False


async def show(call: Call) -> Response:
    """`GET /settings/safety`; `?from=` begins with that one."""
    return await _page(call, Form(), {})


async def appeal(call: Call) -> Response:
    """`POST /settings/safety/{id}/appeal`."""
    sent = await forms.read(call.request)
    form = Form(call.params["id"], forms.text(sent, "text", most=5_000), "shows_prompt" in sent)
    try:
        async with call.session.begin_nested():
            await generation.appeal(
                call.session, call.principal, form.id, text=form.text, shows_prompt=form.shows_prompt
            )
    except (Conflict, Invalid) as error:
        return await _page(call, form, {f"text-{form.id}": error.sentence}, status=error.status)
    return RedirectResponse("/settings/safety?done=strike-appealed", 303)


async def _page(call: Call, form: Form, errors: dict[str, str], *, status: int = 200) -> Response:
    begin = call.request.query_params.get("from", "")
    rows = await generation.own_strikes(call.session, call.principal, begin=begin, limit=_PAGE + 1)
    more = f"/settings/safety?from={rows[_PAGE].id}" if len(rows) > _PAGE else None
    wanted = {row.repo_id for row in rows}
    repos = {
        repo.id: repo.full_name for repo in await call.session.scalars(sa.select(Repo).where(col(Repo.id).in_(wanted)))
    }
    policy = Safety.load(policies_dir(call)).strikes
    strikes: list[dict[str, Any]] = [
        {
            "row": row,
            "model": repos[row.repo_id],
            "kind": words.STRIKE_KINDS[row.kind],
            "may_appeal": row.state is generation.StrikeState.OPEN and row.appealed_at is None,
        }
        for row in rows[:_PAGE]
    ]
    return render(
        call,
        "portal/strikes.html",
        status=status,
        strikes=strikes,
        begin=begin,
        more=more,
        states=words.STRIKE_STATES,
        standing=await generation.standing(call.session, call.principal.person_id or "", policy),
        days=policy.days,
        form=form,
        errors=errors,
    )


ROUTES = [
    guarded("/settings/safety", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/safety/{id}/appeal", appeal, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
