"""How refusals are said to `git` and `git lfs`: a line of text or a `message`, and a challenge they understand."""

from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gatekeeper.errors import GatekeeperError
from gatekeeper.web import respond
from gatekeeper.web.routing import RawRoute

LFS_JSON = "application/vnd.git-lfs+json"
Say = Callable[[GatekeeperError, int], Response]


def for_git(routes: list[RawRoute]) -> list[RawRoute]:
    """`routes` with refusals as plain text, which git prints."""
    return [_saying(route, _plain) for route in routes]


def for_lfs(routes: list[RawRoute]) -> list[RawRoute]:
    """`routes` with refusals as JSON that holds both what git-lfs prints and what the Hub's clients read."""
    return [_saying(route, _json) for route in routes]


def _saying(route: RawRoute, say: Say) -> RawRoute:
    handler = route.handler

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await handler(scope, receive, send)
        except GatekeeperError as error:
            known = respond.has_credential(Request(scope))
            status = respond.status_for(error, has_credential=known)
            response = say(error, status)
            if status == 401:
                # git asks for a user name and a password only when it is challenged so; the password is the token.
                response.headers["WWW-Authenticate"] = 'Basic realm="gatekeeper"'
            await response(scope, receive, send)

    return replace(route, handler=handle)


def _plain(error: GatekeeperError, status: int) -> Response:
    return PlainTextResponse(f"{error.sentence}\n", status, headers=respond.error_headers(error, status=status))


def _json(error: GatekeeperError, status: int) -> Response:
    body = {"message": error.sentence, "error": error.sentence, "code": error.code}
    return JSONResponse(body, status, headers=respond.error_headers(error, status=status), media_type=LFS_JSON)
