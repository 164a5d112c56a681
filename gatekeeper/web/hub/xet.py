"""Xet uploads: the tokens, and the calls that the public client makes at the content-addressed endpoint.

The client does not negotiate: with `hf_xet` installed it sends every large file this way. Downloads stay plain HTTP.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gatekeeper import authz, tokens
from gatekeeper.authz import Action
from gatekeeper.errors import GatekeeperError, NotFound, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, catalogue, xet
from gatekeeper.repos.xet import XetGrant
from gatekeeper.web.guard import Call, Endpoint, Mode, guarded, read_body
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import flag
from gatekeeper.web.hub.repositories import NotOffered
from gatekeeper.web.hub.spool import pieces
from gatekeeper.web.principal import bearer_secret
from gatekeeper.web.routing import RawRoute

_SIGN_OF_LIFE_SECONDS = 15.0


async def write_token(call: Call) -> Response:
    """`GET .../xet-write-token/{rev}`: the same facts in JSON, which `hf_xet` reads, and in headers, for Python."""
    if flag(call, "create_pr"):
        raise NotOffered("Pull requests are not offered here yet.", next_step="Commit to a branch you may write to.")
    token, expires_at = xet.issue(
        call.gatekeeper.keys.links, call.repo, by=call.principal, scope="write", instant=now()
    )
    address = call.gatekeeper.url(xet.cas_path(call.repo))
    return JSONResponse(
        schemas.xet_token(token, expires_at, address),
        headers={
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(expires_at),
            "X-Xet-Cas-Url": address,
            "Cache-Control": "no-store",
        },
    )


async def unknown_chunk(call: Call) -> Response:
    """Global deduplication and upload grants: 404 is the client's cue to send the bytes."""
    raise NotFound("Not known here.", next_step="Send the data.")


async def telemetry(call: Call) -> Response:
    """Usage reports of the transfer library: looked at by nobody, kept nowhere."""
    return Response(status_code=204)


async def receive_xorb(call: Call) -> Response:
    """`POST .../v1/xorbs/default/{hash}`: verified while it arrives, then registered in a short transaction."""
    gatekeeper, xorb_hash = call.gatekeeper, call.params["hash"]
    async with gatekeeper.db.read() as session:
        repo, _ = await _allowed(call, session)
        is_known = await xet.has_xorb(session, repo.id, xorb_hash)
    if is_known:
        async for _ in pieces(call.request):  # read to its end, or the client sees a broken connection
            pass
        return JSONResponse({"was_inserted": False})
    received = await xet.receive_xorb(gatekeeper.store, repo.id, xorb_hash, pieces(call.request))
    async with gatekeeper.db.write() as session:
        repo, _ = await _allowed(call, session)
        return JSONResponse({"was_inserted": await xet.register_xorb(session, repo, received)})


async def accept_shard(call: Call) -> Response:
    """`POST .../v2/shards`: progress as lines of JSON, so that the client waits and the user reads why it failed."""
    body = await read_body(call.request, limit=xet.MAX_SHARD_BYTES)
    async with call.gatekeeper.db.read() as session:
        repo, grant = await _allowed(call, session)
    lines = _verdict_lines(call, repo, grant, body)
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


async def _verdict_lines(call: Call, repo: Repo, grant: XetGrant, body: bytes) -> AsyncIterator[bytes]:
    gatekeeper = call.gatekeeper
    progress = xet.accept_shard(
        gatekeeper.db,
        gatekeeper.store,
        repo,
        body,
        person_id=grant.person_id,
        limit_bytes=gatekeeper.settings.upload_max_bytes,
    )
    told = {"verified": 0, "total": 0}
    step = None
    try:
        while True:
            step = step or asyncio.ensure_future(anext(progress))
            # The client gives up after 300 silent seconds, and one large file takes longer than that.
            done, _ = await asyncio.wait({step}, timeout=_SIGN_OF_LIFE_SECONDS)
            if done:
                found = step.result()
                step = None
                told = {"verified": found.verified, "total": found.total}
            yield _line({"type": "validating", **told})
    except StopAsyncIteration:
        yield _line({"type": "result", "result": 1})
    except GatekeeperError as error:
        yield _line({"type": "error", "message": error.sentence, "retryable": error.status >= 500})
    finally:
        if step is not None:
            step.cancel()
            await asyncio.wait({step})
        if isinstance(progress, AsyncGenerator):
            await progress.aclose()


async def _allowed(call: Call, session: AsyncSession) -> tuple[Repo, XetGrant]:
    """The repository of this address and what the token allows, decided again now: a token must not outlive a right."""
    params, instant = call.params, now()
    if not params["epoch"].isascii() or not params["epoch"].isdigit() or len(params["epoch"]) > 9:
        raise NotFound("There is no such endpoint.", next_step="Start the transfer again.")
    grant = xet.check(
        call.gatekeeper.keys.links,
        bearer_secret(call.request.scope["xet_bearer"]),
        repo_id=params["repo"],
        epoch=int(params["epoch"]),
        scope="write",
        instant=instant,
    )
    repo = await catalogue.by_id(session, grant.repo_id)
    if repo is None or repo.xet_epoch != grant.epoch:
        raise RepoNotFound("Repository not found.", next_step="It was deleted during the upload.")
    principal = await tokens.resume(session, grant.person_id, grant.token_id)
    resource = await authz.load(session, principal, repo, instant=instant)
    authz.require(call.gatekeeper.policies, principal, Action.WRITE, resource, instant)
    return repo, grant


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode() + b"\n"


_CAS = "/cas/e/{epoch}/{repo}"


def _cas(place: str, endpoint: Endpoint, *, method: str = "POST", mode: Mode) -> RawRoute:
    """A route of the endpoint. Its bearer is no access token, so the guard never sees it: `_allowed` decides."""
    route = guarded(f"/cas/e/{{epoch}}/{{repo}}{place}", endpoint, needs=None, methods=(method,), mode=mode)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        bearer = next((value for name, value in headers if name == b"authorization"), b"")
        rest = [(name, value) for name, value in headers if name != b"authorization"]
        await route.handler({**scope, "headers": rest, "xet_bearer": bearer.decode("latin-1")}, receive, send)

    return replace(route, handler=handle)


ROUTES = [
    api("/{kind:kind}/{ns}/{name}/xet-write-token/{branch}", write_token, needs=Action.WRITE, mode="read"),
    _cas("/v1/chunks/{prefix}/{hash}", unknown_chunk, method="GET", mode="read"),
    _cas("/v1/xorb-grants/{prefix}/{hash}", unknown_chunk, mode="read"),
    _cas("/v1/xorbs/{prefix}/{hash}", receive_xorb, mode="own"),
    _cas("/v2/shards", accept_shard, mode="own"),
    guarded("/v1/telemetry", telemetry, needs=None, methods=("POST",), mode="read"),
]
