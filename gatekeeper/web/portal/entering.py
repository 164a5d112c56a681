"""Cookies of signing in: the session's, that of a step under way, and the mark of a browser that was used before."""

import json
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import SecondStepNeeded, SignedIn
from gatekeeper.accounts.factors import RelyingParty
from gatekeeper.errors import Invalid, NotAllowed
from gatekeeper.web.guard import Call
from gatekeeper.web.principal import cookie_name
from gatekeeper.web.state import Gatekeeper

_DAY_SECONDS = 86_400
_LONGEST_CREDENTIAL = 20_000


def entered(call: Call, signed_in: SignedIn | SecondStepNeeded, return_to: str) -> Response:
    """The answer to a first step that was right: the session's cookie and on to where they were, or the second step."""
    if isinstance(signed_in, SecondStepNeeded):
        response = RedirectResponse(f"/login/second?next={quote(return_to, safe='/')}", 303)
        keep_step(call, response, signed_in.secret)
        return response
    response = RedirectResponse(return_to, 303)
    keep_session(call.gatekeeper, response, signed_in.secret)
    mark = accounts.devices.mark(signed_in.person.id, key=call.gatekeeper.keys.sessions)
    _set(call.gatekeeper, response, _device_cookie(call.gatekeeper), mark, days=accounts.devices.DAYS)
    forget_step(call, response)
    return response


def keep_session(gatekeeper: Gatekeeper, response: Response, secret: str) -> None:
    """Give the browser the secret of its session."""
    _set(gatekeeper, response, cookie_name(gatekeeper), secret, days=gatekeeper.settings.session_days)


def keep_step(call: Call, response: Response, step_secret: str) -> None:
    """Give the browser the secret of what it has begun."""
    _set(call.gatekeeper, response, _step_cookie(call.gatekeeper), step_secret, days=None)


def forget_step(call: Call, response: Response) -> None:
    """Take the secret of a step back."""
    response.delete_cookie(
        _step_cookie(call.gatekeeper),
        path="/",
        secure=call.gatekeeper.settings.is_https,
        httponly=True,
        samesite="lax",
    )


def step_secret(call: Call) -> str:
    """The secret of the step that this browser has begun, "" if none."""
    return call.request.cookies.get(_step_cookie(call.gatekeeper), "")


def device(call: Call) -> str:
    """The mark of this browser, "" if nobody has signed in here."""
    return call.request.cookies.get(_device_cookie(call.gatekeeper), "")


def caller(call: Call) -> dict[str, Any]:
    """What every way of signing in has to be told of this browser."""
    return {
        "key": call.gatekeeper.keys.sessions,
        "user_agent": call.request.headers.get("user-agent", ""),
        "days": call.gatekeeper.settings.session_days,
        "replaces": call.principal.session_id,
        "device": device(call),
    }


def address(call: Call) -> str:
    """The caller's address, for counting tries."""
    return call.request.client.host if call.request.client else ""


def relying_party(gatekeeper: Gatekeeper) -> RelyingParty:
    """This hub, as passkeys are bound to it."""
    url = gatekeeper.settings.public_url
    return RelyingParty(urlsplit(url).hostname or "", url)


def credential(text: str) -> dict[str, Any]:
    """What a browser's passkey answered. Raises Invalid for what is no JSON object."""
    try:
        found = json.loads(text) if len(text) <= _LONGEST_CREDENTIAL else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("The passkey's answer cannot be read.", next_step="Try again with the page's button.")
    return found


def refuse_foreign(call: Call) -> None:
    """Signing in needs no cookie, so the guard's check does not see it: a foreign page must not sign anybody in."""
    headers = call.request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in ("same-origin", "none") or (site is None and origin in (None, call.gatekeeper.settings.public_url)):
        return
    raise NotAllowed(
        "This request came from another site and was not carried out.",
        next_step=f"Open {call.gatekeeper.settings.public_url}/login and sign in there.",
        code="CrossOrigin",
    )


def require_local(call: Call) -> None:
    """Passwords and passkeys of this hub may be switched off where people sign in through a provider."""
    if not call.gatekeeper.settings.local_sign_in:
        raise NotAllowed(
            "This hub takes no sign-in of its own.", next_step="Sign in through a provider.", code="LocalSignInOff"
        )


def _set(gatekeeper: Gatekeeper, response: Response, name: str, value: str, *, days: int | None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=None if days is None else days * _DAY_SECONDS,
        path="/",
        secure=gatekeeper.settings.is_https,
        httponly=True,
        samesite="lax",
    )


def _step_cookie(gatekeeper: Gatekeeper) -> str:
    return "__Host-sign-in-step" if gatekeeper.settings.is_https else "sign_in_step"


def _device_cookie(gatekeeper: Gatekeeper) -> str:
    return "__Host-known-browser" if gatekeeper.settings.is_https else "known_browser"
