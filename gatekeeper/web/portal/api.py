"""The API, described: made from the routes themselves, so it is never out of date."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from starlette.responses import JSONResponse, Response

from gatekeeper import __version__
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.routing import RawRoute
from gatekeeper.web.templating import page

_CALL = re.compile(r"^`[A-Z]+ [^`]*`[:.]?\s*")  # how many descriptions begin
_PLAIN = str.maketrans(dict.fromkeys(" /{}:.-", "_"))
_API = ("/api/", "/models/", "/v1/", "/cas/", "/oauth/", "/.well-known/", "/uploads/", "/downloads/")

_DECIDED = (
    "/api/collections",
    "/api/repos",
    "/api/generations",
    "/api/inference-tokens",
    "/v1/images",
    "/cas/",
    "/uploads/",
)


def describe(routes: Iterable[RawRoute], *, server: str) -> dict[str, Any]:
    """The OpenAPI 3.1 description of `routes` that are for programs."""
    paths: dict[str, Any] = {}
    for route in programs(routes):
        path = route.pattern.replace(":rest}", "}").replace(":kind}", "}")
        for method in sorted(route.methods):
            paths.setdefault(path, {})[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatekeeper",
            "version": __version__,
            "description": "The Hugging Face Hub API, for its unmodified clients, and the calls of this hub's own.",
        },
        "servers": [{"url": server}],
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def programs(routes: Iterable[RawRoute]) -> list[RawRoute]:
    """The routes that programs call."""
    return [
        route
        for route in routes
        if route.pattern.startswith(_API) or "/resolve/" in route.pattern or "{name}.git/" in route.pattern
    ]


def said(route: RawRoute) -> str:
    """What a call does, without the method and path that stand beside it."""
    sentence = _CALL.sub("", route.summary)
    return sentence[:1].upper() + sentence[1:]


async def openapi(call: Call) -> Response:
    """The API as an OpenAPI document."""
    return JSONResponse(describe(call.request.app.state.routes, server=call.gatekeeper.settings.public_url))


async def docs(call: Call) -> Response:
    """The API as a page."""
    rows = [
        (", ".join(sorted(route.methods)), route.pattern, _needs(route), said(route))
        for route in sorted(programs(call.request.app.state.routes), key=lambda route: route.pattern)
    ]
    areas = [(area, list(calls)) for area, calls in groupby(rows, key=lambda row: _area(row[1]))]
    return page(call.request, call.principal, "portal/api.html", areas=areas)


def _needs(route: RawRoute) -> str:
    if not route.needs and route.pattern.startswith(_DECIDED) and route.methods - {"GET", "HEAD"}:
        return "that of what it is about"
    return route.needs.replace("_", " ")


def _area(pattern: str) -> str:
    """What the calls of a part of the page have in common: the first words of their path."""
    parts = pattern.replace(":kind}", "}").split("/")
    return "/".join(parts[:3] if parts[1] == "api" else parts[:2])


def _operation(route: RawRoute, method: str) -> dict[str, Any]:
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.names]
    operation: dict[str, Any] = {
        "summary": said(route),
        "operationId": f"{method.lower()} {route.pattern}".translate(_PLAIN),
        "parameters": parameters,
        "responses": {
            "2XX": {"description": "Done."},
            "4XX": {"description": "Refused: `X-Error-Code` names the case, `X-Error-Message` says what to do next."},
        },
    }
    if route.needs:
        operation["security"] = [{"token": []}, {}]
        operation["x-needs"] = route.needs
    return operation


ROUTES = (
    guarded("/openapi.json", openapi, needs=None),
    guarded("/docs", docs, needs=None),
)
