"""Who is asking: a bearer token, a token as the password of HTTP Basic (git), or a browser's session cookie."""

import base64
import binascii
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from gatekeeper import accounts, tokens
from gatekeeper.accounts import ANONYMOUS, Principal
from gatekeeper.errors import NotSignedIn
from gatekeeper.web.state import Gatekeeper

_LONGEST_HEADER = 1000


def cookie_name(gatekeeper: Gatekeeper) -> str:
    """`__Host-` binds the cookie to this host, but browsers refuse that prefix without TLS."""
    return "__Host-gatekeeper" if gatekeeper.settings.is_https else "gatekeeper_session"


async def authenticate(
    request: Request, session: AsyncSession, gatekeeper: Gatekeeper, *, at_once: bool = False
) -> Principal:
    """The principal of this request, or ANONYMOUS without any credential.

    at_once  whether a token may be looked up beside the session: where nothing is written

    A credential that is wrong is refused with NotSignedIn, never taken for anonymous: a typing mistake must not look
    like a missing repository. A token comes before a cookie.
    """
    authorization = request.headers.get("authorization", "")
    if authorization:
        address = request.client.host if request.client else ""
        seen = tokens.Seen.of(address, request.headers.get("user-agent", ""))
        secret = bearer_secret(authorization)
        found = gatekeeper.tokens_at_once.resolve(secret, seen=seen) if at_once else None
        return found or await tokens.resolve(session, secret, key=gatekeeper.keys.tokens, seen=seen)
    cookie = request.cookies.get(cookie_name(gatekeeper))
    if cookie:
        idle = timedelta(hours=gatekeeper.settings.session_idle_hours)
        resumed = await accounts.sessions.resolve(session, cookie, key=gatekeeper.keys.sessions, idle=idle)
        if resumed is not None and resumed.session_id is not None:
            accounts.seen.saw(resumed.session_id, request.client.host if request.client else "")
        return resumed or ANONYMOUS
    return ANONYMOUS


def bearer_secret(authorization: str) -> str:
    """The token inside an Authorization header. Raises NotSignedIn for anything but Bearer and Basic."""
    scheme, _, value = authorization[:_LONGEST_HEADER].partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                pass
    raise NotSignedIn(
        "Invalid credentials in Authorization header",
        next_step="Send `Authorization: Bearer <token>` with a token from your settings page.",
    )
