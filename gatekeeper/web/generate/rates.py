"""The headers from which clients tell their user how long to wait."""

from starlette.responses import Response

from gatekeeper.errors import TooMany
from gatekeeper.web.guard import Call
from gatekeeper.web.respond import error_json, has_credential

_DAY_SECONDS = 86_400


def rate_headers(error: TooMany) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` of a refusal."""
    seconds = int(error.details.get("retry_after_seconds", 60))
    limit = int(error.details.get("limit", 1))
    return {
        "RateLimit": f'"images";r=0;t={seconds}',
        "RateLimit-Policy": f'"fixed window";"images";q={limit};w={_DAY_SECONDS}',
    }


def too_many(call: Call, error: TooMany) -> Response:
    """429 for a program."""
    response = error_json(error, has_credential=has_credential(call.request))
    response.headers.update(rate_headers(error))
    return response
