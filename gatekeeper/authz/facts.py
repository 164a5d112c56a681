"""From the tables to the values a decision is made on: a handful of small queries, nothing decided here.

Every instant is kept as it is in the tables, so that ends are compared when deciding and no job has to run for them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Role
from gatekeeper.authz.resource import Hub, Resource, Revision, Standing, Text
from gatekeeper.authz.standing import is_disabled, standings
from gatekeeper.authz.terms import terms_of
from gatekeeper.community import proposals
from gatekeeper.community.proposals import Proposed
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import history
from gatekeeper.repos.tables import Repo

_LADDER = {stage: rank for rank, stage in enumerate(Stage)}
_UNREAD = (Text("terms not loaded"),)  # accepted by nobody, so facts without terms open nothing that needs them


async def load(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    *,
    commit: str | None = None,
    path: str | None = None,
    instant: datetime | None = None,
    standing: Standing | None = None,
) -> Resource:
    """Everything a decision about `repo` (at `commit`, at `path` in it) has to know about `principal`.

    commit   a full commit id; None leaves a staged repository's revision to the decision (the best one they may know),
             and means the head of main in one without stages
    instant  not needed for the facts; accepted so that callers pass one instant through
    standing the principal's to this repository, where this session has read it already
    """
    releases = await _releases(session, [repo.id]) if repo.is_staged else {}
    resource = _resource(principal, repo, releases.get(repo.id, []), commit=commit, path=path)
    proposed = await _proposed(session, resource, commit)
    if not repo.is_staged and (commit is None or proposed):
        heads = await history.heads(session, [repo.id])
        resource = replace(resource, revision=Revision(heads.get(repo.id, "")))
    elif proposed:
        resource = replace(resource, revision=_staged_revision(resource.releases, proposed.base))
    standing_of = {repo.id: standing} if standing else await standings(session, principal, [repo])
    (found,) = await _with_terms(session, [(repo, resource)], standing_of)
    if proposed and found.revision is not None:
        found = replace(found, revision=as_proposal(found.revision, commit or "", proposed))
    return found


async def load_each(session: AsyncSession, principal: Principal, repos: Sequence[Repo]) -> list[Resource]:
    """What `load` says of each of `repos`, with a handful of statements for all of them."""
    releases = await _releases(session, [repo.id for repo in repos if repo.is_staged])
    heads = await history.heads(session, [repo.id for repo in repos if not repo.is_staged])
    rows = []
    for repo in repos:
        resource = _resource(principal, repo, releases.get(repo.id, []))
        if not repo.is_staged:
            resource = replace(resource, revision=Revision(heads.get(repo.id, "")))
        rows.append((repo, resource))
    return await _with_terms(session, rows, await standings(session, principal, repos))


def at_release(resource: Resource, release: Revision) -> Resource:
    """What `load` says of the repository at one of the resource's releases."""
    return replace(resource, commit=release.commit, path=None, revision=release)


async def load_many(session: AsyncSession, principal: Principal, repos: Sequence[Repo]) -> list[Resource]:
    """The facts of many repositories at once, for deciding which of them may be known.

    Terms are left out, and count as not accepted.
    """
    releases = await _releases(session, [repo.id for repo in repos if repo.is_staged])
    standing = await standings(session, principal, repos)
    return [
        replace(_without_terms(_resource(principal, repo, releases.get(repo.id, []))), standing=standing[repo.id])
        for repo in repos
    ]


async def load_namespace(session: AsyncSession, principal: Principal, name: str = "") -> Hub:
    """The facts for a right in a namespace (creating a repository, managing members), or in the hub without a name."""
    return (await load_namespaces(session, principal, [name]))[name]


