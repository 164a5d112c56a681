"""Who can do one thing to one repository: the widest audience, and every person whom the database relates to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts import principals
from gatekeeper.accounts.principal import ANONYMOUS
from gatekeeper.accounts.tables import Membership, Person
from gatekeeper.authz.actions import Action
from gatekeeper.authz.audiences import AUDIENCES
from gatekeeper.authz.decide import ask, decide
from gatekeeper.authz.facts import load
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Question
from gatekeeper.kit.canonical import instant_text
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.repos.tables import Repo

# Of these nothing has to be known about the person; what they hold with it comes from the list of people.
_OPEN = ("everyone", "signed-in", "terms")
_IN_WORDS = {
    "everyone": "Everybody, signed in or not.",
    "signed-in": "Everybody who is signed in.",
    "terms": "Everybody who accepts the terms.",
}


@dataclass(frozen=True)
class Able:
    """A person who may, by which rules, and until when time alone leaves it so."""

    name: str
    rules: tuple[str, ...]
    valid_until: datetime | None


@dataclass(frozen=True)
class Who:
    """The answer to "who can". `audience` is "" where it takes more than anybody can do alone."""

    action: Action
    what: str
    audience: str
    people: tuple[Able, ...]
    asked: int

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "action": self.action.value,
            "what": self.what,
            "audience": self.audience or None,
            "people": [
                {
                    "name": able.name,
                    "rules": list(able.rules),
                    "valid_until": instant_text(able.valid_until) if able.valid_until else None,
                }
                for able in self.people
            ],
            "asked": self.asked,
        }

    @property
    def text(self) -> str:
        """For people."""
        lines = [f"{self.action} {self.what}:"]
        lines += [f"  {_IN_WORDS[self.audience]}"] if self.audience else []
        lines += [
            f"  {able.name} ({', '.join(able.rules)})"
            + (f", until {instant_text(able.valid_until)}" if able.valid_until else "")
            for able in self.people
        ]
        lines.append(f"  {len(self.people)} of {self.asked} people with a part in it.")
        return "\n".join(lines)


async def who(
    session: AsyncSession,
    policies: Policies,
    action: Action,
    repo: Repo,
    *,
    instant: datetime,
    commit: str | None = None,
    limit: int = 10_000,
) -> Who:
    """Everybody who may do `action` in a browser; people with a part in the repository by name, at most `limit` asked.

    commit  a full commit id; None for the best release that each may know
    """
    people = await related(session, repo, limit=limit)
    found = []
    for person in people:
        if person.is_disabled:
            continue
        principal = await principals.for_person(session, person)
        decision = decide(policies, principal, action, await load(session, principal, repo, commit=commit), instant)
        if isinstance(decision, Allowed):
            found.append(Able(person.name, decision.policies, decision.valid_until))
    audience = await _audience(session, policies, action, repo, commit, instant)
    return Who(action, repo.full_name, audience, tuple(found), len(people))


async def related(session: AsyncSession, repo: Repo, *, limit: int) -> Sequence[Person]:
    """Owner, members, holders of grants, those who accepted its terms, and administrators of the hub, by name."""
    member = sa.select(col(Membership.person_id)).where(
        col(Membership.organization_id) == (repo.owner_organization_id or "")
    )
    holder = sa.select(col(AccessGrant.person_id)).where(col(AccessGrant.repo_id) == repo.id)
    accepting = sa.select(col(Acceptance.person_id)).where(col(Acceptance.repo_id) == repo.id)
    condition = sa.or_(
        col(Person.id) == (repo.owner_person_id or ""),
        col(Person.is_admin),
        *(col(Person.id).in_(part) for part in (member, holder, accepting)),
    )
    query = sa.select(Person).where(condition).order_by(col(Person.name_key)).limit(limit)
    return (await session.scalars(query)).all()


async def _audience(
    session: AsyncSession, policies: Policies, action: Action, repo: Repo, commit: str | None, instant: datetime
) -> str:
    question = ask(policies, ANONYMOUS, await load(session, ANONYMOUS, repo, commit=commit), instant)
    for name in _OPEN:
        audience = AUDIENCES[name]
        asked = Question(audience.principal, question.attributes, audience.context, question.revision)
        if policies.evaluate(asked, action).is_allowed:
            return name
    return ""
