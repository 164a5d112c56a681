"""Making, changing and deleting repositories, and asking whether one may be used."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, repos
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import RepoKind, catalogue
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.named import in_namespace, require_named
from gatekeeper.web.kinds import page_path
from gatekeeper.web.respond import error_headers


async def create(call: Call) -> Response:
    """`POST /api/repos/create`: make a repository; 409 with the address of the one that has the name."""
    asked = schemas.parse(schemas.NewRepo, await call.request.body())
    namespace, name = in_namespace(call, asked.name, asked.organization)
    instant = now()
    place = await authz.load_namespace(call.session, call.principal, namespace)
    authz.require(call.gatekeeper.policies, call.principal, Action.CREATE_REPO, place, instant)
    try:
        repo = await catalogue.create(
            call.session, asked.kind, namespace, name, by=call.principal, private=asked.is_private, sdk=asked.sdk
        )
    except Conflict as conflict:
        full_name = str(conflict.details.get("full_name", f"{namespace}/{name}"))
        body = schemas.created(call.gatekeeper.url(page_path(asked.kind, full_name)), full_name)
        return JSONResponse(
            {"error": conflict.sentence, **body},
            conflict.status,
            headers=error_headers(conflict, status=conflict.status),
        )
    return JSONResponse(schemas.created(call.gatekeeper.url(page_path(repo.kind, repo.full_name)), repo.full_name))


async def delete(call: Call) -> Response:
    """`DELETE /api/repos/delete`: delete the repository that the JSON body names."""
    asked = schemas.parse(schemas.RepoName, await call.request.body())
    namespace, name = in_namespace(call, asked.name, asked.organization)
    repo = await require_named(call, asked.kind, f"{namespace}/{name}", Action.MANAGE)
    await catalogue.delete(call.session, repo, by=call.principal)
    return JSONResponse({})


async def move(call: Call) -> Response:
    """`POST /api/repos/move`: rename a repository, perhaps into another namespace; the old name leads to it."""
    asked = schemas.parse(schemas.MoveRepo, await call.request.body())
    repo = await require_named(call, schemas.KIND_OF_TYPE[asked.type], asked.source, Action.MANAGE)
    namespace, _, name = asked.target.partition("/")
    place = await authz.load_namespace(call.session, call.principal, namespace)
    authz.require(call.gatekeeper.policies, call.principal, Action.CREATE_REPO, place, now())
    await repos.move(call.session, repo, namespace, name, by=call.principal)
    return JSONResponse(schemas.created(call.gatekeeper.url(page_path(repo.kind, repo.full_name)), repo.full_name))


async def settings(call: Call) -> Response:
    """`PUT /api/{T}/{repo}/settings`: change the gate or who may see it; fields that are not known are refused."""
    asked = schemas.parse(schemas.RepoSettings, await call.request.body())
    if asked.gate is None and asked.is_private is None:
        raise Invalid("Nothing to change was sent.", next_step="Send `gated` or `visibility`.")
    repo = await catalogue.update_settings(
        call.session, call.repo, private=asked.is_private, gate=asked.gate, by=call.principal
    )
    return JSONResponse(schemas.settings(repo))


async def auth_check(call: Call) -> Response:
    """200 for a caller who has this right, and the refusal that says why for everybody else."""
    return JSONResponse({"ok": True})


class NotOffered(GatekeeperError):
    """A call of the public hub that this one does not have."""

    status = 501
    code = "NotImplemented"


class NoRuntime(NotOffered):
    """Something of a running Space: this hub keeps the files of Spaces and runs none."""


async def runtime(call: Call) -> Response:
    """Always refused: Spaces are kept here and not run, so they have no runtime, hardware, secrets or variables."""
    if call.repo.kind is not RepoKind.SPACE:
        raise NotFound("Only Spaces have a runtime.", next_step="See the documentation for clients.")
    raise NoRuntime(
        "Spaces are stored on this hub and not run.", next_step="Download the Space's files and run them yourself."
    )


_ANY = "/{kind:kind}/{ns}/{name}"
_RUN_PARTS = (
    "runtime", "secrets", "variables", "hardware", "sleeptime", "pause", "restart", "storage", "volumes", "dev-mode",
    "logs", "metrics", "events",
)  # fmt: skip

ROUTES = [
    *(
        api(f"{_ANY}/{part}", runtime, needs=Action.KNOW, methods=("GET", "POST", "PUT", "DELETE"), mode="read")
        for part in _RUN_PARTS
    ),
    # Namespace and repository are named in the body, so these three decide themselves.
    api("/repos/create", create, needs=None, methods=("POST",)),
    api("/repos/delete", delete, needs=None, methods=("DELETE",)),
    api("/repos/move", move, needs=None, methods=("POST",)),
    api("/{kind:kind}/{ns}/{name}/settings", settings, needs=Action.MANAGE, methods=("PUT",)),
    api("/{kind:kind}/{ns}/{name}/auth-check", auth_check, needs=Action.DOWNLOAD),
    api("/{kind:kind}/{ns}/{name}/auth-check/write", auth_check, needs=Action.WRITE),
]
