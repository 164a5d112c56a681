"""Changes of terms: which older acceptances still count, until when, and who said what kind of change it is.

New terms put in force in the place of old ones are material until a person who sees the difference says otherwise: who
accepted the old ones is warned and let in until the deadline, then asked to accept. An acceptance goes on counting for
terms that differ typographically or only clarify. Deadlines are compared when deciding; no job runs for them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.licensing import differences
from gatekeeper.licensing.tables import Acceptance, ChangeClass, RepoTerms, TermsBundle, TermsChange
from gatekeeper.licensing.terms import stored
from gatekeeper.repos import history
from gatekeeper.repos.tables import Repo

GRACE_DAYS = 14
MOST_GRACE_DAYS = 365
_MAX_NOTE_CHARS = 2_000
_LOOKED_BACK = 100
_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Older texts whose acceptance counts for the present ones, until an instant (None: for good)."""

    texts: frozenset[str]
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    old: frozenset[str]
    new: frozenset[str]
    until: datetime


async def put_in_force(
    session: AsyncSession,
    repo: Repo,
    bundle_sha256: str,
    *,
    by: Principal | None = None,
    after: Iterable[str] | None = None,
    grace_days: int = GRACE_DAYS,
) -> list[TermsChange]:
    """Say that these terms bind `repo` from now on. Returns the changes that this makes; none where texts are equal.

    after  bundles that people may have accepted so far; None for what was last put in force
    A class that was given to the same change before is taken over.
    """
    texts = await _texts(session, bundle_sha256)
    olds: list[str | None] = list(dict.fromkeys(after or ()))
    if not olds:
        last = await _last_in_force(session, repo)
        olds = [last]
    made, at = [], now()
    for old in olds:
        if old == bundle_sha256 or (old is not None and await _texts(session, old) == texts):
            continue
        change = TermsChange(
            repo_id=repo.id,
            old_sha256=old,
            new_sha256=bundle_sha256,
            change_class=await _known_class(session, repo, old, bundle_sha256),
            in_force_at=at,
            deadline_at=at + timedelta(days=grace_days),
        )
        session.add(change)
        await session.flush()  # read by the next decision in this transaction
        if old is None:
            continue
        made.append(change)
        await ledger.record(
            session,
            "licensing:terms:change",
            actor=by.person_id if by else None,
            token=by.token_id if by else None,
            repo=repo.id,
            subject=change.id,
            body=_facts(change),
        )
    return made


async def classify(
    session: AsyncSession,
    change: TermsChange,
    change_class: ChangeClass,
    *,
    by: Principal,
    seen_sha256: str,
    grace_days: int = GRACE_DAYS,
    note: str = "",
) -> TermsChange:
    """A maintainer who has read the difference says what kind of change it is.

    seen_sha256  digest of the difference that was shown
    grace_days   for a material change: whole days from now until older acceptances end
    Raises Invalid where the difference was not shown, Conflict when somebody else was faster.
    """
    if by.person_id is None:
        raise errors.NotAllowed("A person says what kind of change it is.", next_step="Sign in as a maintainer.")
    if change.old_sha256 is None:
        raise errors.Invalid("There were no terms before these.", next_step="Nothing has to be said about them.")
    if seen_sha256 != (await difference(session, change)).sha256:
        raise errors.Invalid(
            "The difference of the two texts was not shown before.", next_step="Open the page of terms and read it."
        )
    if not 1 <= grace_days <= MOST_GRACE_DAYS:
        raise errors.Invalid(
            f"The time to accept must be 1 to {MOST_GRACE_DAYS} days.", status=422, next_step="Choose another number."
        )
    if len(note) > _MAX_NOTE_CHARS:
        raise errors.Invalid(f"The note has {len(note):,} characters; at most {_MAX_NOTE_CHARS:,} are kept.")
    before, at = _facts(change), now()
    material = change_class is ChangeClass.MATERIAL
    won = await session.scalar(
        sa.update(TermsChange)
        .where(col(TermsChange.id) == change.id, col(TermsChange.version) == change.version)
        .values(
            change_class=change_class,
            deadline_at=at + timedelta(days=grace_days) if material else change.deadline_at,
            classified_by=by.person_id,
            classified_at=at,
            note=note.strip(),
            version=change.version + 1,
        )
        .returning(col(TermsChange.id))
        .execution_options(synchronize_session=False)
    )
    fresh = await session.get_one(TermsChange, change.id, populate_existing=True)
    if won is None:
        raise errors.Conflict(
            "Somebody else said what kind of change it is in the meantime.", next_step="Reload the page of terms."
        )
    await ledger.record(
        session,
        "licensing:terms:classify",
        actor=by.person_id,
        token=by.token_id,
        repo=change.repo_id,
        subject=change.id,
        body={"before": before, "after": _facts(fresh), "seen_sha256": seen_sha256},
    )
    return fresh


async def difference(session: AsyncSession, change: TermsChange) -> differences.Difference:
    """What a change changed, text by text."""
    new = await stored(session, change.new_sha256)
    old = await stored(session, change.old_sha256) if change.old_sha256 else None
    return differences.between(old.documents if old else (), new.documents)


