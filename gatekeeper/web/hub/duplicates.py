"""`POST .../duplicate`: a copy of a repository as its reader sees it, in a namespace of theirs."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, duplicating
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.gathering import visible_commit
from gatekeeper.web.kinds import page_path
from gatekeeper.web.respond import error_headers


async def duplicate(call: Call) -> Response:
    """Copy the files of main, as the caller may download them, into a new repository with one commit.

    The copy has the source's gate, and is private unless everybody may download the source, whatever was asked for: it
    must not open what the source keeps closed.
    """
    asked = schemas.parse(schemas.DuplicateRepo, await call.request.body())
    session, policies, source, instant = call.session, call.gatekeeper.policies, call.repo, now()
    namespace, _, name = asked.repository.partition("/")
    place = await authz.load_namespace(session, call.principal, namespace)
    authz.require(policies, call.principal, Action.CREATE_REPO, place, instant)
    commit = await visible_commit(call, source, call.resource)
    resource = await authz.load(session, call.principal, source, commit=commit, instant=instant)
    for action in (Action.DOWNLOAD, Action.READ_SMALL, Action.DERIVE):
        authz.require(policies, call.principal, action, resource, instant)
    is_open = not source.is_staged and not source.is_private
    try:
        made = await catalogue.create(
            session, source.kind, namespace, name, by=call.principal, private=bool(asked.is_private) or not is_open
        )
    except Conflict as conflict:
        full_name = str(conflict.details.get("full_name", asked.repository))
        body = schemas.created(call.gatekeeper.url(page_path(source.kind, full_name)), full_name)
        headers = error_headers(conflict, status=conflict.status)
        return JSONResponse({"error": conflict.sentence, **body}, conflict.status, headers=headers)
    head = await duplicating.copy_files(session, source, commit, made, by=call.principal)
    await releases.take_note(session, made, head, branch="main", by=call.principal)
    return JSONResponse(schemas.created(call.gatekeeper.url(page_path(made.kind, made.full_name)), made.full_name))


ROUTES = [api("/{kind:kind}/{ns}/{name}/duplicate", duplicate, needs=Action.DOWNLOAD, methods=("POST",))]
