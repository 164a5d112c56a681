"""What programs that index the web are asked to leave alone; what is somebody's own they do not get anyway."""

from starlette.responses import PlainTextResponse, Response

from gatekeeper.web.guard import Call, guarded

_LEAVE = ("/admin", "/api/", "/*/resolve/", "/*/compare/")


async def robots(call: Call) -> Response:
    """`GET /robots.txt`."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in _LEAVE), "Allow: /"]
    return PlainTextResponse("\n".join(lines) + "\n", headers={"Cache-Control": "public, max-age=86400"})


ROUTES = (guarded("/robots.txt", robots, needs=None),)
