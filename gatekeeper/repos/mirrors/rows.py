"""Mirrors as they stand: beginning one, and noting how an attempt ended."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, revisions
from gatekeeper.repos.mirrors.tables import Mirror
from gatekeeper.repos.mirrors.upstream import About, Upstream
from gatekeeper.repos.refs import MAIN
from gatekeeper.repos.tables import Gate, Repo

_MAX_PROBLEM = 500


async def begin(
    s: AsyncSession,
    upstream: Upstream,
    about: About,
    namespace: str,
    name: str,
    *,
    by: Principal,
    public: bool = False,
    must_exist: bool = False,
) -> tuple[Repo, Mirror]:
    """The mirror of `upstream` called `namespace/name`; it is made, private and gated as upstream, if there is none.

    public      a new one is readable by everybody; the upstream's gate stays in front of its files
    must_exist  raise NotFound rather than make one

    Raises Conflict where a repository of that name is no mirror, or one of something else.
    """
    repo = await catalogue.find(s, upstream.kind, f"{namespace}/{name}")
    if repo is None:
        if must_exist:
            raise NotFound(f"There is no mirror {namespace}/{name}.", next_step="Leave --update out to make it.")
        repo = await catalogue.create(s, upstream.kind, namespace, name, by=by, private=not public)
        if about.gate is not Gate.NONE:
            await catalogue.update_settings(s, repo, gate=about.gate, by=by)
        first = await revisions.resolve_revision(s, repo, MAIN)
        mirror = Mirror(
            repo_id=repo.id,
            endpoint=upstream.endpoint,
            upstream=upstream.full_name,
            revisions=[],
            heads={MAIN: first},
            first=first,
        )
        s.add(mirror)
        body = {"endpoint": upstream.endpoint, "upstream": upstream.full_name}
        await ledger.record(
            s, "repos:mirror:begin", actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body=body
        )
        return repo, mirror
    found = await find(s, repo)
    if found is None:
        raise Conflict(
            f"{repo.full_name} is a repository of its own, no mirror.", next_step="Choose another name for the mirror."
        )
    if (found.endpoint, found.upstream.lower()) != (upstream.endpoint, upstream.full_name.lower()):
        raise Conflict(
            f"{repo.full_name} mirrors {found.upstream} at {found.endpoint}.",
            next_step="Name that upstream, or choose another name for the mirror.",
        )
    return repo, found


async def find(s: AsyncSession, repo: Repo) -> Mirror | None:
    """What `repo` mirrors, or None."""
    return await s.get(Mirror, repo.id)


async def listing(s: AsyncSession) -> list[tuple[Repo, Mirror]]:
    """Every mirror, by name."""
    query = (
        sa.select(Repo, Mirror)
        .join(Mirror, col(Mirror.repo_id) == col(Repo.id))
        .where(col(Repo.key).is_not(None))
        .order_by(col(Repo.key))
    )
    return [(repo, mirror) for repo, mirror in await s.execute(query)]


async def note(s: AsyncSession, repo: Repo, *, problem: str) -> None:
    """Keep how an attempt ended that brought nothing."""
    mirror = await find(s, repo)
    if mirror is not None:
        mirror.problem = problem[:_MAX_PROBLEM]
        mirror.checked_at = now()
        s.add(mirror)
