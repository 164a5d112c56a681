"""The evidence log for those who watch it: its signed head, its tree in tiles, and proofs.

Hashes are for everybody: they are made of random ids and instants, so nothing can be guessed from them. What the events
say is for the log's auditors, and to each person what they did themselves.
"""

import re

from starlette.responses import JSONResponse, PlainTextResponse, Response

from gatekeeper import authz, ledger
from gatekeeper.authz import Action, Hub
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.note import verifier_key
from gatekeeper.ledger import LedgerEvent
from gatekeeper.ledger.tiles import Piece
from gatekeeper.web.guard import Call
from gatekeeper.web.hub.doors import api

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_FOR_GOOD = "public, max-age=31536000, immutable"  # a tile, whole or of one width, never changes
_NOT_KEPT = "no-cache"
_PRIVATE = "private, no-store"


async def checkpoint(call: Call) -> Response:
    """`GET /api/ledger/checkpoint`: the newest signed tree head, for anybody who watches the log."""
    newest = await ledger.newest_checkpoint(call.session)
    if newest is None:
        raise NotFound("The evidence log has no checkpoint yet.", next_step="Ask again in a minute.")
    return PlainTextResponse(newest.note, headers={"Cache-Control": _NOT_KEPT})


async def key(call: Call) -> Response:
    """`GET /api/ledger/key`: the public key of log, receipts and reports, as C2SP tools take it (`name+id+base64`)."""
    house = call.gatekeeper
    text = verifier_key(house.settings.ledger_origin, house.keys.signing.public)
    return PlainTextResponse(f"{text}\n", headers={"Cache-Control": _NOT_KEPT})


async def tile(call: Call) -> Response:
    """`GET /api/ledger/tile/{level}/{index}`: hashes of the tree (C2SP tlog-tiles), `.p/{width}` for a part."""
    piece = Piece.parse(call.params["index"])
    return _bytes(await ledger.tiles.hash_tile(call.session, call.params["level"], piece), cache=_FOR_GOOD)


async def entries(call: Call) -> Response:
    """`GET /api/ledger/tile/entries/{index}`: the events of a tile (C2SP tlog-tiles), for the log's auditors."""
    return _bytes(
        await ledger.tiles.entry_bundle(call.session, Piece.parse(call.params["index"])),
        cache="private, max-age=31536000, immutable",
    )


async def proof(call: Call) -> Response:
    """`GET /api/ledger/proofs/{event}`: proof that an event is in the log (C2SP tlog-proof).

    The event's own bytes go with it only to whoever acted and to auditors: others learn its number, which is in no
    relation to what it says.
    """
    try:
        found = await ledger.prove(call.session, call.params["event"])
    except Conflict as error:  # an event that waits is not told from one that is not there
        raise NotFound("The ledger has no such event.", next_step="Ask again in a few seconds.") from error
    event = await call.session.get_one(LedgerEvent, call.params["event"])
    is_own = event.actor_id is not None and event.actor_id == call.principal.person_id
    right = Action.USE_ACCOUNT if is_own else Action.ADMIN_LEDGER
    may_read = authz.decide(
        call.gatekeeper.policies, call.principal, right, Hub(person_id=call.principal.person_id), now()
    )
    headers = {"Cache-Control": _PRIVATE, "Vary": "Authorization, Cookie"}
    return PlainTextResponse(found.as_text(with_event=bool(may_read)), headers=headers)


async def growth(call: Call) -> Response:
    """`GET /api/ledger/consistency`: proof that the newest log begins with the one of size `from` (RFC 6962)."""
    size = call.request.query_params.get("from", "")
    if not _SIZE.fullmatch(size):
        raise Invalid("Which log of before is not said.", next_step="Give the size of a kept checkpoint: ?from=1234.")
    grown = await ledger.prove_from(call.session, int(size))
    return JSONResponse(grown.as_json(), headers={"Cache-Control": _NOT_KEPT})


def _bytes(content: bytes, *, cache: str) -> Response:
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": cache})


ROUTES = [
    # Signed and without content: meant to be copied and compared by strangers.
    api("/ledger/checkpoint", checkpoint, needs=None),
    api("/ledger/key", key, needs=None),
    api("/ledger/tile/entries/{index:rest}", entries, needs=Action.ADMIN_LEDGER),
    api("/ledger/tile/{level}/{index:rest}", tile, needs=None),
    api("/ledger/proofs/{event}", proof, needs=None),
    api("/ledger/consistency", growth, needs=None),
]
