"""Between Starlette and the authorization server: a request as a value, an answer as a response."""

from urllib.parse import parse_qsl

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from gatekeeper.errors import Invalid
from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call

_MOST_FIELDS = 50


def ground(call: Call, session: AsyncSession | None = None) -> oauth.Ground:
    """What the authorization server stands on in this call. `session`: the unit of work that an endpoint opened."""
    gatekeeper = call.gatekeeper
    return oauth.Ground(
        session or call.session,
        issuer=gatekeeper.settings.public_url,
        max_days=gatekeeper.settings.token_max_days,
        key=gatekeeper.keys.tokens,
        keys_dir=gatekeeper.settings.keys_dir,
    )


async def asked(call: Call) -> oauth.Asked:
    """The call as the server reads it. Raises Invalid for a body that is no form."""
    request = call.request
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise Invalid("The body is not a form.", next_step="Send application/x-www-form-urlencoded.")
    return oauth.Asked(
        request.method,
        call.gatekeeper.url(request.url.path),
        query=_pairs(request.scope["query_string"]),
        form=_pairs(body),
        headers=request.headers,
    )


def respond(answer: oauth.Answer) -> Response:
    """The answer as a response that nothing keeps."""
    headers = answer.headers | {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if isinstance(answer.body, str):
        return Response(answer.body, answer.status, headers=headers)
    return JSONResponse(
        dict(answer.body), answer.status, headers={k: v for k, v in headers.items() if k.lower() != "content-type"}
    )


def _pairs(encoded: bytes) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse_qsl(encoded.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError:
        raise Invalid("What was sent is not a form in UTF-8.", next_step="Encode it as a form.") from None
