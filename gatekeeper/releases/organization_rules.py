"""What an organization asks for beyond the ladder of the hub: more, never less."""

from collections.abc import Collection
from dataclasses import replace
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization
from gatekeeper.kit.clock import now
from gatekeeper.releases.ladder import CRITERIA, Ladder, StageRule
from gatekeeper.releases.tables import OrganizationRule, Stage
from gatekeeper.repos.tables import Repo

_MOST = {"approvals": 20, "soak_days": 3650, "testers": 10_000}
_SAID = {"approvals": "Approvals", "soak_days": "Days at the stage below", "testers": "Testers at the stage below"}


async def ladder_for(session: AsyncSession, repo: Repo, ladder: Ladder) -> Ladder:
    """The ladder that counts for a repository: the hub's, with what its organization asks for on top."""
    if repo.owner_organization_id is None:
        return ladder
    return await ladder_of(session, repo.owner_organization_id, ladder)


async def ladder_of(session: AsyncSession, organization_id: str, ladder: Ladder) -> Ladder:
    """The ladder of an organization."""
    own = await session.scalars(
        sa.select(OrganizationRule).where(col(OrganizationRule.organization_id) == organization_id)
    )
    stricter = {row.stage: _on_top(ladder.rule(row.stage), row) for row in own}
    return replace(ladder, rules=MappingProxyType({**ladder.rules, **stricter})) if stricter else ladder


async def set_rule(
    session: AsyncSession,
    organization: Organization,
    stage: Stage,
    *,
    by: Principal,
    ladder: Ladder,
    approvals: int = 0,
    sole_maintainer: bool = True,
    soak_days: int = 0,
    testers: int = 0,
    criteria: Collection[str] = (),
) -> OrganizationRule:
    """Ask for more than the hub does at one stage; what is less than the hub's changes nothing.

    Raises Invalid for a number out of range or a criterion that does not exist. Proposals that are open are held
    against the new rule when they are promoted.
    """
    numbers = {"approvals": approvals, "soak_days": soak_days, "testers": testers}
    for name, value in numbers.items():
        if not 0 <= value <= _MOST[name]:
            raise errors.Invalid(
                f"{_SAID[name]} must lie between 0 and {_MOST[name]:,}.",
                next_step="Choose another number.",
                details={"field": name},
            )
    if unknown := set(criteria) - CRITERIA:
        raise errors.Invalid(
            f"There is no criterion {', '.join(sorted(unknown))}.",
            next_step=f"Choose from {', '.join(sorted(CRITERIA))}.",
        )
    row = await session.get(OrganizationRule, (organization.id, stage))
    before = _facts(row) if row else None
    if row is None:
        row = OrganizationRule(organization_id=organization.id, stage=stage)
        session.add(row)
    row.approvals, row.soak_days, row.testers = approvals, soak_days, testers
    row.sole_maintainer = sole_maintainer
    row.criteria = sorted(set(criteria) - set(ladder.rule(stage).criteria))
    row.changed_at = now()
    await session.flush()  # the next ladder is read from the table
    await ledger.record(
        session,
        "releases:ladder:change",
        actor=by.person_id,
        token=by.token_id,
        subject=organization.id,
        body={"stage": stage, "before": before, "after": _facts(row)},
    )
    return row


def _on_top(rule: StageRule, row: OrganizationRule) -> StageRule:
    return replace(
        rule,
        approvals=max(rule.approvals, row.approvals),
        sole_maintainer=rule.sole_maintainer and row.sole_maintainer,
        soak_days=max(rule.soak_days, row.soak_days),
        testers=max(rule.testers, row.testers),
        criteria=tuple(dict.fromkeys([*rule.criteria, *(id for id in row.criteria if id in CRITERIA)])),
    )


def _facts(row: OrganizationRule) -> dict[str, object]:
    return {
        "approvals": row.approvals,
        "sole_maintainer": row.sole_maintainer,
        "soak_days": row.soak_days,
        "testers": row.testers,
        "criteria": list(row.criteria),
    }
