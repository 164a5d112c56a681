"""What came of an order: recorded once, read back as news, and as the error a client understands."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.generation import receipts, strikes
from gatekeeper.generation.tables import Generation, GenerationState, StrikeKind
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.provenance import Certified, ImageRecord
from gatekeeper.repos.tables import Repo
from inference.contract import Image, RefusalCode, Withheld, WithheldCode
from inference.safety.verdict import OWN_CHECK


@dataclass
class Outcome:
    """An order's end, as it is being put together from the worker's events.

    certified  the file that is given out for each image, by its index
    numbers    of the records, by index, where a preview carries one already
    """

    state: GenerationState
    code: str = ""
    reason: str = ""
    images: list[Image] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    certified: dict[int, Certified] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    is_hard: bool = False
    compute_seconds: float = 0.0


async def record_outcome(
    session: AsyncSession, generation_id: str, outcome: Outcome, *, key: SigningKey, process: str
) -> Generation:
    """Write an order's end with its receipts and its evidence, and settle what it is charged for: what it delivered.

    Raises Conflict unless the order is running and claimed by this process.
    """
    query = sa.select(Generation, Repo).join(Repo, col(Repo.id) == col(Generation.repo_id))
    locked = query.where(col(Generation.id) == generation_id).with_for_update(of=Generation)
    made, repo = (await session.execute(locked, execution_options={"populate_existing": True})).one()
    if made.state is not GenerationState.RUNNING or made.claimed_by != process:
        raise errors.Conflict("The order has ended already, or is made elsewhere.", next_step="Reload the page.")
    at = now()
    images = sorted(outcome.images, key=lambda image: image.index) if outcome.state is GenerationState.DONE else []
    statements = []
    for image in images:
        certified = outcome.certified[image.index]
        made_of = receipts.statement_of(made, image, made_at=at) | receipts.of_model(repo)
        statements.append(made_of | receipts.certified_as(certified))
        session.add(
            ImageRecord(
                number=certified.number,
                receipt_id=statements[-1]["receipt_id"],
                image_sha256=certified.sha256,
                repo_id=repo.id,
                commit_id=made.commit_id,
                made_at=at,
            )
        )
    event = await ledger.record(
        session,
        "generation:order:finish",
        actor=made.person_id,
        repo=made.repo_id,
        subject=made.id,
        body={
            "before": GenerationState.RUNNING,
            "after": outcome.state,
            "code": outcome.code,
            "commit": made.commit_id,
            "images": [receipts.evidence_of(statement) for statement in statements],
            "withheld": [event.code for event in outcome.withheld],
            "rules": list(outcome.rules),
            "losses": made.losses,
        },
        policy=made.settings.get("policy_sha256"),
    )
    made.state, made.code, made.reason = outcome.state, outcome.code, outcome.reason[:2_000]
    made.finished_at = at
    made.claimed_by = made.claimed_until = None
    made.image_sha256 = [statement["image_sha256"] for statement in statements]
    made.settings = made.settings | {
        "rules": list(outcome.rules),
        "restrictions": list(outcome.restrictions),
        "compute_seconds": round(outcome.compute_seconds, 3),
    }
    made.receipt = {
        "images": [receipts.sign(statement, event=event.id, key=key) for statement in statements],
        "withheld": [_withheld(event) for event in outcome.withheld],
    }
    made.charged_images = len(statements)
    is_own_doing = outcome.state in {GenerationState.DONE, GenerationState.CANCELLED}
    made.charged_seconds = round(outcome.compute_seconds, 3) if is_own_doing else 0
    session.add(made)
    await _strike(session, made, outcome)
    return made


def updates_of(made: Generation) -> list[tuple[str, dict[str, Any]]]:
    """A generation's state as news, in order; the last one is its end, unless it is running."""
    receipt = made.receipt or {"images": [], "withheld": []}
    news: list[tuple[str, dict[str, Any]]] = [
        ("image", {"index": _index(one), "sha256": one["statement"]["image_sha256"], "seed": one["statement"]["seed"]})
        for one in receipt["images"]
    ]
    news += [
        ("withheld", {"index": one["index"], "code": one["code"], "reason": one["reason"]})
        for one in receipt["withheld"]
    ]
    why = {"code": made.code, "reason": made.reason}
    match made.state:
        case GenerationState.DONE:
            news.append(("done", {"delivered": len(receipt["images"]), "withheld": len(receipt["withheld"])}))
        case GenerationState.REFUSED:
            restrictions = made.settings.get("restrictions", [])
            news.append(("refused", why | {"rules": made.settings.get("rules", []), "restrictions": restrictions}))
        case GenerationState.FAILED:
            news.append(("failed", why))
        case GenerationState.CANCELLED:
            news.append(("cancelled", {}))
        case GenerationState.RUNNING:
            pass
    return news


