"""Letting an order in: quotas counted in the transaction that takes from them, so that two at once cannot both pass."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.generation.orders import OrderRequest
from gatekeeper.generation.safety import SafetyLevel
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash
from gatekeeper.repos.tables import Repo

WINDOW = timedelta(hours=24)
_BUSY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision that let the order in, for its receipt: ids of the policies and the digest of all of them."""

    policies: tuple[str, ...] = ()
    policy_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """How a person stands in the last 24 hours. `frees_in_seconds`: until the oldest image stops counting."""

    limit: int
    used: int
    frees_in_seconds: int

    @property
    def remaining(self) -> int:
        """Images that may still be ordered."""
        return max(self.limit - self.used, 0)


async def admit(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    commit: str,
    request: OrderRequest,
    *,
    level: SafetyLevel,
    ruling: Ruling,
    privacy_key: bytes,
) -> Generation:
    """Take the order in: check the quotas, charge them, record it as running. The caller commits, then starts it.

    Raises TooMany with details["retry_after_seconds"] when the person has used what the stage offers.
    """
    if principal.person_id is None:
        raise errors.NotSignedIn("Images are made for a person.", next_step="Sign in, or send your access token.")
    at = now()
    # One order of a person is admitted at a time: SQLite has one writer anyway, elsewhere this row is the lock.
    await session.execute(sa.select(col(Person.id)).where(col(Person.id) == principal.person_id).with_for_update())
    await _check_concurrency(session, principal.person_id, level)
    stands = await quota(session, principal.person_id, repo, level, at=at)
    if request.images > stands.remaining:
        wait = await _wait_seconds(session, principal.person_id, repo, request.images, level, at)
        raise errors.TooMany(
            f"You may make {stands.limit} images of {repo.full_name} in 24 hours and have made {stands.used}.",
            next_step=f"Ask for at most {stands.remaining} now, or come back in {_readable(wait)}.",
            details={"retry_after_seconds": wait, "limit": stands.limit, "remaining": stands.remaining},
        )
    terms = await licensing.terms_for(session, repo, commit)
    made = Generation(
        person_id=principal.person_id,
        repo_id=repo.id,
        commit_id=commit,
        settings=request.settings()
        | {
            "margin": level.margin,
            "decision": list(ruling.policies),
            "policy_sha256": ruling.policy_sha256,
            "bundle_sha256": terms.sha256 if terms else None,
            "texts": list(terms.texts) if terms else [],
        },
        prompt=request.prompt,
        prompt_sha256=keyed_hash(privacy_key, request.prompt),
        charged_images=request.images,
        started_at=at,
        expires_at=at + timedelta(days=level.keep_image_days),
    )
    session.add(made)
    await session.flush()  # the door answers with its id
    await ledger.record(
        session,
        "generation:order:submit",
        actor=principal.person_id,
        token=principal.token_id,
        repo=repo.id,
        subject=made.id,
        body={"before": None, "after": made.state, "commit": commit, "settings": request.settings()},
        policy=ruling.policy_sha256,
    )
    return made


async def quota(
    session: AsyncSession, person_id: str, repo: Repo, level: SafetyLevel, *, at: datetime | None = None
) -> Quota:
    """What the person has used of a repository's images in the last 24 hours."""
    at = at or now()
    since = at - WINDOW
    row = (
        await session.execute(
            sa.select(
                sa.func.coalesce(sa.func.sum(Generation.charged_images), 0), sa.func.min(Generation.started_at)
            ).where(*_counting(person_id, repo.id, since))
        )
    ).one()
    used, oldest = int(row[0]), row[1]
    frees = 0 if oldest is None else max(int((oldest - since).total_seconds()) + 1, 1)
    return Quota(level.images_per_day, used, frees)


async def _check_concurrency(session: AsyncSession, person_id: str, level: SafetyLevel) -> None:
    running = await session.scalar(
        sa.select(sa.func.count())
        .select_from(Generation)
        .where(col(Generation.person_id) == person_id, col(Generation.state) == GenerationState.RUNNING)
    )
    if int(running or 0) >= level.concurrency:
        raise errors.TooMany(
            f"{level.concurrency} of your orders are being made; more do not run at once here.",
            next_step="Wait for one of them, or cancel it.",
            details={"retry_after_seconds": _BUSY_SECONDS, "limit": level.concurrency, "remaining": 0},
        )


async def _wait_seconds(
    session: AsyncSession, person_id: str, repo: Repo, images: int, level: SafetyLevel, at: datetime
) -> int:
    """Seconds until enough of the oldest images stop counting for `images` more."""
    since = at - WINDOW
    rows = await session.execute(
        sa.select(col(Generation.started_at), col(Generation.charged_images))
        .where(*_counting(person_id, repo.id, since))
        .order_by(col(Generation.started_at))
    )
    pairs = [(started_at, charged) for started_at, charged in rows]
    left = sum(charged for _, charged in pairs)
    for started_at, charged in pairs:
        left -= charged
        if left + images <= level.images_per_day:
            return int((started_at - since).total_seconds()) + 1
    return int(WINDOW.total_seconds())


def _counting(person_id: str, repo_id: str, since: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(Generation.person_id) == person_id,
        col(Generation.repo_id) == repo_id,
        col(Generation.started_at) > since,
        col(Generation.charged_images) > 0,
    )


def _readable(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    if seconds < 7_200:
        return f"{-(-seconds // 60)} minutes"
    return f"{-(-seconds // 3600)} hours"
