"""From the tables to the values a decision is made on: a handful of small queries, nothing decided here.

Every instant is kept as it is in the tables, so that ends are compared when deciding and no job has to run for them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessGrant, AccessRequest
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Person, Role
from gatekeeper.authz.resource import Grant, Hub, Resource, Revision, Standing
from gatekeeper.licensing.tables import Acceptance, LicenseText, RepoTerms, TermsBundle
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos.tables import GitRef, Repo

_LADDER = {stage: rank for rank, stage in enumerate(Stage)}
_MAIN = "refs/heads/main"
# Questions whose answer tells the institution or the purpose, in any of the spellings cards use.
_INSTITUTION = ("institution", "affiliation", "organization", "organisation", "company", "university")
_PURPOSE = ("purpose", "intended use", "use case", "reason")


async def load(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    *,
    commit: str | None = None,
    path: str | None = None,
    instant: datetime | None = None,
) -> Resource:
    """Everything a decision about `repo` (at `commit`, at `path` in it) has to know about `principal`.

    commit   a full commit id; None leaves a staged repository's revision to the decision (the best one they may know)
    instant  not needed for the facts; accepted so that callers pass one instant through
    """
    releases = await releases_of(session, [repo.id]) if repo.is_staged else {}
    own = releases.get(repo.id, [])
    if repo.is_staged:
        found = next((release for release in own if release.commit_id == commit), None)
        revision = None if commit is None else _revision(found) if found else Revision(commit, stage=Stage.DRAFT)
    else:
        revision = Revision(commit=commit or await _main(session, repo) or "")
    terms = await _terms(session, repo, revision, own)
    person_id = principal.person_id
    return Resource(
        repo_id=repo.id,
        name=repo.full_name,
        kind=repo.kind,
        person_id=person_id,
        is_staged=repo.is_staged,
        is_private=repo.is_private,
        gate=repo.gate,
        commit=commit,
        path=path,
        revision=_with_terms(revision, terms) if revision else None,
        releases=tuple(_with_terms(_revision(release), terms) for release in own),
        standing=await _standing(session, principal, repo) if person_id else Standing(),
    )


async def load_namespace(session: AsyncSession, principal: Principal, name: str = "") -> Hub:
    """The facts for a right in a namespace (creating a repository, managing members), or in the hub without a name."""
    person_id = principal.person_id
    role: Role | None = None
    if name and person_id:
        row = await session.get(Namespace, name.lower())
        if row is not None and row.person_id == person_id:
            role = Role.ADMIN
        elif row is not None and row.organization_id is not None:
            role = principal.organizations.get(row.organization_id)
    return Hub(person_id, namespace=name, role=role, is_disabled=await _is_disabled(session, person_id))


def role_in(principal: Principal, repo: Repo) -> Role | None:
    """The principal's role towards a repository: its owner is its administrator."""
    if principal.person_id is None:
        return None
    if repo.owner_person_id == principal.person_id:
        return Role.ADMIN
    return principal.organizations.get(repo.owner_organization_id or "")


async def releases_of(session: AsyncSession, repo_ids: Sequence[str]) -> dict[str, list[Release]]:
    """Releases by repository, best first: in effect before embargoed, held and withdrawn; higher stages; newer ones."""
    found: dict[str, list[Release]] = {}
    for release in await session.scalars(sa.select(Release).where(col(Release.repo_id).in_(repo_ids))):
        found.setdefault(release.repo_id, []).append(release)
    return {repo_id: sorted(releases, key=_rank, reverse=True) for repo_id, releases in found.items()}


def _rank(release: Release) -> tuple[bool, bool, bool, int, datetime]:
    return (
        release.withdrawn_at is None,
        release.held_at is None,
        release.embargoed_until is None,
        _LADDER[release.stage],
        release.staged_at,
    )


def _revision(release: Release) -> Revision:
    return Revision(
        commit=release.commit_id,
        stage=release.stage,
        release_id=release.id,
        embargoed_until=release.embargoed_until,
        is_held=release.held_at is not None,
        is_withdrawn=release.withdrawn_at is not None,
        is_deprecated=release.deprecated_at is not None,
        terms=release.bundle_sha256,
    )


Terms = dict[str, tuple[str, tuple[str, ...]]]  # commit -> (bundle digest, license ids of its texts)


