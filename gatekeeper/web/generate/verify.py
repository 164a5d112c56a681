"""`POST /api/verify`: what an image is and where it came from; and the certificates by which others can tell."""

import asyncio

from starlette.responses import JSONResponse, Response

from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.verifying import verdict_on


async def verify(call: Call) -> Response:
    """Signature, watermark and record of an image that is sent as the body or as the form field `file`."""
    verdict = await verdict_on(call)
    return JSONResponse(verdict.as_json(), headers={"Cache-Control": "no-store"})


async def certificates(call: Call) -> Response:
    """The certificates to trust in order to trust this hub's images, as PEM."""
    pem = await asyncio.to_thread(lambda: call.gatekeeper.notary.authority.anchors_pem)
    return Response(
        pem,
        media_type="application/x-pem-file",
        headers={"Content-Disposition": 'attachment; filename="image-authority.pem"'},
    )


ROUTES = [
    # Anybody may ask what an image is: who was sent one has no account.
    guarded("/api/verify", verify, needs=None, methods=("POST",), mode="own"),
    guarded("/.well-known/provenance-ca.pem", certificates, needs=None, mode="own"),
]
