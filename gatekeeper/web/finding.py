"""What a path names for one caller: the repository, the revision, and the facts that are decided on."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gatekeeper import authz, repos
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Allowed, Policies, Resource
from gatekeeper.errors import RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind

_DEFAULT_BRANCH = ("main", "refs/heads/main")
_MOST_HEARD = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """A path's repository and commit (None: it names no revision) with the caller's facts.

    valid_until  when time alone may let the same path name another commit; None: never
    """

    repo: Repo
    commit: str | None
    resource: Resource
    valid_until: datetime | None = None


class Moved(RepoNotFound):
    """The path names a repository by the name it had. Raised only for callers who may know the repository."""

    def __init__(self, repo: Repo) -> None:
        super().__init__(f"This repository is called {repo.full_name} now.", next_step="Use its new name.")
        self.namespace, self.name = repo.namespace, repo.name  # the row itself goes with the transaction


async def find(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    params: Mapping[str, str],
    *,
    needs: Action | None,
    instant: datetime,
) -> Found:
    """What `ns`, `name`, `kind` and `rev` of a path mean for `principal`.

    Raises RepoNotFound (in the same words for what is not there and what may not be known), Moved, RevisionNotFound.
    """
    kind = RepoKind(params.get("kind", RepoKind.MODEL.value))
    full_name = f"{params['ns']}/{params['name']}"
    repo = await repos.find_by_any_name(session, kind, full_name)
    if repo is None:
        raise await missing_repo(session, policies, principal)
    if repo.key != repos.key_of(kind, full_name):
        raise await _moved(session, policies, principal, repo, instant)
    revision = params.get("rev")
    if revision is None or needs is Action.WRITE:
        return Found(repo, None, await authz.load(session, principal, repo, instant=instant))
    return await at_revision(session, policies, principal, repo, revision, instant)


async def at_revision(
    session: AsyncSession, policies: Policies, principal: Principal, repo: Repo, revision: str, instant: datetime
) -> Found:
    """What `revision` means for `principal`. It may only be named by those who may know the repository."""
    known = await authz.load(session, principal, repo, instant=instant)
    allowed = authz.require(policies, principal, Action.KNOW, known, instant)
    commit = _released(policies, principal, known, allowed, revision, instant)
    if commit is None:
        commit = await repos.resolve_revision(session, repo, revision)
    resource = await authz.load(session, principal, repo, commit=commit, instant=instant, standing=known.standing)
    return Found(repo, commit, resource, allowed.valid_until)


def _released(
    policies: Policies, principal: Principal, known: Resource, allowed: Allowed, revision: str, instant: datetime
) -> str | None:
    """The commit that `main` means in a staged repository: the best release the caller may know.

    None for every other revision, and for its writers, who see the branch as it is.
    """
    if not known.is_staged or revision not in _DEFAULT_BRANCH or not allowed.revision or not allowed.revision.commit:
        return None
    may_write = authz.decide(policies, principal, Action.WRITE, known, instant)
    return None if may_write else allowed.revision.commit


async def missing_repo(session: AsyncSession, policies: Policies, principal: Principal) -> RepoNotFound:
    """The one answer for a repository that is not there and for one that may not be known.

    The facts of a private one that is nobody's are loaded and decided about, or the time would tell the two apart.
    """
    nobodys = Repo(kind=RepoKind.MODEL, namespace="-", name="-", key=None, is_private=True)
    resource = await authz.load(session, principal, nobodys)
    authz.decide(policies, principal, Action.KNOW, resource, now())
    return _not_found()


async def to_new_name(request: Request, moved: Moved) -> Response:
    """307 to the same address under the repository's present name. Relative: some clients follow nothing else."""
    size = 0
    with suppress(RuntimeError, ClientDisconnect):  # read before, or nobody is there any more
        async for piece in request.stream():  # heard to its end, or the client sees a broken connection
            size += len(piece)
            if size > _MOST_HEARD:
                break
    scope = request.scope
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    segments = raw.decode("latin-1").split("/")
    for position, part in enumerate(scope["route_pattern"].split("/")):
        if "{ns}" in part or "{name}" in part:
            segments[position] = part.replace("{ns}", quote(moved.namespace)).replace("{name}", quote(moved.name))
    query = scope.get("query_string", b"").decode("latin-1")
    location = "/".join(segments) + (f"?{query}" if query else "")
    headers = {"Location": location, "Cache-Control": "private, no-store", "Vary": "Authorization, Cookie"}
    return Response(status_code=307, headers=headers)


async def _moved(
    session: AsyncSession, policies: Policies, principal: Principal, repo: Repo, instant: datetime
) -> RepoNotFound:
    """What to raise for a name that `repo` had: the new one is told only to callers who may know the repository."""
    resource = await authz.load(session, principal, repo, instant=instant)
    is_known = authz.decide(policies, principal, Action.KNOW, resource, instant)
    return Moved(repo) if is_known else _not_found()


def _not_found() -> RepoNotFound:
    return RepoNotFound(
        "Repository not found.",
        next_step="Check the name, and sign in with a token that may see it if it is private.",
    )
