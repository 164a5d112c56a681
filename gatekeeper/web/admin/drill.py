"""The rollback drill: what holding a release would lead to, worked out by the decision itself. Nothing is changed but
that somebody says that they went through it, which a stage may ask for.
"""

from starlette.responses import RedirectResponse, Response

from gatekeeper import notices, releases
from gatekeeper.accounts import ANONYMOUS
from gatekeeper.authz import Action
from gatekeeper.web.admin.effects import fallback
from gatekeeper.web.admin.release import ONE, release_of
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.views import render, repo_url, see

_MOST_TOLD = 500


async def show(call: Call) -> Response:
    """`GET .../releases/{rev}/drill`: who would get what instead, who holds which digest, who would be told."""
    release = await release_of(call)
    seen = await see(call, call.repo, call.resource)
    told = await notices.told_of_release(call.session, call.repo, release, most=_MOST_TOLD)
    return render(
        call,
        "admin/drill.html",
        head=seen.head,
        commit=release.commit_id,
        is_held=release.held_at is not None,
        fallbacks=[
            ("Everybody", *await fallback(call, call.repo, release, ANONYMOUS)),
            ("You", *await fallback(call, call.repo, release, call.principal)),
        ],
        holders=await releases.holders(call.session, release),
        nameless=await releases.without_account(call.session, release),
        told=[person.name for person in told if person.id != call.principal.person_id],
        most_told=_MOST_TOLD,
        notice=notices.say(
            "release-held", notices.names_of(call.repo) | {"commit": release.commit_id[:12], "files": ""}
        ),
    )


async def done(call: Call) -> Response:
    """`POST .../releases/{rev}/drill`: somebody went through it."""
    release = await release_of(call)
    await releases.record_drill(call.session, release, by=call.principal)
    return RedirectResponse(f"{repo_url(call.repo)}/releases/{release.commit_id}?done=drilled", 303)


ROUTES = [
    *for_kinds(f"{ONE}/drill", show, needs=Action.HOLD),
    *for_kinds(f"{ONE}/drill", done, needs=Action.HOLD, methods=("POST",)),
]
