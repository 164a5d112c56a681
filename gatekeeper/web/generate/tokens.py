"""Short tokens for inference alone."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotSignedIn
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, find_by_any_name
from gatekeeper.tokens import AccessToken
from gatekeeper.tokens.inference import MOST_MODELS, issue_for_inference
from gatekeeper.web.finding import missing_repo
from gatekeeper.web.generate import schemas
from gatekeeper.web.guard import Call, guarded

_MINUTES = 15


async def make(call: Call) -> Response:
    """`POST /api/inference-tokens`: a short-lived token that generates with the named models alone."""
    if not call.principal.is_signed_in:
        raise NotSignedIn("You are not signed in.", next_step="Sign in or send an access token.")
    values = schemas.read_object(await call.request.body())
    models, minutes = values.get("models"), values.get("minutes", _MINUTES)
    if not isinstance(models, list) or not all(isinstance(name, str) for name in models) or len(models) > MOST_MODELS:
        raise Invalid("`models` must name repositories.", status=422, next_step='Send {"models": ["namespace/name"]}.')
    if not isinstance(minutes, int) or isinstance(minutes, bool) or values.keys() - {"models", "minutes"}:
        raise Invalid("Only `models` and a number of `minutes` are read.", status=422, next_step="Leave the rest out.")
    found = []
    for name in models:
        repo = await find_by_any_name(call.session, RepoKind.MODEL, name)
        if repo is None:
            raise await missing_repo(call.session, call.gatekeeper.policies, call.principal)
        found.append(repo)
    token, secret = await make_for(call, found, minutes=minutes)
    assert token.expires_at is not None  # it has just been given one
    answer = {"token": secret, "expires_at": instant_text(token.expires_at), "models": models}
    return JSONResponse(answer, 201, headers={"Cache-Control": "no-store"})


async def make_for(call: Call, models: list[Repo], *, minutes: int) -> tuple[AccessToken, str]:
    """A token that generates with these models, and its secret. Decides that the caller may with each."""
    for repo in models:
        resource = await authz.load(call.session, call.principal, repo)
        authz.require(call.gatekeeper.policies, call.principal, Action.GENERATE, resource, now())
    named = frozenset(repo.id for repo in models)
    return await issue_for_inference(
        call.session, named, minutes=minutes, key=call.gatekeeper.keys.tokens, by=call.principal
    )


ROUTES = [
    # The models are named in the body, so `make` decides about each.
    guarded("/api/inference-tokens", make, needs=None, methods=("POST",)),
]
