"""Strikes: orders that safety stopped. They make safety stricter and lead to a review by people, never to a silent ban.

Points of the last days count over all repositories of the hub. What a reviewer dismissed counts for nothing; what was
upheld goes on making safety stricter until its days are over, but only what nobody has looked at makes orders wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.generation.images import is_over
from gatekeeper.generation.safety import StrikePolicy
from gatekeeper.generation.tables import Generation, Strike, StrikeKind, StrikeState
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

MOST_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands. `open`: strikes that wait for a review."""

    open: int = 0
    is_strict: bool = False
    needs_review: bool = False


async def record(
    session: AsyncSession, made: Generation, kind: StrikeKind, *, fired: Sequence[str], reason: str
) -> None:
    """Note that safety stopped an order. What was never anybody's is passed over."""
    if made.person_id is None:
        return
    strike = Strike(
        person_id=made.person_id,
        repo_id=made.repo_id,
        generation_id=made.id,
        kind=kind,
        fired=list(fired),
        reason=reason[:MOST_TEXT],
    )
    session.add(strike)
    await ledger.record(
        session,
        "generation:strike:record",
        actor=made.person_id,
        repo=made.repo_id,
        subject=strike.id,
        body={"order": made.id, "kind": kind, "fired": list(fired)},
        policy=made.settings.get("policy_sha256"),
    )


async def standing(session: AsyncSession, person_id: str, policy: StrikePolicy) -> Standing:
    """How a person stands now. Flagged images make no orders wait: a check is wrong with some of every hundred."""
    rows = await session.execute(
        sa.select(col(Strike.state), col(Strike.kind), sa.func.count())
        .where(
            col(Strike.person_id) == person_id,
            col(Strike.struck_at) > now() - timedelta(days=policy.days),
            col(Strike.state) != StrikeState.DISMISSED,
        )
        .group_by(col(Strike.state), col(Strike.kind))
    )
    waiting, waiting_points, points = 0, 0, 0
    for state, kind, count in rows:
        points += count * policy.points(kind)
        if state is StrikeState.OPEN:
            waiting += count
            waiting_points += 0 if kind is StrikeKind.IMAGE_FLAGGED else count * policy.points(kind)
    return Standing(waiting, points >= policy.strict_points, waiting_points >= policy.review_points)


async def own_strikes(
    session: AsyncSession, principal: Principal, *, begin: str = "", limit: int = 100
) -> list[Strike]:
    """The principal's strikes, newest first. `begin` is the id of the first one listed."""
    query = sa.select(Strike).where(col(Strike.person_id) == principal.person_id)
    if begin:
        query = query.where(col(Strike.id) <= begin)
    return list(await session.scalars(query.order_by(col(Strike.id).desc()).limit(limit)))


async def appeal(
    session: AsyncSession, principal: Principal, strike_id: str, *, text: str, shows_prompt: bool = False
) -> Strike:
    """Say why a strike of one's own is wrong; once, and before it was reviewed.

    shows_prompt  let the reviewer read the prompt until the review, as long as it is kept
    Raises NotFound, also for somebody else's; Conflict; Invalid for an appeal without words.
    """
    strike = await session.get(Strike, strike_id, with_for_update=True)
    if strike is None or principal.person_id is None or strike.person_id != principal.person_id:
        raise errors.NotFound("There is no such entry.", next_step="Yours are listed at /settings/safety.")
    if strike.state is not StrikeState.OPEN or strike.appealed_at is not None:
        raise errors.Conflict(
            "This was appealed or reviewed already.", next_step="Reload the page to see what came of it."
        )
    if not text.strip() or len(text) > MOST_TEXT:
        raise errors.Invalid(
            f"Say in a few words why this is wrong; at most {MOST_TEXT} characters.",
            status=422,
            next_step="Fill in the field and send it again.",
        )
    key = await key_of(session, strike.person_id)
    strike.appeal, strike.appealed_at, strike.shows_prompt = key.words(text.strip()), now(), shows_prompt
    session.add(strike)
    await ledger.record(
        session,
        "generation:strike:appeal",
        actor=principal.person_id,
        token=principal.token_id,
        repo=strike.repo_id,
        subject=strike.id,
        body={"shows_prompt": shows_prompt},
    )
    return strike


async def strikes_to_review(
    session: AsyncSession,
    condition: sa.ColumnElement[bool],
    *,
    is_reviewed: bool = False,
    begin: Strike | None = None,
    limit: int = 100,
) -> list[tuple[Strike, Repo, str]]:
    """Strikes at repositories that meet a condition on Repo, those with an appeal first, then the oldest.

    With each comes its prompt, if the person lets the reviewer read it, else "". `begin` is the first one listed.
    """
    query = (
        sa.select(Strike, Repo, Generation)
        .join(Repo, col(Repo.id) == col(Strike.repo_id))
        .outerjoin(Generation, col(Generation.id) == col(Strike.generation_id))
        .where(condition, (col(Strike.state) == StrikeState.OPEN) != is_reviewed)
    )
    identity, is_quiet = col(Strike.id), col(Strike.appealed_at).is_(None)
    if is_reviewed:
        query = query.order_by(col(Strike.reviewed_at).desc(), identity.desc())
    else:
        query = query.order_by(is_quiet, identity)
    if begin is not None and is_reviewed:
        query = query.where(sa.tuple_(col(Strike.reviewed_at), identity) <= (begin.reviewed_at, begin.id))
    elif begin is not None:
        query = query.where(sa.tuple_(is_quiet, identity) >= (begin.appealed_at is None, begin.id))
    return [
        (strike, repo, made.prompt or "" if made and strike.shows_prompt and not is_over(made, now()) else "")
        for strike, repo, made in await session.execute(query.limit(limit))
    ]


async def review(session: AsyncSession, strike: Strike, *, by: Principal, is_upheld: bool, note: str = "") -> None:
    """Decide on a strike; the caller has decided that `by` may. The prompt is not shown any more.

    Raises Conflict for one that was reviewed, NotAllowed for one's own.
    """
    await session.flush()  # what is read again must not lose what this session changed
    await session.refresh(strike, with_for_update=True)
    if strike.state is not StrikeState.OPEN:
        raise errors.Conflict("This was reviewed already.", next_step="Reload the page.")
    if by.person_id == strike.person_id:
        raise errors.NotAllowed("Nobody reviews their own.", next_step="Ask another maintainer.")
    strike.state = StrikeState.UPHELD if is_upheld else StrikeState.DISMISSED
    strike.reviewed_by, strike.reviewed_at, strike.shows_prompt = by.person_id, now(), False
    if note.strip():
        strike.note = (await key_of(session, strike.person_id)).words(note.strip()[:MOST_TEXT])
    session.add(strike)
    await ledger.record(
        session,
        "generation:strike:review",
        actor=by.person_id,
        repo=strike.repo_id,
        subject=strike.id,
        body={"before": StrikeState.OPEN, "after": strike.state},
    )
