"""Git LFS in parts: an address for each part, and one that is told when all were sent."""

from starlette.responses import JSONResponse, Response

from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import lfs, lfs_parts
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.programs import for_lfs
from gatekeeper.web.hub.spool import pieces
from gatekeeper.web.hub.uploads import still_may

_BODY_LIMIT = 2 * 2**20


async def put_part(call: Call) -> Response:
    """`PUT /uploads/parts/{signed}`: take one part of a file; the address is the authorization."""
    gatekeeper = call.gatekeeper
    claim = lfs_parts.verify_part(gatekeeper.keys.links, call.params["signed"], instant=now())
    async with gatekeeper.db.read() as session:
        await still_may(call, session, claim.whole, part_bytes=claim.length)
        digest = await lfs_parts.known(session, claim)
    if digest is not None:
        async for _ in pieces(call.request):  # read to its end, or the client sees a broken connection
            pass
        return _received(digest)
    digest = await lfs_parts.receive(gatekeeper.store, claim, pieces(call.request))
    async with gatekeeper.db.write() as session:
        await still_may(call, session, claim.whole, part_bytes=claim.length)
        replaced = await lfs_parts.register(session, claim, digest)
    if replaced is not None:
        await gatekeeper.store.remove(replaced)
    return _received(digest)


async def complete(call: Call) -> Response:
    """`POST /uploads/complete/{signed}`: join the parts and verify the whole. May be repeated."""
    gatekeeper = call.gatekeeper
    upload_id, whole = lfs_parts.verify_completion(gatekeeper.keys.links, call.params["signed"], instant=now())
    asked = schemas.parse(schemas.LfsParts, await read_body(call.request, limit=_BODY_LIMIT))
    etags = {part.number: part.etag.strip('"') for part in asked.parts}
    async with gatekeeper.db.read() as session:
        repo = await still_may(call, session, whole)
        if await lfs.has(session, repo, whole.sha256):
            return JSONResponse({})
        parts = await lfs_parts.told(session, upload_id, whole, etags)
    try:
        await lfs_parts.join(gatekeeper.store, whole, parts)
    except Invalid:
        # One of them is wrong, and nobody knows which: all are sent again.
        async with gatekeeper.db.write() as session:
            gone = await lfs_parts.forget(session, upload_id)
        await lfs_parts.remove(gatekeeper.store, gone)
        raise
    async with gatekeeper.db.write() as session:
        await still_may(call, session, whole)
        gone = await lfs_parts.finish(session, upload_id, whole)
    await lfs_parts.remove(gatekeeper.store, gone)
    return JSONResponse({})


def _received(digest: str) -> Response:
    return JSONResponse({}, headers={"ETag": f'"{digest}"'})


ROUTES = for_lfs(
    [
        # The signed addresses say who, what and where; both decide about that person themselves.
        guarded("/uploads/parts/{signed}", put_part, needs=None, methods=("PUT",), mode="own"),
        guarded("/uploads/complete/{signed}", complete, needs=None, methods=("POST",), mode="own"),
    ]
)
