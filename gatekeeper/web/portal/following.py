"""Following a repository or a discussion, and not any more."""

from collections.abc import Awaitable, Callable

from starlette.responses import RedirectResponse, Response

from gatekeeper import notices
from gatekeeper.authz import Action
from gatekeeper.community import discussions
from gatekeeper.errors import Invalid, NotSignedIn
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import repo_url


async def follow(call: Call) -> Response:
    """`POST /{ns}/{name}/follow`: `follow` says whether or not."""
    choose, done = await _asked(call)
    await choose(call.session, call.repo, by=call.principal)
    return RedirectResponse(f"{repo_url(call.repo)}?done={done}", 303)


async def follow_discussion(call: Call) -> Response:
    """`POST /{ns}/{name}/discussions/{num}/follow`: the same for one discussion."""
    choose, done = await _asked(call)
    found = await discussions.require(call.session, call.repo, call.params["num"])
    await choose(call.session, call.repo, found.num, by=call.principal)
    return RedirectResponse(f"{repo_url(call.repo)}/discussions/{found.num}?done={done}", 303)


async def _asked(call: Call) -> tuple[Callable[..., Awaitable[None]], str]:
    """The verb, and what the page says afterwards. Raises NotSignedIn, Invalid."""
    if not call.principal.is_signed_in:
        raise NotSignedIn("Only people follow something.", next_step="Sign in first.")
    match forms.text(await forms.read(call.request), "follow", most=5):
        case "true":
            return notices.following.follow, "followed"
        case "false":
            return notices.following.unfollow, "unfollowed"
        case _:
            raise Invalid("Whether to follow this was not said.", next_step="Press the button on its page.")


ROUTES = [
    *for_kinds("/{ns}/{name}/follow", follow, needs=Action.KNOW, methods=("POST",)),
    *for_kinds(
        "/{ns}/{name}/discussions/{num}/follow", follow_discussion, needs=Action.DISCUSS_READ, methods=("POST",)
    ),
]
