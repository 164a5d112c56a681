"""Routing on the raw path.

Starlette matches the decoded path, so `refs%2Fpr%2F1` arrives as three segments and `%2e%2e` as a step upwards. Here
the path is split into segments first and each captured value is decoded exactly once, after matching.

A pattern is literal text with `{name}` for one segment and, at the end, `{name:rest}` for everything that follows.
`{name:kind}` matches one segment that is one of `models`, `datasets`, `spaces`.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gatekeeper.errors import GatekeeperError, Invalid
from gatekeeper.web.respond import wants_page

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

_PART = re.compile(r"\{(\w+)(?::(rest|kind))?\}")
_SHAPES = {None: r"([^/]+)", "rest": r"(.+)", "kind": r"(models|datasets|spaces)"}


@dataclass(frozen=True)
class RawRoute:
    """One pattern, its methods and what answers. `name` and `summary` are the endpoint's, for the API's description."""

    pattern: str
    methods: frozenset[str]
    handler: Handler
    name: str = ""
    needs: str = ""
    summary: str = ""
    is_dangerous: bool = False
    regex: re.Pattern[bytes] = field(init=False)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        regex, position = "", 0
        for part in _PART.finditer(self.pattern):
            regex += re.escape(self.pattern[position : part.start()]) + _SHAPES[part.group(2)]
            position = part.end()
        regex += re.escape(self.pattern[position:])
        object.__setattr__(self, "regex", re.compile(regex.encode() + rb"\Z"))
        object.__setattr__(self, "names", tuple(part.group(1) for part in _PART.finditer(self.pattern)))


class RawRouter:
    """Finds the first route whose pattern and method fit; HEAD falls back on GET.

    A browser that opens an address which only takes forms is sent to the page above it.

    Routes with a literal first segment are tried before those that start with a capture, so `/api/...` never reaches
    a repository's page and no repository can shadow the API.
    """

    def __init__(self, routes: Iterable[RawRoute], *, otherwise: ASGIApp) -> None:
        self.routes = tuple(routes)
        self._otherwise = otherwise
        self._by_first: dict[bytes, list[RawRoute]] = {}
        self._captured: list[RawRoute] = []
        for route in self.routes:
            first = route.pattern.split("/", 2)[1]
            if first.startswith("{"):
                self._captured.append(route)
            else:
                self._by_first.setdefault(first.encode(), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path") or scope["path"].encode()
        method = scope["method"]
        allowed: set[str] = set()
        for route in self._candidates(raw):
            match = route.regex.match(raw)
            if match is None:
                continue
            if method in route.methods or (method == "HEAD" and "GET" in route.methods):
                scope["path_params"] = {
                    name: decode_once(value) for name, value in zip(route.names, match.groups(), strict=True)
                }
                scope["route_pattern"] = route.pattern
                await route.handler(scope, receive, send)
                return
            allowed |= route.methods | ({"HEAD"} if "GET" in route.methods else set())
        if allowed:
            if method == "GET" and wants_page(Request(scope)):
                await RedirectResponse(self._page_above(raw), 303)(scope, receive, send)
                return
            raise MethodNotAllowed(
                f"{method} is not possible here.", next_step=f"Use {', '.join(sorted(allowed))}.", status=405
            )
        await self._otherwise(scope, receive, send)

    def _page_above(self, raw: bytes) -> str:
        """Where people come who open the address of a form, as a sign-in in between makes them."""
        while raw := raw.rpartition(b"/")[0]:
            if any("GET" in route.methods and route.regex.match(raw) for route in self._candidates(raw)):
                return raw.decode("latin-1")  # which the redirect encodes
        return "/"

    def _candidates(self, raw: bytes) -> Iterable[RawRoute]:
        first = raw.split(b"/", 2)[1] if raw.startswith(b"/") else b""
        yield from self._by_first.get(first, ())
        if first not in self._by_first or first == b"":
            yield from self._captured


class MethodNotAllowed(GatekeeperError):
    status = 405
    code = "MethodNotAllowed"


def decode_once(value: bytes) -> str:
    """Percent-decode one captured part. Raises Invalid when the result is not UTF-8 or holds a NUL."""
    try:
        text = unquote_to_bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(
            "The address is not valid UTF-8.", next_step="Encode names as UTF-8, then percent-encode them."
        ) from None
    if "\0" in text:
        raise Invalid("The address holds a NUL character.", next_step="Remove it.")
    return text
