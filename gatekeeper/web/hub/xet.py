"""Xet uploads: the tokens, and the calls that the public client makes at the content-addressed endpoint.

The client does not negotiate: with `hf_xet` installed it sends every large file this way. Downloads are in `xet_read`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.responses import JSONResponse, Response, StreamingResponse

from gatekeeper.authz import Action
from gatekeeper.errors import GatekeeperError, NotFound, Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, shadows, xet
from gatekeeper.repos.xet import Progress
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.hub import places, schemas
from gatekeeper.web.hub.cas import Writer, cas, writer
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import flag
from gatekeeper.web.hub.spool import pieces

_SIGN_OF_LIFE_SECONDS = 15.0


async def write_token(call: Call) -> Response:
    """`GET .../xet-write-token/{rev}`: a short-lived token for uploads by Xet, and the endpoint that takes them."""
    gatekeeper = call.gatekeeper
    async with gatekeeper.db.read() as session:
        place = await places.require(call, session, call.params["branch"], opens=flag(call, "create_pr"))
    if place is None:
        async with gatekeeper.db.write() as session:
            await call.recheck(session)
            place = await shadows.ensure(session, call.repo, by=call.principal)
    token, expires_at = xet.issue(gatekeeper.keys.links, place, by=call.principal, scope="write", instant=now())
    return token_answer(call, place, token, expires_at)


def token_answer(call: Call, repo: Repo, token: str, expires_at: int) -> Response:
    """A Xet token and the address it is for: the same in JSON, which `hf_xet` reads, and in headers, for Python."""
    address = call.gatekeeper.url(xet.cas_path(repo))
    return JSONResponse(
        schemas.xet_token(token, expires_at, address),
        headers={
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(expires_at),
            "X-Xet-Cas-Url": address,
            "Cache-Control": "no-store",
        },
    )


async def known_chunk(call: Call) -> Response:
    """`GET .../v1/chunks/default/{hash}`: stored chunks around this one, which need not be sent again."""
    by = await writer(call, call.session)
    found = await xet.dedup_answer(call.session, by.repo.id, call.params["hash"], sender=by.sender, instant=now())
    if found is None:
        raise NotFound("Not known here.", next_step="Send the data.")
    return Response(found, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


async def need_not_send(call: Call) -> Response:
    """`POST .../v1/xorb-grants/...`: whether a xorb can be named without being sent; 404 is the cue to send it here."""
    by = await writer(call, call.session)
    xorb_hash = call.params["hash"]
    is_here = await xet.is_within_reach(call.session, by.repo.id, xorb_hash, by.sender)
    if not is_here or not await xet.renew_xorb(call.session, by.repo.id, xorb_hash):
        raise NotFound("Not known here.", next_step="Send the data.")
    return JSONResponse({}, headers={"Cache-Control": "no-store"})


async def telemetry(call: Call) -> Response:
    """Usage reports of the transfer library: looked at by nobody, kept nowhere."""
    return Response(status_code=204)


async def receive_xorb(call: Call) -> Response:
    """`POST .../v1/xorbs/default/{hash}`: take a xorb, which is verified while it arrives."""
    gatekeeper, xorb_hash = call.gatekeeper, call.params["hash"]
    async with gatekeeper.db.read() as session:
        repo = (await writer(call, session)).repo
        is_known = await xet.was_sent(session, repo.id, xorb_hash)
    if is_known:
        async for _ in pieces(call.request):  # read to its end, or the client sees a broken connection
            pass
        async with gatekeeper.db.write() as session:
            if await xet.renew_xorb(session, repo.id, xorb_hash):
                return JSONResponse({"was_inserted": False})
        raise Unavailable("The data was cleaned up meanwhile.", next_step="Send it again.")
    async with (
        xet.receive_xorb(gatekeeper.store, xorb_hash, pieces(call.request)) as received,
        gatekeeper.db.write() as session,
    ):
        repo = (await writer(call, session)).repo
        is_new = await xet.register_xorb(session, gatekeeper.store, repo, received)
    return JSONResponse({"was_inserted": is_new})


async def accept_shard(call: Call) -> Response:
    """`POST .../v2/shards`: make files of chunks that were sent; answers with lines of JSON on how it goes."""
    body = await read_body(call.request, limit=xet.MAX_SHARD_BYTES)
    async with call.gatekeeper.db.read() as session:
        by = await writer(call, session, as_piece=False)
    lines = _verdict_lines(_progress(call, by, body))
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


async def accept_shard_at_once(call: Call) -> Response:
    """`POST .../v1/shards`: make files of chunks that were sent, for clients that wait in silence."""
    body = await read_body(call.request, limit=xet.MAX_SHARD_BYTES)
    async with call.gatekeeper.db.read() as session:
        by = await writer(call, session, as_piece=False)
    async for _ in _progress(call, by, body):
        pass
    return JSONResponse({"result": 1})


def _progress(call: Call, by: Writer, body: bytes) -> AsyncIterator[Progress]:
    gatekeeper = call.gatekeeper
    return xet.accept_shard(
        gatekeeper.db,
        gatekeeper.store,
        by.repo,
        body,
        sender=by.sender,
        person_id=by.person_id,
        limit_bytes=by.allowance.file_bytes,
        room_bytes=by.allowance.all_bytes,
    )


async def _verdict_lines(progress: AsyncIterator[Progress]) -> AsyncIterator[bytes]:
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


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode() + b"\n"


ROUTES = [
    api("/{kind:kind}/{ns}/{name}/xet-write-token/{branch}", write_token, needs=Action.UPLOAD, mode="own"),
    cas("/v1/chunks/{prefix}/{hash}", known_chunk, method="GET", mode="read"),
    cas("/v1/xorb-grants/{prefix}/{hash}", need_not_send, mode="write"),
    cas("/v1/xorbs/{prefix}/{hash}", receive_xorb, mode="own"),
    cas("/v1/shards", accept_shard_at_once, mode="own"),
    cas("/v2/shards", accept_shard, mode="own"),
    guarded("/v1/telemetry", telemetry, needs=None, methods=("POST",), mode="read"),
]
