"""What came of an order, recorded once."""

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
from gatekeeper.provenance import Certified, ImageRecord, number_text, of_receipts
from gatekeeper.repos.tables import Repo
from inference.contract import Image, RefusalCode, Withheld, WithheldCode
from inference.safety.verdict import OWN_CHECK

NO_RIGHT = "no_longer_allowed"
INTERRUPTED = "interrupted"


@dataclass
class Outcome:
    """An order's end, as it is being put together from the worker's events.

    flagged    what the check found in the last look at an image, whether or not the order was done
    certified  the file that is given out for each image, by its index
    numbers    of the records, by index, where a preview carries one already
    """

    state: GenerationState
    code: str = ""
    reason: str = ""
    images: list[Image] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    flagged: tuple[Withheld, ...] = ()
    certified: dict[int, Certified] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    is_hard: bool = False
    compute_seconds: float = 0.0


async def record_preview(session: AsyncSession, made: Generation, index: int, certified: Certified) -> None:
    """Write down that a preview is given out: whatever comes of its order, it has a record and is charged.

    Raises Conflict unless the order is running and claimed by the process that has `made`.
    """
    await _claimed(session, made.id, made.claimed_by)
    await session.merge(_record(made, index, certified, is_preview=True))


async def previews_of(session: AsyncSession, made: Generation) -> dict[int, ImageRecord]:
    """The records of the order's images so far, by index: those of which a preview was given out."""
    if not made.settings.get("previews"):
        return {}
    indexes = {receipts.receipt_id(made, index): index for index in range(made.settings["images"])}
    return {indexes[record.receipt_id]: record for record in await of_receipts(session, indexes.keys())}


async def record_outcome(
    session: AsyncSession, generation_id: str, outcome: Outcome, *, key: SigningKey, process: str
) -> Generation:
    """Write an order's end with its receipts and its evidence, and settle what it is charged for: what it delivered,
    images of which only a preview was given out included.

    Raises Conflict unless the order is running and claimed by this process.
    """
    made, repo = await _claimed(session, generation_id, process)
    previews = await previews_of(session, made)
    at = now()
    images = sorted(outcome.images, key=lambda image: image.index) if outcome.state is GenerationState.DONE else []
    statements = []
    for image in images:
        certified = outcome.certified[image.index]
        made_of = receipts.statement_of(made, image, made_at=at) | receipts.of_model(repo)
        statements.append(made_of | receipts.certified_as(certified))
        record = _record(made, image.index, certified)
        if previews.pop(image.index, None) is None:
            session.add(record)
        else:
            await session.merge(record)
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
            "previews": [
                {"record": number_text(record.number), "image_sha256": record.image_sha256}
                for record in previews.values()
            ],
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
    # What our side could not finish costs nothing; a right that ended, as by revoking one's own token, is not that.
    # Nor is an order of which everything was withheld because no check could say what it shows.
    is_unchecked = all(event.code is WithheldCode.IMAGE_UNCHECKED for event in outcome.withheld)
    is_in_vain = outcome.state is GenerationState.DONE and is_unchecked and not statements and not previews
    is_ended = outcome.state in {GenerationState.DONE, GenerationState.CANCELLED} or outcome.code == NO_RIGHT
    is_own_doing = is_ended and not is_in_vain
    made.charged_images = len(statements) + len(previews) if is_own_doing else 0
    made.charged_seconds = round(outcome.compute_seconds, 3) if is_own_doing else 0
    session.add(made)
    await _strike(session, made, outcome)
    return made


async def _claimed(session: AsyncSession, generation_id: str, process: str | None) -> tuple[Generation, Repo]:
    query = sa.select(Generation, Repo).join(Repo, col(Repo.id) == col(Generation.repo_id))
    locked = query.where(col(Generation.id) == generation_id).with_for_update(of=Generation)
    made, repo = (await session.execute(locked, execution_options={"populate_existing": True})).one()
    if made.state is not GenerationState.RUNNING or made.claimed_by != process:
        raise errors.Conflict("The order has ended already, or is made elsewhere.", next_step="Reload the page.")
    return made, repo


def _record(made: Generation, index: int, certified: Certified, *, is_preview: bool = False) -> ImageRecord:
    return ImageRecord(
        number=certified.number,
        receipt_id=receipts.receipt_id(made, index),
        image_sha256=certified.sha256,
        repo_id=made.repo_id,
        commit_id=made.commit_id,
        is_preview=is_preview,
    )


async def _strike(session: AsyncSession, made: Generation, outcome: Outcome) -> None:
    """Safety's stops are kept for review; what could not be checked is our side's failure and is not.

    Nor is what an evaluation met: its prompts are the grid's, and to see what is stopped is what it is for.
    """
    if made.is_evaluation:
        return
    if outcome.state is GenerationState.REFUSED and outcome.code != RefusalCode.PROMPT_UNSCREENED:
        kind = StrikeKind.HARD_RULE if outcome.is_hard else StrikeKind.PROMPT_RULE
        await strikes.record(session, made, kind, fired=outcome.rules, reason=outcome.reason)
    elif outcome.flagged:  # also of previews: who stops an order when one stays away has learned what they wanted
        found = dict.fromkeys(name for event in outcome.flagged for name, score in _scores(event).items() if score > 0)
        reason = " ".join(dict.fromkeys(event.reason for event in outcome.flagged))
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
