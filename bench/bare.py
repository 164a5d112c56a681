"""The baseline: a bare Starlette application that checks nothing. Run by bench/gate.py and bench/hub.py.

BARE_FILE    the file that is served, whatever was asked for (bench/gate.py)
BARE_FOLDER  a folder whose files are served by name (bench/hub.py)
BARE_ACCEL   where the nginx before it has that folder, if it is to send them
"""

import os
from pathlib import Path

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
_FOLDER, _ACCEL = os.environ.get("BARE_FOLDER", ""), os.environ.get("BARE_ACCEL", "")
_SMALL = os.urandom(1024)


async def redirect(request: Request) -> Response:
    """A 302 with the hub's headers."""
    return Response(status_code=302, headers=_HEADERS)


async def file(request: Request) -> Response:
    """A small file from memory, a large one as Starlette serves files; a folder's files as the settings say."""
    name = request.path_params["path"]
    if _ACCEL:
        return Response(headers={**_HEADERS, "x-accel-redirect": f"{_ACCEL}/sha256/{name}"})
    if _FOLDER:
        return FileResponse(Path(_FOLDER) / name)
    if name == "small.bin":
        return Response(_SMALL, headers=_HEADERS)
    return FileResponse(os.environ["BARE_FILE"])


app = Starlette(
    routes=[
        Route("/{ns}/{name}/resolve/{rev}/{path:path}", redirect, methods=["HEAD"]),
        Route("/{ns}/{name}/resolve/{rev}/{path:path}", file, methods=["GET"]),
    ]
)
