"""The headers from which clients tell their user how long to wait."""

from starlette.responses import Response

from gatekeeper.errors import TooMany
from gatekeeper.web.guard import Call
from gatekeeper.web.respond import error_json, has_credential


def rate_headers(error: TooMany) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` of a refusal, where what was used up is counted over a time.

    Of orders that run at once, and of a full queue, `Retry-After` says all there is to say.
    """
    if "window_seconds" not in error.details:
        return {}
    kind, seconds, limit, remaining, window = (
        error.details[name] for name in ("kind", "retry_after_seconds", "limit", "remaining", "window_seconds")
    )
    return {
        "RateLimit": f'"{kind}";r={remaining};t={seconds}',
        "RateLimit-Policy": f'"fixed window";"{kind}";q={limit};w={window}',
    }


def too_many(call: Call, error: TooMany) -> Response:
    """429 for a program."""
    response = error_json(error, has_credential=has_credential(call.request))
    response.headers.update(rate_headers(error))
    return response
