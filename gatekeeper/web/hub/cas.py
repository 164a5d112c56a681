"""The content-addressed endpoint of Xet: whose token this is, and routes that take it.

Its bearer is no access token, so the guard never sees it. Whatever the token says, what its owner may do is decided
again at every call: a token outlives a right.
"""

from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Receive, Scope, Send

from gatekeeper import authz, ledger, tokens
from gatekeeper.accounts import ANONYMOUS, Principal
from gatekeeper.authz import Action, Resource
from gatekeeper.errors import NotFound, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, catalogue, xet
from gatekeeper.repos.xet import Sender, XetGrant
from gatekeeper.web.guard import Call, Endpoint, Mode, credential_of, guarded
from gatekeeper.web.hub import places
from gatekeeper.web.principal import bearer_secret
from gatekeeper.web.routing import RawRoute


@dataclass(frozen=True)
class Writer:
    """Somebody who sends to `repo`, with what they may build on, and how much they may send."""

    repo: Repo
    person_id: str | None
    sender: Sender
    allowance: places.Allowance


async def granted(call: Call, session: AsyncSession, scope: Literal["read", "write"]) -> tuple[Repo, XetGrant]:
    """The repository of this address and what the token says. Nothing is decided yet."""
    epoch = call.params["epoch"]
    if not epoch.isascii() or not epoch.isdigit() or len(epoch) > 9:
        raise NotFound("There is no such endpoint.", next_step="Start the transfer again.")
    grant = xet.check(
        call.gatekeeper.keys.links,
        bearer_secret(call.request.scope["xet_bearer"]),
        repo_id=call.params["repo"],
        epoch=int(epoch),
        scope=scope,
        instant=now(),
    )
    repo = await catalogue.by_id(session, grant.repo_id)
    if repo is None or not xet.is_in_use(repo, int(epoch)):
        raise RepoNotFound(
            "Repository not found.", next_step="It was deleted, or cleaned up. Start the transfer again."
        )
    return repo, grant


async def writer(call: Call, session: AsyncSession, *, as_piece: bool = True) -> Writer:
    """Who may send to the repository of this address now. Raises what refuses; `as_piece` as in `require_sender`."""
    repo, grant = await granted(call, session, "write")
    principal = await resumed(session, grant.person_id, grant.token_id)
    allowance = await places.require_sender(call.gatekeeper, session, principal, repo, as_piece=as_piece)
    return Writer(repo, grant.person_id, authz.sender(call.gatekeeper.policies, principal), allowance)


async def downloadable(call: Call, session: AsyncSession, repo: Repo, principal: Principal, *, commit: str) -> Resource:
    """The facts about a revision that `principal` may download from now. Raises what the decision raises."""
    instant = now()
    resource = await authz.load(session, principal, repo, commit=commit, instant=instant)
    authz.require(call.gatekeeper.policies, principal, Action.DOWNLOAD, resource, instant)
    return resource


async def resumed(session: AsyncSession, person_id: str | None, token_id: str | None) -> Principal:
    """Who was given a Xet token or address, with the rights of today; nobody in particular for public things."""
    if person_id is None:
        return ANONYMOUS
    principal = await tokens.resume(session, person_id, token_id)
    ledger.tell(credential=credential_of(principal))
    return principal


def cas(place: str, endpoint: Endpoint, *, method: str = "POST", mode: Mode) -> RawRoute:
    """A route below a repository's endpoint."""
    return without_bearer(f"/cas/e/{{epoch}}/{{repo}}{place}", endpoint, method=method, mode=mode)


def without_bearer(pattern: str, endpoint: Endpoint, *, method: str, mode: Mode) -> RawRoute:
    """A route whose bearer is kept from the guard, for the endpoint to read as `scope["xet_bearer"]`."""
    route = guarded(pattern, endpoint, needs=None, methods=(method,), mode=mode)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        bearer = next((value for name, value in headers if name == b"authorization"), b"")
        rest = [(name, value) for name, value in headers if name not in (b"authorization", b"cookie")]
        await route.handler({**scope, "headers": rest, "xet_bearer": bearer.decode("latin-1")}, receive, send)

    return replace(route, handler=handle)
