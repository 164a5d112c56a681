"""What I should know, and which of it I want by mail."""

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import RedirectResponse, Response

from gatekeeper import authz, notices
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url

_PAGE = 30


async def show(call: Call) -> Response:
    """`GET /notices`."""
    me, query = call.principal.person_id or "", call.request.query_params
    page = await notices.listing(call.session, me, after=query.get("after"), limit=_PAGE)
    wanted, hidden = await notices.mail_preferences(call.session, me), await _hidden(call)
    return render(
        call,
        "portal/notices.html",
        notices=[(notice, notices.say(notice.kind, notice.facts)) for notice in page.items],
        followed=await _followed(call),
        preferences=[
            (title, [(kind, notices.KINDS[kind].label, wanted[kind]) for kind in kinds])
            for title, kinds in notices.GROUPS.items()
            if title not in hidden
        ],
        sends_mail=bool(call.gatekeeper.settings.mail_host),
        newer="/notices" if query.get("after") else None,
        older=f"/notices?after={page.after}" if page.after else None,
    )


async def read_all(call: Call) -> Response:
    """`POST /notices/read`: all of them."""
    await notices.mark_read(call.session, call.principal.person_id or "")
    return RedirectResponse("/notices?done=notices-read", 303)


async def read_one(call: Call) -> Response:
    """`POST /notices/{id}/read`: one of mine, and with `open` on to what it is about."""
    me, sent = call.principal.person_id or "", await forms.read(call.request)
    notice = await notices.own(call.session, me, call.params["id"])
    await notices.mark_read(call.session, me, notice.id)
    return RedirectResponse(notices.say(notice.kind, notice.facts).path if "open" in sent else "/notices", 303)


async def prefer(call: Call) -> Response:
    """`POST /notices/mail`: which kinds I want by mail."""
    me, sent = call.principal.person_id or "", await forms.read(call.request)
    wanted = await notices.mail_preferences(call.session, me)
    unasked = {kind for title in await _hidden(call) for kind in notices.GROUPS[title]}
    kept = {kind for kind in unasked if wanted[kind]}  # what the form did not show stays as it is
    await notices.prefer_mail(call.session, me, kept | (set(forms.texts(sent, "kinds")) - unasked))
    return RedirectResponse("/notices?done=notices-mail", 303)


async def _hidden(call: Call) -> frozenset[str]:
    """Groups of kinds that are never sent to this person: who maintains nothing is not asked about it."""
    me = call.principal
    if me.is_admin or me.organizations:
        return frozenset()
    reviewed = authz.listing_filter(call.gatekeeper.policies, me, now(), action=Action.REVIEW)
    is_maintainer = await call.session.scalar(sa.select(col(Repo.id)).where(reviewed).limit(1)) is not None
    return frozenset() if is_maintainer else frozenset({notices.MAINTAINING})


async def _followed(call: Call) -> list[tuple[str, str]]:
    """What I follow and may still know of, with its address."""
    rows = await notices.following.followed(call.session, call.principal.person_id or "")
    repos = list({row.repo.id: row.repo for row in rows}.values())
    known = {
        repo.id
        for repo in await authz.filter_known(call.session, call.gatekeeper.policies, call.principal, repos, now())
    }
    return [
        (f"Discussion {row.num} of {row.repo.full_name}", f"{repo_url(row.repo)}/discussions/{row.num}")
        if row.num
        else (row.repo.full_name, repo_url(row.repo))
        for row in rows
        if row.repo.id in known
    ]


ROUTES = [
    guarded("/notices", show, needs=Action.USE_ACCOUNT),
    guarded("/notices/read", read_all, needs=Action.USE_ACCOUNT, methods=("POST",)),
    guarded("/notices/mail", prefer, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/notices/{id}/read", read_one, needs=Action.USE_ACCOUNT, methods=("POST",)),
]
