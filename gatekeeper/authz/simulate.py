"""What a changed folder of policies would change, before it is in force.

Three looks, each at old and new policies side by side: the matrix of audiences and stages; the rights of everybody who
has a part in a repository, as things stand; and the acts of the evidence log, decided again on today's facts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import principals
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.authz.actions import REPOSITORY, Action
from gatekeeper.authz.decide import decide
from gatekeeper.authz.facts import load
from gatekeeper.authz.matrix import matrix
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Resource
from gatekeeper.authz.who import related
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.repos.tables import Repo

# What an event tells was done. A download names its action itself, by its path.
_ACTIONS = {
    "repos:file:download": Action.DOWNLOAD,
    "repos:history:fetch": Action.DOWNLOAD,
    "generation:order:submit": Action.GENERATE,
    "repos:branch:commit": Action.WRITE,
    "repos:branch:push": Action.WRITE,
}
_SHOWN = 200
_COMMIT_LENGTH = 40


@dataclass(frozen=True)
class Change:
    """Somebody would gain or lose a right. `commit` is "" for the best release they may know."""

    who: str
    action: Action
    what: str
    commit: str
    is_gain: bool
    rules: tuple[str, ...]

    def __str__(self) -> str:
        at = f" at {self.commit[:12]}" if self.commit else ""
        by = f" (by {', '.join(self.rules)})" if self.rules else " (no rule allows it)"
        return f"{'gains' if self.is_gain else 'loses'}: {self.who} {self.action} {self.what}{at}{by}"


@dataclass
class Simulation:
    """What would change. `rights` are people's rights as they stand, `acts` what was done and decided again.

    is_cut  the repositories were not all looked at, for there were too many
    """

    old: str
    new: str
    cells: list[str] = field(default_factory=list)
    rights: list[Change] = field(default_factory=list)
    acts: list[Change] = field(default_factory=list)
    decisions: int = 0
    replayed: int = 0
    is_cut: bool = False

    def as_json(self) -> dict[str, Any]:
        """For machines: every change."""
        return {
            "old": self.old,
            "new": self.new,
            "matrix": self.cells,
            "rights": [_row(change) for change in self.rights],
            "acts": [_row(change) for change in self.acts],
            "decisions": self.decisions,
            "replayed": self.replayed,
            "is_cut": self.is_cut,
        }

    @property
    def text(self) -> str:
        """For people: the first changes of each kind, and how many there are."""
        lines = [f"Policies {self.old[:16]} (in force) against {self.new[:16]}."]
        for title, changes in (
            ("the matrix", self.cells),
            (f"rights as they stand ({self.decisions:,} decisions)", self.rights),
            (f"acts of the evidence log ({self.replayed:,} decided again)", self.acts),
        ):
            lines.append(f"{title}: {len(changes)} changes" if changes else f"{title}: nothing changes")
            lines += [f"  {change}" for change in changes[:_SHOWN]]
            lines += [f"  and {len(changes) - _SHOWN} more (--json shows all)"] if len(changes) > _SHOWN else []
        return "\n".join(lines)


async def simulate(
    session: AsyncSession,
    old: Policies,
    new: Policies,
    *,
    instant: datetime,
    people: int = 1000,
    acts: int = 10_000,
    decisions: int | None = None,
) -> Simulation:
    """Decide everything twice, on the facts as they stand at `instant`.

    people  at most so many of each repository's people, by name
    acts    at most so many of the log's newest acts
    decisions  go on to no further repository once so many were made; None: as many as it takes
    """
    found = Simulation(old.sha256, new.sha256, cells=list(_cells(old, new)))
    query = sa.select(Repo).where(col(Repo.key).is_not(None)).order_by(col(Repo.id))
    for repo in (await session.scalars(query)).all():
        if decisions is not None and found.decisions >= decisions:
            found.is_cut = True
            break
        for principal in await _people(session, repo, people):
            await _rights(session, old, new, principal, repo, instant, found)
    await _replay(session, old, new, instant, acts, found)
    return found


async def _rights(
    session: AsyncSession,
    old: Policies,
    new: Policies,
    principal: Principal,
    repo: Repo,
    instant: datetime,
    found: Simulation,
) -> None:
    """One person's rights: to the repository as they find it, and to each release."""
    whole = await load(session, principal, repo)
    commits = [release.commit for release in whole.releases]
    for resource in [whole, *[await load(session, principal, repo, commit=commit) for commit in commits]]:
        for action in REPOSITORY:
            found.decisions += 1
            found.rights += _compare(old, new, principal, action, resource, instant)


async def _replay(
    session: AsyncSession, old: Policies, new: Policies, instant: datetime, most: int, found: Simulation
) -> None:
    query = (
        sa.select(LedgerEvent)
        .where(col(LedgerEvent.kind).in_(_ACTIONS), col(LedgerEvent.repo_id).is_not(None))
        .order_by(col(LedgerEvent.id).desc())
        .limit(most)
    )
    seen: set[tuple[str | None, str | None, str | None, Action]] = set()
    for event in (await session.scalars(query)).all():
        action = Action(event.body.get("action") or _ACTIONS[event.kind])
        commit = event.subject_id if len(event.subject_id or "") == _COMMIT_LENGTH else None
        key = (event.actor_id, event.repo_id, commit, action)
        if key in seen:
            continue
        seen.add(key)
        repo = await session.get(Repo, event.repo_id)
        principal = await _actor(session, event.actor_id)
        if repo is None or repo.deleted_at is not None or principal is None:
            continue
        found.replayed += 1
        resource = await load(session, principal, repo, commit=None if action is Action.WRITE else commit)
        found.acts += _compare(old, new, principal, action, resource, instant)


def _compare(
    old: Policies, new: Policies, principal: Principal, action: Action, resource: Resource, instant: datetime
) -> list[Change]:
    before, after = (decide(policies, principal, action, resource, instant) for policies in (old, new))
    if bool(before) is bool(after):
        return []
    rules = after.policies if isinstance(after, Allowed) else after.rules
    name = principal.name or "everybody without an account"
    return [Change(name, action, resource.name, resource.commit or "", bool(after), rules)]


async def _people(session: AsyncSession, repo: Repo, most: int) -> list[Principal]:
    """Everybody with a part in the repository, and one who is nobody in particular."""
    people: Sequence[Person] = await related(session, repo, limit=most)
    active = [person for person in people if not person.is_disabled]
    return [ANONYMOUS, *[await principals.for_person(session, person) for person in active]]


async def _actor(session: AsyncSession, person_id: str | None) -> Principal | None:
    if person_id is None:
        return ANONYMOUS
    person = await session.get(Person, person_id)
    return None if person is None or person.is_disabled else await principals.for_person(session, person)


def _cells(old: Policies, new: Policies) -> Iterator[str]:
    for before, after in zip(matrix(old), matrix(new), strict=True):
        for stage, audience in before.cells.items():
            if after.cells[stage] != audience:
                yield f"{before.title} at {stage}: {audience} becomes {after.cells[stage]}"


def _row(change: Change) -> dict[str, Any]:
    return {
        "who": change.who,
        "action": change.action.value,
        "what": change.what,
        "commit": change.commit or None,
        "gains": change.is_gain,
        "rules": list(change.rules),
    }
