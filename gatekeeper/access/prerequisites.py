"""What people bring before access counts: training, credentials, a country, each with evidence and an end.

What a repository or a stage demands is compared when somebody asks (`authz`), so a lapse denies by itself.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.access import moves
from gatekeeper.access.grants import in_force
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessGrant, Prerequisite, RepoRequirement
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import beginning_at
from gatekeeper.licensing import COUNTRIES
from gatekeeper.repos.tables import Repo

_MOST = 500
_MAX_VALUE_CHARS = 200
_COUNTRY = "country"


async def record(
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
    """Record that a person has a prerequisite, with what was seen.

    repo     it counts there only; None: everywhere
    ends_at  None: after the kind's own number of days, if it has one
    """
    known = (rules or Rules.load()).kind(kind)
    at = now()
    evidence = moves.checked_reason(evidence, what="A prerequisite")
    if by.person_id == person.id:
        raise errors.NotAllowed("Nobody vouches for themselves.", next_step="Ask another maintainer.")
    if ends_at is None and known.days:
        ends_at = at + timedelta(days=known.days)
    if ends_at is not None and (ends_at.tzinfo is None or ends_at <= at):
        raise errors.Invalid("The end must be a later instant with a time zone.", next_step="Choose a later date.")
    made = Prerequisite(
        person_id=person.id,
        repo_id=repo.id if repo else None,
        kind=known.kind,
        value=_checked_value(known.kind, value),
        evidence=(await key_of(session, person.id)).words(evidence),
        set_at=at,
        set_by=by.person_id,
        ends_at=ends_at,
    )
    session.add(made)
    await session.flush()  # evidence names it
    await _record(session, made, "set", by=by)
    return made


async def take_back(session: AsyncSession, made: Prerequisite, *, by: Principal, reason: str) -> Prerequisite:
    """Let a prerequisite not count any more. Raises Conflict when it does not already."""
    reason = moves.checked_reason(reason, what="Taking a prerequisite back")
    won = await session.scalar(
        sa.update(Prerequisite)
        .where(col(Prerequisite.id) == made.id, col(Prerequisite.withdrawn_at).is_(None))
        .values(withdrawn_at=now())
        .returning(col(Prerequisite.id))
        .execution_options(synchronize_session=False)
    )
    if won is None:
        raise errors.Conflict("This prerequisite was taken back already.", next_step="Reload the list.")
    fresh = await session.get_one(Prerequisite, made.id, populate_existing=True)
    await _record(session, fresh, "withdraw", by=by, reason=reason)
    return fresh


async def require(
    session: AsyncSession,
    repo: Repo,
    kind: str,
    *,
    by: Principal,
    accepted: Sequence[str] = (),
    rules: Rules | None = None,
) -> RepoRequirement:
    """Demand a prerequisite of everybody who uses a grant of this repository.

    accepted  the values that count, such as countries; empty: any
    """
    wanted = demand(repo, kind, accepted, rules=rules)
    found = await session.get(RepoRequirement, (repo.id, wanted.kind)) or wanted
    found.accepted = wanted.accepted
    session.add(found)
    await _record_requirement(session, found, "require", by=by)
    return found


def demand(repo: Repo, kind: str, accepted: Sequence[str] = (), *, rules: Rules | None = None) -> RepoRequirement:
    """What `require` would demand, checked and not kept. Raises Invalid."""
    known = (rules or Rules.load()).kind(kind)
    values = sorted({_checked_value(known.kind, value) for value in accepted})
    if len(values) > 300:
        raise errors.Invalid("At most 300 values can be named.", next_step="Name fewer.")
    return RepoRequirement(repo_id=repo.id, kind=known.kind, accepted=values)


async def no_longer_require(session: AsyncSession, repo: Repo, kind: str, *, by: Principal) -> None:
    """Stop demanding a prerequisite. Raises NotFound when it was not demanded."""
    found = await session.get(RepoRequirement, (repo.id, kind))
    if found is None:
        raise errors.NotFound(f"{repo.full_name} does not demand this.", next_step="Reload the page.")
    await session.delete(found)
    await _record_requirement(session, found, "waive", by=by)


def holders_without(repo_id: str, kind: str, accepted: Sequence[str], at: datetime) -> sa.Select[str]:
    """Ids of the people with a grant in force at `at` who have not what a repository demands: it counts for nothing."""
    shown = sa.select(col(Prerequisite.person_id)).where(
        col(Prerequisite.kind) == kind,
        col(Prerequisite.withdrawn_at).is_(None),
        sa.or_(col(Prerequisite.ends_at).is_(None), col(Prerequisite.ends_at) > at),
        sa.or_(col(Prerequisite.repo_id).is_(None), col(Prerequisite.repo_id) == repo_id),
        *([col(Prerequisite.value).in_(accepted)] if accepted else []),
    )
    return holders(repo_id, at).where(col(AccessGrant.person_id).not_in(shown))


def holders(repo_id: str, at: datetime) -> sa.Select[str]:
    """Ids of the people with a grant in force at `at`."""
    return sa.select(col(AccessGrant.person_id)).distinct().where(col(AccessGrant.repo_id) == repo_id, in_force(at))


async def requirements_of(session: AsyncSession, repo: Repo) -> list[RepoRequirement]:
    """What the repository itself demands; its stage may demand more."""
    return list(
        await session.scalars(
            sa.select(RepoRequirement)
            .where(col(RepoRequirement.repo_id) == repo.id)
            .order_by(col(RepoRequirement.kind))
        )
    )


async def prerequisites_of(session: AsyncSession, person_id: str, *, repo: Repo | None = None) -> list[Prerequisite]:
    """A person's prerequisites that count anywhere, and those for `repo`; newest first."""
    where: sa.ColumnElement[bool] = col(Prerequisite.repo_id).is_(None)
    if repo is not None:
        where = sa.or_(where, col(Prerequisite.repo_id) == repo.id)
    found = await session.scalars(
        sa.select(Prerequisite)
        .where(col(Prerequisite.person_id) == person_id, where)
        .order_by(col(Prerequisite.id).desc())
        .limit(_MOST)
    )
    return list(found)


