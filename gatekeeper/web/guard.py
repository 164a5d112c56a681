"""The guard: every route states what it needs; here it is decided, before the endpoint runs and once.

A guarded route opens the unit of work, finds out who asks, loads the repository, decides, calls the endpoint, commits,
and only then sends. An endpoint therefore never answers for something that was not kept.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatekeeper import authz, ledger, notices
from gatekeeper.accounts import ANONYMOUS, Principal
from gatekeeper.authz import Action, Resource
from gatekeeper.errors import GatekeeperError, Invalid, NotAllowed, RevisionNotFound, TooLarge
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, history
from gatekeeper.web import stepping
from gatekeeper.web.finding import Found, Moved, find, to_new_name
from gatekeeper.web.principal import authenticate
from gatekeeper.web.respond import wants_page
from gatekeeper.web.routing import RawRoute
from gatekeeper.web.state import Gatekeeper

# read   a snapshot, nothing is kept
# write  one write transaction; the body is read before it is opened, so a slow sender holds no lock
# own    decided on a snapshot, then no session: the endpoint streams, opens its own write and calls `recheck` in it
Mode = Literal["read", "write", "own"]

_BODY_LIMIT = 2**20
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass
class Call:
    """One request, decided. `repo`, `commit` and `resource` are set where the path names a repository.

    version  of what decisions read, from before anything was read about this call; None where nobody can tell
    """

    request: Request
    gatekeeper: Gatekeeper
    principal: Principal
    params: dict[str, str]
    needs: Action | None
    version: int | None = None
    _session: AsyncSession | None = None
    repo_or_none: Repo | None = None
    commit: str | None = None
    resource_or_none: Resource | None = None

    @property
    def session(self) -> AsyncSession:
        """The unit of work. Not there in mode `own`."""
        if self._session is None:
            raise RuntimeError("a route in mode 'own' opens its own unit of work")
        return self._session

    @property
    def repo(self) -> Repo:
        """The repository named by the path."""
        if self.repo_or_none is None:
            raise RuntimeError("this route names no repository")
        return self.repo_or_none

    @property
    def resource(self) -> Resource:
        """The facts the decision was made on."""
        if self.resource_or_none is None:
            raise RuntimeError("this route names no repository")
        return self.resource_or_none

    async def stands(self, session: AsyncSession) -> bool:
        """Whether all is as it was found and decided before `session`, which writes: then nothing need be read again.

        The writers' lock is taken first, so that on SQLite nobody can change it any more.
        """
        await session.connection()
        end = self.principal.valid_until
        has_ended = end is not None and end <= now()
        return self.version is not None and self.version == self.gatekeeper.version.current() and not has_ended

    async def recheck(self, session: AsyncSession, action: Action | None = None) -> None:
        """Decide again inside `session`: for endpoints that streamed before they write."""
        self.principal = await authenticate(self.request, session, self.gatekeeper)
        await _decide(self, session, action or self.needs)

    @asynccontextmanager
    async def writing(self, action: Action | None = None) -> AsyncIterator["Call"]:
        """The call in a unit of work that writes, decided again: for endpoints that waited for something before it."""
        async with self.gatekeeper.db.write() as session:
            await self.recheck(session, action)
            yield replace(self, _session=session)


Endpoint = Callable[[Call], Awaitable[Response]]


def guarded(
    pattern: str,
    endpoint: Endpoint,
    *,
    needs: Action | None,
    methods: tuple[str, ...] = ("GET",),
    mode: Mode | None = None,
    body_limit: int = _BODY_LIMIT,
    for_applications: bool = False,
    is_dangerous: bool = False,
    for_enrolment: bool = False,
) -> RawRoute:
    """A route that is decided before it runs.

    needs       the action, or None for what anybody may call (the endpoint then decides per item, or there is nothing
                to protect)
    mode        defaults to `read` for GET and `write` otherwise
    body_limit  largest body in bytes that is read into memory (not in mode `own`)
    for_applications  the endpoint itself asks an application for its credential: nobody is looked for in the header,
                which holds a client's secret and no token
    is_dangerous   in a browser it needs a recent sign-in (see web.stepping)
    for_enrolment  open to administrators who still lack the second factor that they must have

    A path with `{ns}` and `{name}` names a repository (of kind `{kind:kind}`, else a model); `{rev}` names a revision.
    """
    chosen: Mode = mode or ("read" if set(methods) <= _SAFE_METHODS else "write")
    door = _door(endpoint)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        with ledger.working(door):
            try:
                response = await _answer(
                    request,
                    endpoint,
                    needs=needs,
                    mode=chosen,
                    body_limit=body_limit,
                    is_bare=for_applications,
                    asks=stepping.Asks(is_dangerous=is_dangerous, for_enrolment=for_enrolment),
                )
            except Moved as moved:
                response = await to_new_name(request, moved)
            except GatekeeperError as error:
                request.app.state.gatekeeper.refusals.saw(error)  # before a door says it in its clients' own way
                raise
            await response(scope, receive, send)

    return RawRoute(
        pattern,
        frozenset(methods),
        handle,
        name=endpoint.__qualname__,
        needs=needs.value if needs else "",
        summary=(endpoint.__doc__ or "").strip().partition("\n")[0],
        is_dangerous=is_dangerous,
    )


async def _answer(
    request: Request,
    endpoint: Endpoint,
    *,
    needs: Action | None,
    mode: Mode,
    body_limit: int,
    is_bare: bool,
    asks: stepping.Asks,
) -> Response:
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    if request.method not in _SAFE_METHODS:
        refuse_cross_origin(request, gatekeeper)
        if mode != "own":
            await read_body(request, limit=body_limit)
    opened = gatekeeper.db.write() if mode == "write" else gatekeeper.db.read()
    version = gatekeeper.version.current()  # before the snapshot that the session reads
    call = Call(request, gatekeeper, ANONYMOUS, request.path_params, needs, version)
    async with opened as session:
        await gatekeeper.in_force.refresh(session, version=version)
        # An order changes nothing of what it is about, and looks again whether all stands when it is taken in.
        names_revision = "rev" in request.path_params
        is_kept = names_revision if mode == "read" else mode == "own" and needs is Action.GENERATE
        known = gatekeeper.known.find(request, version) if is_kept else None
        if known is not None:
            call.principal = known.principal
        elif not is_bare:
            call.principal = await authenticate(request, session, gatekeeper, at_once=mode != "write")
        request.scope["gatekeeper.principal"] = call.principal  # for the page that answers an error
        if call.principal.session_id is not None and request.method == "GET" and wants_page(request):
            request.scope["gatekeeper.unread"] = await notices.unread(session, call.principal.person_id or "")
        found = await _decide(call, session, needs, found=known.found if known else None)
        if found is not None and known is None and is_kept:
            gatekeeper.known.remember(request, version, call.principal, found)
        if elsewhere := stepping.sent_elsewhere(request, call.principal, gatekeeper.settings, asks):
            return elsewhere
        if mode != "own":
            call._session = session
            return await endpoint(call)
    return await endpoint(call)


async def _decide(
    call: Call, session: AsyncSession, needs: Action | None, *, found: Found | None = None
) -> Found | None:
    """Find what the path names, if it names a repository, and decide. Returns it.

    found  the same, where it was looked up before and still stands
    """
    instant = now()
    policies, params = call.gatekeeper.policies, call.params
    ledger.tell(policy=policies.sha256, credential=credential_of(call.principal))
    if "ns" not in params or "name" not in params:
        if needs is not None:
            authz.require_global(policies, call.principal, needs, instant)
        return None
    found = found or await find(session, policies, call.principal, params, needs=needs, instant=instant)
    call.repo_or_none, call.commit = found.repo, found.commit
    call.resource_or_none = replace(found.resource, path=params.get("path"))
    if needs is not None:
        try:
            authz.require(policies, call.principal, needs, call.resource, instant)
        except RevisionNotFound:
            raise history.unknown(params.get("rev", "")) from None
    return found


def credential_of(principal: Principal) -> str | None:
    """With what the principal proved who they are, as evidence has it: a kind of token, or how a session began."""
    if principal.token_id is not None:
        return "service-token" if principal.is_service else "token"
    return principal.strength.value if principal.strength else None


def _door(endpoint: Endpoint) -> str:
    """The group of doors that an endpoint belongs to, as its module says: hub, git, generate, oauth, portal, admin."""
    parts = endpoint.__module__.split(".")
    return "git" if parts[-1] == "git" else ".".join(parts[2:3])


async def read_body(request: Request, *, limit: int) -> bytes:
    """The whole body, refused as soon as it passes `limit` bytes; kept on the request for `.json()` and `.form()`."""
    if hasattr(request, "_body"):
        return await request.body()
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit():
        raise Invalid("The Content-Length header is not a number.", next_step="Send the body's size in bytes.")
    if int(announced) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    request._body = b"".join(chunks)
    return request._body


def refuse_cross_origin(request: Request, gatekeeper: Gatekeeper) -> None:
    """Refuse a state-changing request that another site made a browser send with its cookie.

    Browsers say where a request comes from: `Sec-Fetch-Site`, and `Origin` where that is missing. Requests that carry
    an Authorization header, or no cookie at all, cannot be forged this way.
    """
    if "authorization" in request.headers or "cookie" not in request.headers:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site in ("same-origin", "none") or (site is None and origin in (gatekeeper.settings.public_url, None)):
        return
    raise NotAllowed(
        "This request came from another site and was not carried out.",
        next_step=f"Open {gatekeeper.settings.public_url} and try again there.",
        code="CrossOrigin",
    )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit:,} bytes.", next_step="Send large files through LFS or Xet uploads."
    )