def require_images(made: Generation) -> tuple[int, ...]:
    """Indexes of the images that an ended order delivered. Raises what its client must be told when there are none."""
    receipt = made.receipt or {"images": [], "withheld": []}
    match made.state:
        case GenerationState.DONE if receipt["images"]:
            return tuple(_index(one) for one in receipt["images"])
        case GenerationState.DONE:
            reason = receipt["withheld"][0]["reason"] if receipt["withheld"] else "No image was delivered."
            raise errors.Invalid(
                f"The image was made and withheld: {reason}",
                code="moderation_blocked",
                next_step="Change the prompt; another seed may help too.",
            )
        case GenerationState.REFUSED:
            raise errors.Invalid(
                made.reason,
                code="moderation_blocked",
                next_step="Change the prompt.",
                rules=tuple(made.settings.get("rules", ())),
            )
        case GenerationState.CANCELLED:
            raise errors.Conflict("The order was cancelled.", code="Cancelled", next_step="Order again.")
        case GenerationState.RUNNING:
            raise errors.Unavailable(
                "The server is stopping; the order goes on when it is back.",
                code="StillRunning",
                next_step=f"Ask for /api/generations/{made.id} in a moment.",
            )
        case _:
            raise failure(made)


def failure(made: Generation) -> errors.GatekeeperError:
    """A failed order as an error: the caller's values, a full queue, or our side."""
    match made.code:
        case "limits_exceeded" | "safety_cannot_act":
            return errors.Invalid(made.reason, status=422, next_step="Correct the named values and order again.")
        case "no_longer_allowed":
            return errors.NotAllowed(made.reason, code="NoLongerAllowed", next_step="See how you stand on its page.")
        case "queue_full":
            return errors.TooMany(made.reason, next_step="Try again soon.", details={"retry_after_seconds": 10})
        case "model_refused" | "checker_mismatch":
            return errors.Unavailable(made.reason, code="ModelRefused", next_step="Tell the model's maintainers.")
        case _:
            return errors.Unavailable(made.reason, code="GenerationFailed", next_step="Order again in a moment.")


def _index(receipt: dict[str, Any]) -> int:
    return int(receipt["statement"]["receipt_id"].rpartition("-")[2])


async def _strike(session: AsyncSession, made: Generation, outcome: Outcome) -> None:
    """Safety's stops are kept for review; what could not be checked is our side's failure and is not.

    Nor is what an evaluation met: its prompts are the grid's, and to see what is stopped is what it is for.
    """
    if made.is_evaluation:
        return
    if outcome.state is GenerationState.REFUSED and outcome.code != RefusalCode.PROMPT_UNSCREENED:
        kind = StrikeKind.HARD_RULE if outcome.is_hard else StrikeKind.PROMPT_RULE
        await strikes.record(session, made, kind, fired=outcome.rules, reason=outcome.reason)
    flagged = [event for event in outcome.withheld if event.code is WithheldCode.IMAGE_FLAGGED]
    if outcome.state is GenerationState.DONE and flagged:
        found = dict.fromkeys(name for event in flagged for name, score in _scores(event).items() if score > 0)
        reason = " ".join(dict.fromkeys(event.reason for event in flagged))
        await strikes.record(session, made, StrikeKind.IMAGE_FLAGGED, fired=tuple(found), reason=reason)


def _scores(event: Withheld) -> dict[str, float]:
    """Every check's scores; those of checks beside the model's own under their name."""
    said = {score.concept: score.score for score in event.receipt.scores}
    for check in event.receipt.checks[1:]:
        said |= {f"{check.name}: {score.concept}": score.score for score in check.scores}
    return said


def _withheld(event: Withheld) -> dict[str, Any]:
    flagged_by = [check.name for check in event.receipt.checks if any(score.score > 0 for score in check.scores)]
    if event.code is WithheldCode.IMAGE_FLAGGED and not flagged_by:
        flagged_by = [OWN_CHECK]  # a worker that does not tell checks apart has the model's own only
    return {
        "index": event.index,
        "code": event.code.value,
        "reason": event.reason,
        "scores": _scores(event),
        "flagged_by": flagged_by,
    }