async def prerequisites_in(
    session: AsyncSession,
    *,
    repos: Iterable[sa.ColumnElement[bool]],
    has_all: bool,
    begin: Prerequisite | None = None,
    limit: int = _MOST,
) -> list[tuple[Prerequisite, Person]]:
    """Prerequisites of everybody, those taken back last, else newest first; `begin` is the first one listed.

    repos    conditions on Repo: what was set for a repository that meets them, each to be decided again
    has_all  those that count everywhere too
    """
    scope: sa.ColumnElement[bool] = col(Prerequisite.repo_id).in_(sa.select(col(Repo.id)).where(*repos))
    if has_all:
        scope = sa.or_(scope, col(Prerequisite.repo_id).is_(None))
    is_over = col(Prerequisite.withdrawn_at).is_not(None)
    query = sa.select(Prerequisite, Person).join(Person, col(Person.id) == col(Prerequisite.person_id))
    if begin is not None:
        was_over = begin.withdrawn_at is not None
        query = query.where(beginning_at(is_over, col(Prerequisite.id), was_over=was_over, id=begin.id))
    rows = await session.execute(query.where(scope).order_by(is_over, col(Prerequisite.id).desc()).limit(limit))
    return [(made, person) for made, person in rows]


async def requirements_in(session: AsyncSession, repos: Iterable[sa.ColumnElement[bool]]) -> list[RepoRequirement]:
    """What the repositories that meet the conditions demand themselves, each to be decided again."""
    query = sa.select(RepoRequirement).where(col(RepoRequirement.repo_id).in_(sa.select(col(Repo.id)).where(*repos)))
    return list(await session.scalars(query.order_by(col(RepoRequirement.repo_id)).limit(_MOST)))


async def demanded(session: AsyncSession, repo: Repo, kinds: Iterable[str]) -> dict[str, list[str]]:
    """What is demanded, by the repository and (`kinds`) by the stage, with the values that count; none named: any."""
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    found |= {each.kind: each.accepted for each in await requirements_of(session, repo)}
    return dict(sorted(found.items()))


async def lacking(
    session: AsyncSession, person_id: str, repo: Repo, kinds: Iterable[str], *, at: datetime
) -> list[str]:
    """Kinds that are demanded and that the person has not, at `at`."""
    demands = await demanded(session, repo, kinds)
    if not demands:
        return []
    has = [made for made in await prerequisites_of(session, person_id, repo=repo) if counts(made, at)]
    return [kind for kind, accepted in demands.items() if not any(answers(made, kind, accepted) for made in has)]


def answers(made: Prerequisite, kind: str, accepted: Sequence[str]) -> bool:
    """Whether it is what is demanded, whether or not it counts still."""
    return made.kind == kind and (not accepted or made.value in accepted)


def counts(made: Prerequisite, at: datetime) -> bool:
    """Whether it is in force at an instant: compared, by no job."""
    return made.withdrawn_at is None and (made.ends_at is None or at < made.ends_at)


def _checked_value(kind: str, value: str) -> str:
    text = value.strip()
    if len(text) > _MAX_VALUE_CHARS or not text.isprintable():
        raise errors.Invalid(
            f"The value must be one line of at most {_MAX_VALUE_CHARS} characters.", next_step="Shorten it."
        )
    if kind == _COUNTRY:
        text = text.upper()
        if text not in COUNTRIES:
            raise errors.Invalid("This must be a country's two-letter code, such as DE.", next_step="Correct it.")
    return text


async def _record(session: AsyncSession, made: Prerequisite, act: str, *, by: Principal, reason: str = "") -> None:
    key = await key_of(session, made.person_id)
    await ledger.record(
        session,
        f"access:prerequisite:{act}",
        actor=by.person_id,
        token=by.token_id,
        repo=made.repo_id,
        subject=made.person_id,
        body={
            "prerequisite_id": made.id,
            "kind": made.kind,
            "ends_at": made.ends_at,
            "evidence_commitment": key.commit(made.evidence, about=made.id),
        }
        | ({"reason_commitment": key.commit(reason, about=made.id)} if reason else {}),
    )


async def _record_requirement(session: AsyncSession, found: RepoRequirement, act: str, *, by: Principal) -> None:
    await ledger.record(
        session,
        f"access:prerequisite:{act}",
        actor=by.person_id,
        token=by.token_id,
        repo=found.repo_id,
        subject=found.repo_id,
        body={"kind": found.kind, "accepted": found.accepted},
    )