async def load_namespaces(session: AsyncSession, principal: Principal, names: Collection[str]) -> dict[str, Hub]:
    """The same for several namespaces, by name."""
    person_id, rows = principal.person_id, dict[str, Namespace]()
    if person_id and (keys := [name.lower() for name in names if name]):
        found = await session.scalars(sa.select(Namespace).where(col(Namespace.key).in_(keys)))
        rows = {row.key: row for row in found}
    disabled = await is_disabled(session, person_id)
    hubs = {}
    for name in names:
        row, role = rows.get(name.lower()), None
        if row is not None and row.person_id == person_id:
            role = Role.ADMIN
        elif row is not None and row.organization_id is not None:
            role = principal.organizations.get(row.organization_id)
        owner_id = (row.person_id or row.organization_id) if row is not None else None
        hubs[name] = Hub(person_id, namespace=name, role=role, is_disabled=disabled, owner_id=owner_id)
    return hubs


def as_proposal(base: Revision, commit: str, proposed: Proposed) -> Revision:
    """The revision of a proposed commit: its base's stage, side states and terms.

    INVARIANT: its own files never decide about it. Whoever opens a pull request writes them, license and card included.
    """
    return replace(base, commit=commit, release_id=None, is_proposed=True, proposer_id=proposed.author_id)


async def _with_terms(
    session: AsyncSession, rows: Sequence[tuple[Repo, Resource]], standing: Mapping[str, Standing]
) -> list[Resource]:
    """The facts with each revision's terms, and with how the person stands to each repository."""
    revisions = [
        (repo, [*facts.releases, *([facts.revision] if facts.revision is not None else [])]) for repo, facts in rows
    ]
    terms = await terms_of(session, revisions, standing)
    return [
        replace(
            facts,
            revision=terms[repo.id][facts.revision.commit] if facts.revision is not None else None,
            releases=tuple(terms[repo.id][release.commit] for release in facts.releases),
            standing=standing[repo.id],
        )
        for repo, facts in rows
    ]


async def _proposed(session: AsyncSession, resource: Resource, commit: str | None) -> Proposed | None:
    """What `commit` proposes. One that was released is a release, whichever way it came."""
    if commit is None or any(release.commit == commit for release in resource.releases):
        return None
    return await proposals.find(session, resource.repo_id, commit)


def _staged_revision(releases: Sequence[Revision], commit: str) -> Revision:
    """A commit of a staged repository. Below the ladder's first step nothing was released: one without is a draft."""
    return next((known for known in releases if known.commit == commit), Revision(commit, stage=Stage.DRAFT))


def _resource(
    principal: Principal, repo: Repo, releases: list[Release], *, commit: str | None = None, path: str | None = None
) -> Resource:
    revisions = tuple(_revision(release) for release in releases)
    revision: Revision | None = None
    if not repo.is_staged:
        revision = Revision(commit or "")
    elif commit is not None:
        revision = _staged_revision(revisions, commit)
    return Resource(
        repo_id=repo.id,
        name=repo.full_name,
        kind=repo.kind,
        person_id=principal.person_id,
        owner_id=repo.owner_organization_id or repo.owner_person_id,
        is_staged=repo.is_staged,
        is_private=repo.is_private,
        gate=repo.gate,
        commit=commit,
        path=path,
        revision=revision,
        releases=revisions,
    )


def _without_terms(resource: Resource) -> Resource:
    return replace(
        resource,
        revision=replace(resource.revision, texts=_UNREAD) if resource.revision else None,
        releases=tuple(replace(release, texts=_UNREAD) for release in resource.releases),
    )


async def _releases(session: AsyncSession, repo_ids: Sequence[str]) -> dict[str, list[Release]]:
    """Releases by repository, higher stages first, then newer ones."""
    found: dict[str, list[Release]] = {}
    for release in await session.scalars(sa.select(Release).where(col(Release.repo_id).in_(repo_ids))):
        found.setdefault(release.repo_id, []).append(release)
    return {
        repo_id: sorted(releases, key=lambda release: (_LADDER[release.stage], release.staged_at), reverse=True)
        for repo_id, releases in found.items()
    }


def _revision(release: Release) -> Revision:
    return Revision(
        commit=release.commit_id,
        stage=release.stage,
        release_id=release.id,
        embargoed_until=release.embargoed_until,
        is_held=release.held_at is not None,
        is_withdrawn=release.withdrawn_at is not None,
        is_deprecated=release.deprecated_at is not None,
        bundle=release.bundle_sha256,
    )
