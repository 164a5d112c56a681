"""OpenAI's list of models: those that the caller may make images with."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, catalogue, history
from gatekeeper.web.generate.openai_errors import for_openai
from gatekeeper.web.generate.ordering import named, revision_of
from gatekeeper.web.guard import Call, guarded

_PAGE = 100
_MOST_ROUNDS = 10
_PIPELINE = "model_index.json"


async def listing(call: Call) -> Response:
    """`GET /v1/models`: the models that you may make images with."""
    policies, instant = call.gatekeeper.policies, now()
    found: list[dict[str, object]] = []
    after = None
    for _ in range(_MOST_ROUNDS):
        rows = await catalogue.listing(
            call.session,
            RepoKind.MODEL,
            visible=authz.listing_filter(policies, call.principal, instant),
            after=after,
            limit=_PAGE,
        )
        for repo in rows:
            resource = await authz.load(call.session, call.principal, repo, instant=instant)
            allowed = authz.decide(policies, call.principal, Action.GENERATE, resource, instant)
            if isinstance(allowed, authz.Allowed):
                commit = await revision_of(call.session, repo, allowed, resource)
                if await history.find_entry(call.session, repo, commit, _PIPELINE) is not None:
                    found.append(_shown(repo))
        if len(rows) < _PAGE:
            break
        after = rows[-1].id
    return JSONResponse({"object": "list", "data": found})


async def show(call: Call) -> Response:
    """`GET /v1/models/{model}`: one model, with its name as one part of the address, or as two."""
    name = call.params.get("model") or f"{call.params['ns']}/{call.params['name']}"
    repo, resource = await named(call, call.session, name, None)
    authz.require(call.gatekeeper.policies, call.principal, Action.GENERATE, resource, now())
    return JSONResponse(_shown(repo))


def _shown(repo: Repo) -> dict[str, object]:
    created = int(repo.created_at.timestamp())
    return {"id": repo.full_name, "object": "model", "created": created, "owned_by": repo.namespace}


ROUTES = [
    for_openai(guarded("/v1/models", listing, needs=None)),
    for_openai(guarded("/v1/models/{model}", show, needs=None)),
    for_openai(guarded("/v1/models/{ns}/{name}", show, needs=Action.KNOW)),
]
