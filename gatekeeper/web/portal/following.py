"""Following a repository or a discussion, and not any more."""

from starlette.responses import RedirectResponse, Response

from gatekeeper import notices
from gatekeeper.authz import Action
from gatekeeper.community import discussions
from gatekeeper.errors import Invalid
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import repo_url


async def repository(call: Call) -> Response:
    """`POST /{ns}/{name}/follow`: `follow` says whether or not."""
    return await _choose(call, notices.following.WHOLE, repo_url(call.repo))


async def discussion(call: Call) -> Response:
    """`POST /{ns}/{name}/discussions/{num}/follow`: the same for one discussion."""
    found = await discussions.require(call.session, call.repo, call.params["num"])
    return await _choose(call, found.num, f"{repo_url(call.repo)}/discussions/{found.num}")


async def _choose(call: Call, num: int, back: str) -> Response:
    match forms.text(await forms.read(call.request), "follow", most=5):
        case "true":
            verb, done = notices.following.follow, "followed"
        case "false":
            verb, done = notices.following.unfollow, "unfollowed"
        case _:
            raise Invalid("Whether to follow this was not said.", next_step="Press the button on its page.")
    await verb(call.session, call.repo, num, by=call.principal)
    return RedirectResponse(f"{back}?done={done}", 303)


ROUTES = [
    *for_kinds("/{ns}/{name}/follow", repository, needs=Action.KNOW, methods=("POST",)),
    *for_kinds("/{ns}/{name}/discussions/{num}/follow", discussion, needs=Action.DISCUSS_READ, methods=("POST",)),
]
