"""Pages: one Jinja2 environment that escapes everything and fails on unknown names, and the responses made with it."""

import hashlib
import re
from calendar import month_abbr
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gatekeeper import transparency
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.clock import date_words, instant_of, instant_words
from gatekeeper.kit.figures import duration_text, plural, size_text, span_text
from gatekeeper.web import words
from gatekeeper.web.respond import error_headers, has_credential
from gatekeeper.web.wording.refusals import until
from gatekeeper.web.wording.times import day_tag, end_tag, instant_tag

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"

# The outermost layer adds the content security policy. Pages depend on who looks, so nothing keeps them.
_PAGE_HEADERS = {"Cache-Control": "private, no-store", "Vary": "Cookie"}

_WRAPPED_AT = 60  # characters; a line this long that goes on was wrapped, a shorter one was ended
_LIST_MARK = re.compile(r"[ \t>]*(?:#{1,6}|[-*+•·◦▪]|\(?(?:[0-9]{1,3}|[a-z]|[ivx]{1,5})[.)])[ \t]+", re.IGNORECASE)

_OWN_ADDRESS = re.compile(r"(?<=[ (])/(?:[A-Za-z0-9._~-]+/)*[A-Za-z0-9_~-]+")

_ERROR_TITLES = {
    400: "That cannot be done",
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "That has already changed",
    412: "That has already changed",
    413: "Too large",
    422: "That cannot be accepted",
    429: "Too many requests",
    503: "Not available right now",
}


def page(
    request: Request,
    me: Principal,
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    offers_sign_in: bool = True,
    **context: Any,
) -> HTMLResponse:
    """The page `template`, for `me`.

    Every template has `me`, `path`, `section` (which part of the site is current), `return_query` (brings a person back
    here after signing in), `done` (a confirmation chosen by `?done=`, from a fixed list), `unread` (notices not
    read yet), `contact` (where whoever runs the hub is reached, "" if unknown) and `offers_sign_in`.
    """
    path = request.url.path
    known = {
        "me": me,
        "path": path,
        "section": "/" + path.split("/", 2)[1],
        "return_query": f"?next={quote(path, safe='/')}" if path not in ("/", "/login") else "",
        "done": words.DONE.get(request.query_params.get("done", ""), ""),
        "offers_sign_in": offers_sign_in,
        "unread": request.scope.get("gatekeeper.unread", 0),
        "contact": _contact(request),
    }
    text = environment().get_template(template).render(**known, **context)
    return HTMLResponse(text, status, headers=_PAGE_HEADERS | (headers or {}))


def error_page(request: Request, error: GatekeeperError, status: int) -> Response:
    """The page for an error: what happened, why, what to do next. `status` is the one in force.

    The headers that programs read are sent too: a browser's user may look at them, and `curl` accepts anything.
    """
    me = request.scope.get("gatekeeper.principal", ANONYMOUS)
    return page(
        request,
        me,
        "error.html",
        status=status,
        headers=error_headers(error, status=status),
        status_code=status,
        title=_ERROR_TITLES.get(status, "Something went wrong"),
        error=error,
        told=_told_of(error),
        retry_after_seconds=error.details.get("retry_after_seconds"),
        # Who asked may not be known where the error happened: do not offer to sign in to who is signed in already.
        offers_sign_in=not has_credential(request),
    )


def _contact(request: Request) -> str:
    app = request.scope.get("app")  # absent where a request was refused before it came so far
    contact = str(app.state.gatekeeper.settings.contact) if app else ""
    return f"mailto:{contact}" if contact and "://" not in contact else contact


def _told_of(error: GatekeeperError) -> words.Refusal:
    """The error in words for people. A refusal's own sentence is for programs, but knows where to go."""
    reason, action, where = words.REFUSALS.get(error.details.get("denial", ""), (error.message, error.next_step, ""))
    if where == "login":
        return words.Refusal(reason)  # the page has a button for that
    found = _OWN_ADDRESS.search(error.next_step) if where else None
    if instant := error.details.get("until"):
        reason = until(reason, instant_of(instant))
    return words.Refusal(reason, action, found[0] if found else "")


@cache
def environment() -> Environment:
    """The one environment."""
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"static": static_address, "stage_facts": _stage_facts, "words": words}
    made.filters |= {
        "bytes": size_text,
        "instant": instant_words,
        "instant_tag": instant_tag,
        "date": date_words,
        "day_tag": day_tag,
        "duration": duration_text,
        "end_tag": end_tag,
        "field_id": field_id,
        "linked": linked,
        "reflowed": reflowed,
        "plural": plural,
        "segment": segment,
        "span": span_text,
        "tick": tick,
        "told": told,
    }
    return made


@cache
def static_address(name: str) -> str:
    """Address of a static file, with its digest so that browsers may keep it until it changes."""
    digest = hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def static_addresses() -> frozenset[str]:
    """The addresses of all static files, with their digests."""
    return frozenset(static_address(file.name) for file in _STATIC.iterdir() if file.is_file())


def tick(label: str) -> str:
    """What stands under a column: `2026-12` is Dec; of a day, or an hour, its number."""
    return month_abbr[int(label[5:])] if len(label) == len("2026-12") else label[-2:]


def told(number: int | str | None, unit: str = "") -> str:
    """A number of a plot: None stands for some, but too few to be told. What is text already stays."""
    if isinstance(number, str):
        return number
    if unit == "bytes":
        return size_text(number or 0)
    return f"fewer than {transparency.FEWEST}" if number is None else f"{number:,}"


def linked(text: str) -> Markup:
    """A sentence of the hub in which addresses of its own, such as `/ada/model/access`, are links."""
    return Markup(_OWN_ADDRESS.sub(r'<a href="\g<0>">\g<0></a>', str(escape(text))))  # noqa: S704 - escaped before


def field_id(name: str) -> str:
    """The id of a form field's element. Names may come from a model card, so anything unusual becomes its code."""
    return "f-" + re.sub(r"[^A-Za-z0-9_-]", lambda found: f"_{ord(found.group()):x}", name)


def reflowed(text: str) -> str:
    """A plain text for reading on any screen: words unchanged, lines that were only wrapped for a terminal joined."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    joined = lines[:1]
    for before, line in pairwise(lines):
        if len(before) >= _WRAPPED_AT and line.strip() and not _LIST_MARK.match(line):
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line)
    return "\n".join(joined)


def segment(value: str) -> str:
    """`value` percent-encoded for one segment of a path; the raw router decodes it once."""
    return quote(value, safe="")


def _stage_facts(key: str) -> words.StageFacts:
    return words.STAGES[key]
