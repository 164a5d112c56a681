"""How a person stands to repositories: role, acceptances, grants, latest request."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.grants import latest_requests
from gatekeeper.access.tables import AccessGrant, AccessRequest, Prerequisite, RepoRequirement, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person, Role
from gatekeeper.authz.resource import Brought, Demand, Grant, Standing
from gatekeeper.licensing.tables import Acceptance, TermsBundle
from gatekeeper.repos import catalogue, team_rights
from gatekeeper.repos.tables import Repo

# Questions whose answer tells the institution or the purpose, in the spellings cards use.
_INSTITUTION = ("institution", "affiliation", "organization", "organisation", "company", "university")
_PURPOSE = ("purpose", "intended use", "use case", "reason")
_NO_ANSWER = frozenset({"", "none", "no", "n/a", "na", "-", "."})


async def standings(session: AsyncSession, principal: Principal, repos: Sequence[Repo]) -> dict[str, Standing]:
    """The principal's standing to each repository, by the repository's id; an empty one for nobody in particular."""
    person_id = principal.person_id
    if person_id is None:
        return {repo.id: Standing() for repo in repos}
    ids = [repo.id for repo in repos]
    disabled = await is_disabled(session, person_id)
    accepted, withdrawn = await _accepted(session, person_id, ids)
    grants = await _grants(session, person_id, ids)
    requests = await latest_requests(session, person_id, ids, with_drafts=False)
    held = [repo_id for repo_id in ids if grants.get(repo_id)]  # prerequisites matter to those who hold a grant only
    demands = await _demands(session, held)
    brought = await _brought(session, person_id, held)
    in_teams = [repo for repo in repos if repo.owner_organization_id in principal.in_teams]
    by_team = await team_rights.roles_of(session, person_id, in_teams) if in_teams else {}
    return {
        repo.id: _standing(
            team_rights.highest(catalogue.role_of(principal, repo), by_team.get(repo.id)),
            accepted.get(repo.id, []),
            repo.id in withdrawn,
            grants.get(repo.id, []),
            requests.get(repo.id),
            disabled=disabled,
            is_safety=repo.owner_organization_id in principal.safety_teams,
            demands=demands.get(repo.id, ()),
            brought=(*brought.get(None, ()), *brought.get(repo.id, ())),
        )
        for repo in repos
    }


async def is_disabled(session: AsyncSession, person_id: str | None) -> bool:
    """Whether the person may do nothing. True too for one who is not there any more."""
    if person_id is None:
        return False
    disabled = await session.scalar(sa.select(col(Person.is_disabled)).where(col(Person.id) == person_id))
    return disabled is not False


def _standing(
    role: Role | None,
    accepted: list[frozenset[str]],
    has_withdrawn: bool,
    grants: list[tuple[AccessGrant, AccessRequest | None]],
    request: AccessRequest | None,
    *,
    disabled: bool,
    is_safety: bool,
    demands: tuple[Demand, ...],
    brought: tuple[Brought, ...],
) -> Standing:
    newest, asked = grants[0] if grants else (None, None)
    return Standing(
        role=role,
        is_safety=is_safety,
        is_disabled=disabled,
        accepted=tuple(accepted),
        has_withdrawn=has_withdrawn,
        grants=tuple(_grant(grant, row.fields if row else {}) for grant, row in grants if grant.revoked_at is None),
        request=request.state if request else None,
        request_id=request.id if request else None,
        was_revoked=newest is not None
        and newest.revoked_at is not None
        and (asked is None or asked.state is RequestState.REVOKED),  # else it was given up, or taken back
        revoke_reason=newest.revoke_reason if newest else "",
        demands=demands,
        brought=brought,
    )


def _grant(row: AccessGrant, answers: dict[str, Any]) -> Grant:
    return Grant(
        id=row.id,
        ends_at=row.ends_at,
        is_tester=row.is_tester,
        names_institution=_names(answers, _INSTITUTION),
        names_purpose=_names(answers, _PURPOSE),
        is_suspended=row.suspended_at is not None,
    )


def asks_institution(questions: Iterable[str]) -> bool:
    """Whether one of the questions is about the institution, so that its answer names one."""
    return any(word in question.lower() for question in questions for word in _INSTITUTION)


def _names(answers: dict[str, Any], questions: tuple[str, ...]) -> bool:
    """Whether a text that says something answers a question that contains one of the words."""
    return any(
        isinstance(answer, str)
        and answer.strip().lower() not in _NO_ANSWER
        and any(word in str(question).lower() for word in questions)
        for question, answer in answers.items()
    )


async def _accepted(
    session: AsyncSession, person_id: str, repo_ids: list[str]
) -> tuple[dict[str, list[frozenset[str]]], set[str]]:
    """The texts of each acceptance that was not withdrawn, by repository; and the repositories where one was."""
    rows = await session.execute(
        sa.select(col(Acceptance.repo_id), col(TermsBundle.texts), col(Acceptance.withdrawn_at))
        .join(TermsBundle, col(TermsBundle.sha256) == col(Acceptance.bundle_sha256))
        .where(
            col(Acceptance.person_id) == person_id,
            col(Acceptance.repo_id).in_(repo_ids),
        )
    )
    found: dict[str, list[frozenset[str]]] = {}
    withdrawn = set()
    for repo_id, texts, withdrawn_at in rows:
        if withdrawn_at is None:
            found.setdefault(repo_id, []).append(frozenset(texts))
        else:
            withdrawn.add(repo_id)
    return found, withdrawn


async def _grants(
    session: AsyncSession, person_id: str, repo_ids: list[str]
) -> dict[str, list[tuple[AccessGrant, AccessRequest | None]]]:
    """Grants, newest first, each with the request that led to it."""
    rows = await session.execute(
        sa.select(AccessGrant, AccessRequest)
        .outerjoin(AccessRequest, col(AccessRequest.id) == col(AccessGrant.request_id))
        .where(col(AccessGrant.person_id) == person_id, col(AccessGrant.repo_id).in_(repo_ids))
        .order_by(col(AccessGrant.granted_at).desc(), col(AccessGrant.id).desc())
    )
    found: dict[str, list[tuple[AccessGrant, AccessRequest | None]]] = {}
    for grant, request in rows:
        found.setdefault(grant.repo_id, []).append((grant, request))
    return found


async def _demands(session: AsyncSession, repo_ids: list[str]) -> dict[str, tuple[Demand, ...]]:
    if not repo_ids:
        return {}
    found: dict[str, tuple[Demand, ...]] = {}
    for row in await session.scalars(sa.select(RepoRequirement).where(col(RepoRequirement.repo_id).in_(repo_ids))):
        found[row.repo_id] = (*found.get(row.repo_id, ()), Demand(row.kind, frozenset(row.accepted)))
    return found


async def _brought(session: AsyncSession, person_id: str, repo_ids: list[str]) -> dict[str | None, tuple[Brought, ...]]:
    """Prerequisites by the repository where they count; under None those that count everywhere."""
    if not repo_ids:
        return {}
    found: dict[str | None, tuple[Brought, ...]] = {}
    for row in await session.scalars(
        sa.select(Prerequisite).where(
            col(Prerequisite.person_id) == person_id,
            col(Prerequisite.withdrawn_at).is_(None),
            sa.or_(col(Prerequisite.repo_id).is_(None), col(Prerequisite.repo_id).in_(repo_ids)),
        )
    ):
        found[row.repo_id] = (*found.get(row.repo_id, ()), Brought(row.kind, row.value, row.ends_at))
    return found
