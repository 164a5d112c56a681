"""Turns errors into answers: the Hub's headers and JSON for programs, a page for people. Nothing else does."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatekeeper.errors import Gated, GatekeeperError, NotAllowed, RepoNotFound, TooMany

# Paths whose callers are programs, whatever they say they accept.
_API_PREFIXES = ("/api/", "/v1/", "/models/", "/oauth/", "/cas/", "/healthz", "/readyz", "/metrics", "/uploads/")
_HEADER_LIMIT = 900


def wants_page(request: Request) -> bool:
    """Whether a person in a browser is waiting: an HTML-accepting request outside the API's paths."""
    path = request.url.path
    if path == "/oauth/authorize":  # a person's browser is sent there
        return "text/html" in request.headers.get("accept", "")
    if path.startswith(_API_PREFIXES) or "/resolve/" in path or ".git/" in path:
        return False
    return "text/html" in request.headers.get("accept", "")


def error_headers(error: GatekeeperError, *, status: int) -> dict[str, str]:
    """`X-Error-Code` and `X-Error-Message` as the Hub's clients read them: one line of printable ASCII."""
    headers = {"X-Error-Code": error.code, "X-Error-Message": header_text(error.sentence), "Cache-Control": "no-store"}
    if error.message == "Invalid credentials in Authorization header":
        # The client recognizes a wrong token by exactly this message and by the absence of a code.
        headers["X-Error-Message"] = error.message
        del headers["X-Error-Code"]
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="gatekeeper"'
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(int(error.details.get("retry_after_seconds", 60)))
    if error.status == 405:
        headers["Allow"] = error.next_step.removeprefix("Use ").rstrip(".")
    return headers


def status_for(error: GatekeeperError, *, has_credential: bool) -> int:
    """The status in force: what hides or gates answers 401 to callers without a credential, as the public hub does."""
    if not has_credential and isinstance(error, RepoNotFound | Gated):
        return 401
    if not has_credential and isinstance(error, NotAllowed):
        return 401
    return error.status


def error_json(error: GatekeeperError, *, has_credential: bool) -> Response:
    """The answer for a program."""
    status = status_for(error, has_credential=has_credential)
    body: dict[str, Any] = {"error": error.sentence, "code": error.code}
    if error.next_step:
        body["next_step"] = error.next_step
    if error.rules:
        body["rules"] = list(error.rules)
    if error.details:
        body["details"] = error.details
    return JSONResponse(body, status, headers=error_headers(error, status=status))


def has_credential(request: Request) -> bool:
    """Whether the caller showed any credential, good or bad."""
    return "authorization" in request.headers or "gatekeeper" in request.headers.get("cookie", "")


def header_text(text: str) -> str:
    """`text` as a header value: one line, printable ASCII, at most 900 characters."""
    line = " ".join(text.split())
    return "".join(c if " " <= c <= "~" else "?" for c in line)[:_HEADER_LIMIT]
