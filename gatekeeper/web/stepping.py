"""When a session is not enough: dangerous acts need a recent sign-in, administrators may need a second factor.

Only browsers' sessions are asked. A token was made in one, can do no more than it says, and opens no page.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gatekeeper.accounts import Principal
from gatekeeper.errors import NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.settings import Settings
from gatekeeper.web.respond import wants_page

FACTORS_PAGE = "/settings/second-factor"
_LONGEST_NEXT = 2_000  # an application's request to sign in comes back here whole
_PLAIN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # printable ASCII without backslash; never `//host`


@dataclass(frozen=True)
class Asks:
    """What a route asks of a session beside the right."""

    is_dangerous: bool = False
    for_enrolment: bool = False


def safe_next(path: str) -> str:
    """`path` if it stays on this site, else the start page."""
    is_plain = len(path) <= _LONGEST_NEXT and _PLAIN_PATH.fullmatch(path)
    return path if is_plain and not path.startswith(("/login", "/logout")) else "/"


def lacks_second_factor(principal: Principal, settings: Settings) -> bool:
    """Whether this is an administrator's session that began with a password alone, though that is not enough here."""
    return (
        settings.admin_second_factor == "required"
        and principal.is_admin
        and principal.strength is not None
        and not principal.strength.is_strong
    )


def is_recent(principal: Principal, settings: Settings) -> bool:
    """Whether the sign-in of this session was a short while ago. True for what is no session."""
    at = principal.signed_in_at
    return at is None or now() - at <= timedelta(minutes=settings.recent_sign_in_minutes)


def sent_elsewhere(request: Request, principal: Principal, settings: Settings, asks: Asks) -> Response | None:
    """Where a person has to go first, None if nowhere. Raises NotAllowed for a program that uses a session."""
    if lacks_second_factor(principal, settings) and not asks.for_enrolment:
        if wants_page(request):
            return RedirectResponse(f"{FACTORS_PAGE}?done=second-factor-needed", 303)
        raise NotAllowed(
            "Administrators of this hub need a second factor.",
            next_step=f"Open {settings.public_url}{FACTORS_PAGE} and set one up.",
            code="SecondFactorNeeded",
        )
    if asks.is_dangerous and not is_recent(principal, settings):
        if wants_page(request):
            return RedirectResponse(_again(_back(request, settings)), 303)
        raise NotAllowed(
            "This needs a recent sign-in.",
            next_step=f"Open {settings.public_url}/login?again=1 and sign in again.",
            code="SignInAgain",
        )
    return None


def sign_in_first(request: Request, principal: Principal, settings: Settings) -> str:
    """Where to sign in again before writing in a form that asks for it, so that nothing typed is lost; "" to go on."""
    return "" if is_recent(principal, settings) else _again(_back(request, settings))


def _again(path: str) -> str:
    return f"/login?again=1&next={quote(path, safe='/')}"


def _back(request: Request, settings: Settings) -> str:
    """The page to come back to: this one, or the one whose form was sent, as its address says."""
    is_form = request.method != "GET"
    here = urlsplit(request.headers.get("referer", "") if is_form else str(request.url))
    if is_form and f"{here.scheme}://{here.netloc}" != settings.public_url:
        return "/settings"
    return safe_next(f"{here.path}?{here.query}" if here.query else here.path)
