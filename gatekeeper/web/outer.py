"""The outermost layer: request ids, security headers, errors into answers, one log line without anything private."""

import contextlib
import secrets
import time
from collections.abc import Callable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper.errors import GatekeeperError, TooMany, Unavailable
from gatekeeper.kit.traces import place
from gatekeeper.web import hot, respond
from gatekeeper.web.limits import Headers, RateLimits

ErrorPage = Callable[[Request, GatekeeperError, int], Response]

_log = structlog.get_logger("gatekeeper.web")

# Strict enough that a hostile card or image cannot run anything, even if the sanitizer missed it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Outer:
    """Wraps the application. Nothing inside needs to think about headers or about errors it does not handle."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        error_page: ErrorPage,
        is_https: bool,
        cache: hot.HotCache,
        limits: RateLimits,
    ) -> None:
        self._app = app
        self._error_page = error_page
        self._cache = cache
        self._limits = limits
        security = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]
        if is_https:
            security.append((b"strict-transport-security", b"max-age=31536000"))
        self._security = tuple(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._cache.applies_to(scope):
            # Both come before an answer begins (no evidence, no file): the long way meets them again and says so.
            with contextlib.suppress(Unavailable, FileNotFoundError):
                if await self._cache.answer(scope, receive, send):
                    return
        started = time.perf_counter()
        request_id = hot.request_id(scope) or secrets.token_hex(16).encode()
        status = 500
        has_begun = False
        is_limited = self._limits.applies_to(scope)
        limit_headers: Headers = ()

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                has_begun, status = True, message["status"]
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                headers.extend(pair for pair in (*self._security, *limit_headers) if pair[0] not in present)
                headers.append((b"x-request-id", request_id))
            await send(message)

        try:
            if is_limited:
                try:
                    limit_headers = self._limits.take(scope)
                except TooMany as refusal:
                    limit_headers = self._limits.refused(refusal)
                    raise
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if has_begun:
                raise
            answer = self._answer_error(Request(scope, receive), error, request_id)
            await answer(scope, receive, send_with_headers)
        finally:
            if is_limited:
                self._limits.saw(scope, status=status)
            _log.info(
                "request",
                method=scope["method"],
                route=scope.get("route_pattern", "none"),
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
                id=request_id.decode(),
            )

    def _answer_error(self, request: Request, error: Exception, request_id: bytes) -> Response:
        if not isinstance(error, GatekeeperError):
            if _is_disk_full(error):
                error = Unavailable(
                    "The server has no space left, so nothing was stored.",
                    next_step="Try again later; the operator must free disk space.",
                    status=507,
                )
            else:
                # The message of an unexpected error may hold what a person sent; only its kind and place are logged.
                _log.error("crash", kind=type(error).__name__, at=place(error), id=request_id.decode())
                error = GatekeeperError(
                    "Something went wrong on the server, and nothing was changed.",
                    next_step=f"If it happens again, tell the operator the request id {request_id.decode()}.",
                )
        known = respond.has_credential(request)
        if respond.wants_page(request):
            return self._error_page(request, error, respond.status_for(error, has_credential=known))
        return respond.error_json(error, has_credential=known)


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (28, 122):  # ENOSPC, EDQUOT
            return True
        if "database or disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