def _with_terms(revision: Revision, terms: Terms) -> Revision:
    bundle, license_ids = terms.get(revision.commit, (revision.terms, ()))
    return Revision(
        commit=revision.commit,
        stage=revision.stage,
        release_id=revision.release_id,
        embargoed_until=revision.embargoed_until,
        is_held=revision.is_held,
        is_withdrawn=revision.is_withdrawn,
        is_deprecated=revision.is_deprecated,
        terms=bundle,
        license_ids=license_ids or (("",) if bundle else ()),
    )


async def _terms(session: AsyncSession, repo: Repo, revision: Revision | None, releases: list[Release]) -> Terms:
    """The bundle of each revision: what its release was bound to, else what is in force for the commit."""
    bundles = {release.commit_id: release.bundle_sha256 for release in releases if release.bundle_sha256}
    if revision is not None and revision.commit and revision.commit not in bundles:
        bundle = await session.scalar(
            sa.select(col(RepoTerms.bundle_sha256)).where(
                col(RepoTerms.repo_id) == repo.id, col(RepoTerms.commit_id) == revision.commit
            )
        )
        if bundle:
            bundles[revision.commit] = bundle
    if not bundles:
        return {}
    texts = {
        row.sha256: row.texts
        for row in await session.scalars(
            sa.select(TermsBundle).where(col(TermsBundle.sha256).in_(set(bundles.values())))
        )
    }
    wanted = {sha256 for digests in texts.values() for sha256 in digests}
    rows = await session.execute(
        sa.select(col(LicenseText.sha256), col(LicenseText.license_id)).where(col(LicenseText.sha256).in_(wanted))
    )
    ids = {row.sha256: row.license_id for row in rows}
    return {
        commit: (bundle, tuple(ids.get(sha256, "") for sha256 in texts.get(bundle, [])))
        for commit, bundle in bundles.items()
    }


async def _main(session: AsyncSession, repo: Repo) -> str | None:
    found: str | None = await session.scalar(
        sa.select(col(GitRef.object_id)).where(col(GitRef.repo_id) == repo.id, col(GitRef.name) == _MAIN)
    )
    return found


async def _standing(session: AsyncSession, principal: Principal, repo: Repo) -> Standing:
    person_id = principal.person_id
    accepted = (
        await session.execute(
            sa.select(col(Acceptance.bundle_sha256), col(Acceptance.repo_id)).where(
                col(Acceptance.person_id) == person_id, col(Acceptance.withdrawn_at).is_(None)
            )
        )
    ).all()
    rows = (
        await session.execute(
            sa.select(AccessGrant, col(AccessRequest.fields))
            .outerjoin(AccessRequest, col(AccessRequest.id) == col(AccessGrant.request_id))
            .where(col(AccessGrant.repo_id) == repo.id, col(AccessGrant.person_id) == person_id)
            .order_by(col(AccessGrant.granted_at).desc(), col(AccessGrant.id).desc())
        )
    ).all()
    request = await session.scalar(
        sa.select(AccessRequest)
        .where(col(AccessRequest.repo_id) == repo.id, col(AccessRequest.person_id) == person_id)
        .order_by(col(AccessRequest.submitted_at).desc(), col(AccessRequest.id).desc())
        .limit(1)
    )
    newest = rows[0][0] if rows else None
    return Standing(
        role=role_in(principal, repo),
        is_disabled=await _is_disabled(session, person_id),
        accepted=frozenset(bundle for bundle, _ in accepted),
        accepted_here=any(repo_id == repo.id for _, repo_id in accepted),
        grants=tuple(_grant(grant, fields or {}) for grant, fields in rows if grant.revoked_at is None),
        request=request.state if request else None,
        request_id=request.id if request else None,
        request_reason=request.reason if request else "",
        was_revoked=newest is not None and newest.revoked_at is not None,
        revoke_reason=newest.revoke_reason if newest else "",
    )


async def _is_disabled(session: AsyncSession, person_id: str | None) -> bool:
    """True too for a person who is not there any more."""
    if person_id is None:
        return False
    disabled = await session.scalar(sa.select(col(Person.is_disabled)).where(col(Person.id) == person_id))
    return disabled is not False


def _grant(row: AccessGrant, fields: dict[str, Any]) -> Grant:
    return Grant(
        id=row.id,
        ends_at=row.ends_at,
        is_tester=row.is_tester,
        names_institution=_names(fields, _INSTITUTION),
        names_purpose=_names(fields, _PURPOSE),
    )


def _names(fields: dict[str, Any], questions: tuple[str, ...]) -> bool:
    """Whether a non-blank text answers a question that contains one of the words."""
    return any(
        isinstance(answer, str) and answer.strip() and any(word in str(name).lower() for word in questions)
        for name, answer in fields.items()
    )
