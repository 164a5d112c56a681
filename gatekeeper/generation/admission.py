"""Letting an order in: once for each key its caller gave it, and only while every quota has room for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.generation import claims, quotas
from gatekeeper.generation.images import is_over
from gatekeeper.generation.manifests import ORDER_SECONDS
from gatekeeper.generation.orders import OrderRequest
from gatekeeper.generation.quota_changes import changes_for, weight_of
from gatekeeper.generation.safety import Safety, SafetyLevel
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.canonical import canonical_json
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Repo
from inference.contract import ModelManifest

_FIRST_SECONDS_PER_STEP = 0.1  # what a step is taken for before a model has made anything
_LOOKED_AT = 5  # orders of a model
_FEWEST_STEPS = 20
_MADE_NOTHING = (GenerationState.FAILED, GenerationState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision that let the order in, for its receipt: ids of the policies and the digest of all of them."""

    policies: tuple[str, ...] = ()
    policy_sha256: str | None = None
    stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order is let in by.

    safety, level  the hub's quotas, and those of the model's stage
    bundle         the terms in force for the commit at its stage, None for none
    """

    safety: Safety
    level: SafetyLevel
    ruling: Ruling
    privacy_key: bytes
    bundle: licensing.Terms | None


@dataclass(frozen=True, slots=True)
class Once:
    """By what a caller's second try is known for the same order.

    key     the caller's own; untrusted
    commit  the one they named, None where they left it to the hub
    """

    key: str
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The order; it is not new when it was let in before, and must not be started again then.

    manifest  what the worker will load, where it was looked at in the same transaction
    """

    made: Generation
    is_new: bool
    manifest: ModelManifest | None = None


async def admit(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    commit: str,
    request: OrderRequest,
    *,
    terms: Terms,
    process: str,
    once: Once | None = None,
    is_awaited: bool = False,
    is_evaluation: bool = False,
) -> Admitted:
    """Take the order in: reserve what it needs, record it as running. The caller commits, then starts it.

    process        that will make it
    is_awaited     its caller waits on the line, and without `once` cannot ask for it again
    is_evaluation  it waits behind everybody's orders, and outside of all quotas
    Raises TooMany with details["retry_after_seconds"] when a quota has no room, Invalid for a key that was used before.
    """
    if principal.person_id is None:
        raise errors.NotSignedIn("Images are made for a person.", next_step="Sign in, or send your access token.")
    at, level, ruling = now(), terms.level, terms.ruling
    await quotas.lock(session, principal)
    asked = key = None
    if once is not None:
        asked = keyed_hash(terms.privacy_key, canonical_json([repo.id, once.commit, request.asked()]).decode())
        key = keyed_hash(terms.privacy_key, once.key)
        if (earlier := await _earlier(session, principal.person_id, key, asked, at=at)) is not None:
            return Admitted(earlier, is_new=False)
    seconds = await _expected_seconds(session, repo, commit, request)
    changes = await changes_for(session, principal)
    if not is_evaluation:
        scopes = await quotas.scopes(session, principal, terms.safety, [(repo, level)], changes=changes)
        await quotas.reserve(session, scopes, images=request.images, seconds=seconds, at=at)
    bundle = terms.bundle
    made = Generation(
        person_id=principal.person_id,
        repo_id=repo.id,
        commit_id=commit,
        settings=request.settings()
        | {
            "margin": level.margin,
            "demand": level.demand(),
            "weight": weight_of(changes.get(principal.person_id), level),
            "decision": list(ruling.policies),
            "policy_sha256": ruling.policy_sha256,
            "bundle_sha256": bundle.sha256 if bundle else None,
            "texts": list(bundle.texts) if bundle else [],
            "end_user_sha256": keyed_hash(terms.privacy_key, request.end_user) if request.end_user else None,
        },
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        prompt_sha256=keyed_hash(terms.privacy_key, request.prompt),
        request_sha256=asked or "",
        idempotency_key=key,
        token_id=principal.token_id,
        stage=ruling.stage.value if ruling.stage else "",
        is_evaluation=is_evaluation,
        is_awaited=is_awaited and once is None,
        charged_images=request.images,
        charged_seconds=seconds,
        started_at=at,
        expires_at=at + (quotas.WINDOW if is_evaluation else timedelta(days=level.keep_image_days)),
        claimed_by=process,
        claimed_until=at + claims.LEASE,
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
    return Admitted(made, is_new=True)


async def _earlier(session: AsyncSession, person_id: str, key: str, asked: str, *, at: datetime) -> Generation | None:
    """The order that this one repeats, if any. One that has nothing to give is forgotten, and may be tried again."""
    found: Generation | None = await session.scalar(
        sa.select(Generation).where(col(Generation.person_id) == person_id, col(Generation.idempotency_key) == key)
    )
    if found is None:
        return None
    if found.request_sha256 != asked:
        raise errors.Invalid(
            "This Idempotency-Key was used for another order.",
            status=422,
            next_step="Send a new key with every new order.",
            code="IdempotencyKeyReused",
        )
    if found.state in _MADE_NOTHING or is_over(found, at):
        found.idempotency_key = None
        await session.flush()  # its place is taken by the next one
        return None
    return found


async def _expected_seconds(session: AsyncSession, repo: Repo, commit: str, request: OrderRequest) -> float:
    """Compute seconds to reserve: what the model's last orders took, for images of that size in that many steps.

    In the middle of a few orders, and at most what an order may take, so that no odd one shuts larger ones out.
    """
    last = await session.execute(
        sa.select(col(Generation.settings), col(Generation.charged_seconds))
        .where(
            col(Generation.repo_id) == repo.id,
            col(Generation.commit_id) == commit,
            col(Generation.state) == GenerationState.DONE,
            col(Generation.charged_seconds) > 0,
        )
        .order_by(col(Generation.id).desc())
        .limit(_LOOKED_AT)
    )
    asked = request.settings()
    likely: list[float] = [seconds * _work(asked, beside=made) / _work(made, beside=asked) for made, seconds in last]
    if not likely:
        return request.steps * request.images * _FIRST_SECONDS_PER_STEP
    return round(min(median(likely), ORDER_SECONDS), 3)


def _work(settings: dict[str, int | None], *, beside: dict[str, int | None]) -> int:
    """What an order asks of the engine, to be compared with another's; pixels count where both name their size."""
    pixels = _pixels(settings) if _pixels(settings) and _pixels(beside) else 1
    # Decoding and checking an image take their time however few its steps are.
    return (settings["images"] or 1) * max(settings["steps"] or 1, _FEWEST_STEPS) * pixels


def _pixels(settings: dict[str, int | None]) -> int:
    """Of one image; 0 where the model's own size is meant."""
    return (settings.get("width") or 0) * (settings.get("height") or 0)
