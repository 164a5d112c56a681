"""What a changed folder of policies would change, before it is in force.

Three looks, each at old and new policies side by side: the matrix of audiences and stages; the rights of everybody who
has a part in a repository, as things stand, in a browser and by each kind of token; and the acts of the evidence log,
decided again on today's facts, by the token that they were done with.
"""

from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import tokens
from gatekeeper.accounts import principals
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.authz.actions import REPOSITORY, Action
from gatekeeper.authz.decide import ask, decide
from gatekeeper.authz.facts import load
from gatekeeper.authz.matrix import matrix
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Question, Resource
from gatekeeper.authz.simulation import CellChange, Change, Simulation
from gatekeeper.authz.token_kinds import by_token, scopes_of
from gatekeeper.authz.who import related
from gatekeeper.errors import NotSignedIn
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.repos.tables import Repo
from gatekeeper.tokens import AccessToken

# What an event tells was done. A download names its action itself, by its path.
_ACTIONS = {
    "repos:file:download": Action.DOWNLOAD,
    "repos:history:fetch": Action.DOWNLOAD,
    "generation:order:submit": Action.GENERATE,
    "repos:branch:commit": Action.WRITE,
    "repos:branch:push": Action.WRITE,
}
_COMMIT_LENGTH = 40


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
    pair = _Pair(old, new, instant)
    found = Simulation(old.sha256, new.sha256, cells=list(_cells(old, new)))
    looked_at: set[Question] = set()
    query = sa.select(Repo).where(col(Repo.key).is_not(None)).order_by(col(Repo.id))
    for repo in (await session.scalars(query)).all():
        if decisions is not None and found.decisions >= decisions:
            found.is_cut = True
            break
        for principal in await _people(session, repo, people):
            await _rights(session, pair, principal, repo, found, looked_at)
    await _replay(session, pair, acts, found)
    return found


@dataclass(frozen=True)
class _Pair:
    """Old and new policies, asked the same at one instant."""

    old: Policies
    new: Policies
    instant: datetime

    def changes(self, principal: Principal, action: Action, resource: Resource, *, token: str = "") -> list[Change]:
        """What becomes of one right: nothing, or one change. `token` says in words what the principal has."""
        before, after = (
            decide(policies, principal, action, resource, self.instant) for policies in (self.old, self.new)
        )
        if bool(before) is bool(after):
            return []
        rules = after.policies if isinstance(after, Allowed) else after.rules
        name = principal.name or "everybody without an account"
        return [Change(name, token, action, resource.name, resource.commit or "", bool(after), rules)]


async def _rights(
    session: AsyncSession,
    pair: _Pair,
    principal: Principal,
    repo: Repo,
    found: Simulation,
    looked_at: set[Question],
) -> None:
    """One person's rights: to the repository as they find it, and to each release.

    looked_at  how people stand whose tokens were looked at already: those of others who stand alike may the same
    """
    whole = await load(session, principal, repo)
    commits = [release.commit for release in whole.releases]
    for resource in [whole, *[await load(session, principal, repo, commit=commit) for commit in commits]]:
        found.decisions += len(REPOSITORY)
        changes = [change for action in REPOSITORY for change in pair.changes(principal, action, resource)]
        found.rights += changes
        standing = ask(pair.old, principal, resource, pair.instant)._replace(revision=None)
        if principal.is_signed_in and standing not in looked_at:
            looked_at.add(standing)
            _tokens_rights(pair, principal, resource, found, {(change.action, change.is_gain) for change in changes})


def _tokens_rights(
    pair: _Pair, principal: Principal, resource: Resource, found: Simulation, in_browser: Set[tuple[Action, bool]]
) -> None:
    """What changes for a person with each kind of token and not in a browser. Each is told of one person."""
    told = {(change.token, change.action, change.is_gain) for change in found.rights}
    for token, narrowed in by_token(principal, resource.owner_id):
        for action in REPOSITORY:
            found.decisions += 1
            for change in pair.changes(narrowed, action, resource, token=token):
                if (token, action, change.is_gain) not in told and (action, change.is_gain) not in in_browser:
                    found.rights.append(replace(change, who=f"{change.who}, for one,"))


async def _replay(session: AsyncSession, pair: _Pair, most: int, found: Simulation) -> None:
    query = (
        sa.select(LedgerEvent)
        .where(col(LedgerEvent.kind).in_(_ACTIONS), col(LedgerEvent.repo_id).is_not(None))
        .order_by(col(LedgerEvent.id).desc())
        .limit(most)
    )
    actors: dict[tuple[str | None, str | None], Principal | None] = {}
    seen: set[tuple[object, ...]] = set()
    for event in (await session.scalars(query)).all():
        by = (event.actor_id, event.token_id)
        if by not in actors:
            actors[by] = await _actor(session, event)
        principal = actors[by]
        repo = await session.get(Repo, event.repo_id)
        if repo is None or repo.deleted_at is not None or principal is None:
            continue
        action = Action(event.body.get("action") or _ACTIONS[event.kind])
        commit = event.subject_id if len(event.subject_id or "") == _COMMIT_LENGTH else None
        key = (event.actor_id, principal.scopes, principal.reach, principal.closed, repo.id, commit, action)
        if key in seen:
            continue
        seen.add(key)
        found.replayed += 1
        found.lost_tokens += event.token_id is not None and principal.scopes is None
        resource = await load(session, principal, repo, commit=None if action is Action.WRITE else commit)
        found.acts += pair.changes(principal, action, resource, token=scopes_of(principal))


async def _people(session: AsyncSession, repo: Repo, most: int) -> list[Principal]:
    """Everybody with a part in the repository, and one who is nobody in particular."""
    people: Sequence[Person] = await related(session, repo, limit=most)
    active = [person for person in people if not person.is_disabled]
    return [ANONYMOUS, *[await principals.for_person(session, person) for person in active]]


async def _actor(session: AsyncSession, event: LedgerEvent) -> Principal | None:
    """Who did it, as narrow as their token was, as long as that is known; None where they are gone."""
    if event.actor_id is None:
        return ANONYMOUS
    person = await session.get(Person, event.actor_id)
    if person is None or person.is_disabled:
        return None
    token = await session.get(AccessToken, event.token_id) if event.token_id else None
    if token is not None:
        with suppress(NotSignedIn):
            return await tokens.behind(session, person, token)
    return await principals.for_person(session, person)


def _cells(old: Policies, new: Policies) -> Iterator[CellChange]:
    for before, after in zip(matrix(old), matrix(new), strict=True):
        for stage, audience in before.cells.items():
            if after.cells[stage] != audience:
                yield CellChange(before.title, stage, audience, after.cells[stage])
