"""Vouching for a person: the prerequisite is recorded, and approvals that waited for it take effect."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.access import activation, prerequisites
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import Prerequisite
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.repos.tables import Repo


async def vouch(
    session: AsyncSession,
    person: Person,
    kind: str,
    *,
    by: Principal,
    evidence: str,
    value: str = "",
    repo: Repo | None = None,
    ends_at: datetime | None = None,
    rules: Rules | None = None,
) -> Prerequisite:
    """Record that a person has a prerequisite, with what was seen; see `prerequisites.record`."""
    made = await prerequisites.record(
        session, person, kind, by=by, evidence=evidence, value=value, repo=repo, ends_at=ends_at, rules=rules
    )
    await activation.activate_waiting(session, person.id, at=made.set_at)
    return made
