"""`GET .../safetensors-metadata/{index}`: names, types and shapes of a model in several files, in one answer."""

from dataclasses import replace

from starlette.responses import JSONResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import sharded
from gatekeeper.web.guard import Call
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.gathering import visible_commit


async def metadata(call: Call) -> Response:
    """The headers of all safetensors files that an index of main names, for who may download them."""
    session, repo, path, instant = call.session, call.repo, call.params["path"], now()
    store, policies = call.gatekeeper.store, call.gatekeeper.policies
    commit = await visible_commit(call, repo, call.resource)
    resource = await authz.load(session, call.principal, repo, commit=commit, instant=instant)
    authz.require(policies, call.principal, Action.DOWNLOAD, replace(resource, path=path), instant)
    authz.require_path(policies, call.principal, path, resource, instant)
    found, shards = await sharded.index(session, store, repo, commit, path)
    for shard in shards.values():
        authz.require_path(policies, call.principal, shard, resource, instant)
        authz.require(policies, call.principal, Action.DOWNLOAD, replace(resource, path=shard), instant)
    headers = await sharded.headers(session, store, repo, commit, shards)
    return JSONResponse({"index": {"metadata": found}, "headers": headers}, headers={"Cache-Control": "no-store"})


ROUTES = [
    api("/{kind:kind}/{ns}/{name}/safetensors-metadata/{path:rest}", metadata, needs=Action.DOWNLOAD),
]
