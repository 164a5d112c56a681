"""The baseline: a bare Starlette application that checks nothing. Run by bench/gate.py under uvicorn."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

# The headers that the hub's clients need, so that both sides send as many bytes.
_HEADERS = {
    "location": "http://127.0.0.1/elsewhere",
    "etag": '"' + "a" * 64 + '"',
    "x-repo-commit": "b" * 40,
    "x-linked-etag": '"' + "a" * 64 + '"',
    "x-linked-size": "1048576",
    "accept-ranges": "bytes",
    "cache-control": "private, no-cache",
    "vary": "Authorization, Cookie",
    "x-content-type-options": "nosniff",
}


async def redirect(request: Request) -> Response:
    """A 302 with the hub's headers."""
    return Response(status_code=302, headers=_HEADERS)


async def file(request: Request) -> Response:
    """A small file from memory, a large one as Starlette serves files."""
    if request.path_params["path"] == "small.bin":
        return Response(_SMALL, headers=_HEADERS)
    return FileResponse(os.environ["BARE_FILE"])


_SMALL = os.urandom(1024)


app = Starlette(
    routes=[
        Route("/{ns}/{name}/resolve/{rev}/{path:path}", redirect, methods=["HEAD"]),
        Route("/{ns}/{name}/resolve/{rev}/{path:path}", file, methods=["GET"]),
    ]
)