async def changes_of(session: AsyncSession, repo: Repo) -> list[TermsChange]:
    """Every time that other terms came into force for a repository, newest first."""
    query = (
        sa.select(TermsChange)
        .where(col(TermsChange.repo_id) == repo.id, col(TermsChange.old_sha256).is_not(None))
        .order_by(col(TermsChange.id).desc())
    )
    return list(await session.scalars(query))


async def asked_again(session: AsyncSession, change: TermsChange) -> int:
    """How many accepted the earlier terms here and not the new ones: whom a material change asks to accept again."""

    def accepted(bundle_sha256: str | None) -> sa.Select[str]:
        return sa.select(col(Acceptance.person_id)).where(
            col(Acceptance.repo_id) == change.repo_id,
            col(Acceptance.withdrawn_at).is_(None),
            col(Acceptance.bundle_sha256) == bundle_sha256,
        )

    people = accepted(change.old_sha256).where(col(Acceptance.person_id).not_in(accepted(change.new_sha256)))
    return int(await session.scalar(sa.select(sa.func.count()).select_from(people.distinct().subquery())) or 0)


async def get_change(session: AsyncSession, repo: Repo, change_id: str) -> TermsChange:
    """A change of this repository's terms. Raises NotFound."""
    found = await session.get(TermsChange, change_id)
    if found is None or found.repo_id != repo.id or found.old_sha256 is None:
        raise errors.NotFound("There is no such change of terms.", next_step="Take it from the page of terms.")
    return found


async def earlier_texts(session: AsyncSession, repo_id: str, texts: Iterable[str]) -> tuple[Earlier, ...]:
    """Older sets of texts whose acceptance counts for `texts`, over as many changes as there were."""
    wanted = (repo_id, frozenset(texts))
    return (await earlier_texts_of(session, [wanted]))[wanted]


async def earlier_texts_of(
    session: AsyncSession, wanted: Iterable[tuple[str, frozenset[str]]]
) -> dict[tuple[str, frozenset[str]], tuple[Earlier, ...]]:
    """The same for texts of several repositories, with one statement."""
    wanted = set(wanted)
    if not wanted:
        return {}
    old, new = aliased(TermsBundle), aliased(TermsBundle)
    rows: sa.Result[Any] = await session.execute(
        sa.select(TermsChange, col(old.texts).label("old"), col(new.texts).label("new"))
        .join(old, col(old.sha256) == col(TermsChange.old_sha256))
        .join(new, col(new.sha256) == col(TermsChange.new_sha256))
        .where(col(TermsChange.repo_id).in_({repo_id for repo_id, _ in wanted}))
    )
    steps: dict[str, list[_Step]] = {}
    for row in rows:
        step = _Step(frozenset(row.old), frozenset(row.new), _until(row.TermsChange))
        steps.setdefault(row.TermsChange.repo_id, []).append(step)
    return {(repo_id, texts): _reached(steps.get(repo_id, []), texts) for repo_id, texts in wanted}


def _reached(steps: Sequence[_Step], texts: frozenset[str]) -> tuple[Earlier, ...]:
    """Back from `texts`: a way lasts as long as its shortest step, and of several ways the longest counts."""
    best: dict[frozenset[str], datetime] = {}
    waiting = [(texts, _FOREVER)]
    while waiting:
        present, until = waiting.pop()
        for step in steps:
            reach = min(until, step.until)
            if step.new == present and reach > best.get(step.old, datetime.min.replace(tzinfo=UTC)):
                best[step.old] = reach
                waiting.append((step.old, reach))
    best.pop(texts, None)
    return tuple(Earlier(old, None if until == _FOREVER else until) for old, until in best.items())


def _until(change: TermsChange) -> datetime:
    return change.deadline_at if change.change_class in (None, ChangeClass.MATERIAL) else _FOREVER


async def _texts(session: AsyncSession, bundle_sha256: str) -> list[str]:
    bundle = await session.get(TermsBundle, bundle_sha256)
    return sorted(bundle.texts) if bundle else [bundle_sha256]


async def _last_in_force(session: AsyncSession, repo: Repo) -> str | None:
    """What was put in force last; for a repository older than this record, the terms of main's earlier commits."""
    last = await session.scalar(
        sa.select(col(TermsChange.new_sha256))
        .where(col(TermsChange.repo_id) == repo.id)
        .order_by(col(TermsChange.id).desc())
        .limit(1)
    )
    if last is not None:
        return str(last)
    for commit in (await history.commits(session, repo, "main", limit=_LOOKED_BACK))[1:]:
        terms = await session.get(RepoTerms, (repo.id, commit.oid, ""))
        if terms is not None:
            return terms.bundle_sha256
    return None


async def _known_class(session: AsyncSession, repo: Repo, old: str | None, new: str) -> ChangeClass | None:
    found: ChangeClass | None = await session.scalar(
        sa.select(col(TermsChange.change_class))
        .where(
            col(TermsChange.repo_id) == repo.id,
            col(TermsChange.old_sha256) == old,
            col(TermsChange.new_sha256) == new,
        )
        .order_by(col(TermsChange.id).desc())
        .limit(1)
    )
    return found


def _facts(change: TermsChange) -> dict[str, object]:
    return {
        "old_sha256": change.old_sha256,
        "new_sha256": change.new_sha256,
        "class": change.change_class,
        "in_force_at": change.in_force_at,
        "deadline_at": change.deadline_at,
    }
