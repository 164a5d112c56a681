"""What is told of an order from its record: news, and the error that a client understands where there is no image."""

from typing import Any

from gatekeeper import errors
from gatekeeper.generation.outcomes import INTERRUPTED, NO_RIGHT
from gatekeeper.generation.tables import Generation, GenerationState
from inference.contract import ErrorCode, RefusalCode, WithheldCode


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
    if (problem := why_none(made)) is not None:
        raise problem
    return tuple(_index(one) for one in (made.receipt or {})["images"])


def why_none(made: Generation) -> errors.GatekeeperError | None:
    """Why an order has no images, with what can be done about it; None where it has."""
    match made.state:
        case GenerationState.DONE if (made.receipt or {}).get("images"):
            return None
        case GenerationState.DONE:
            return _withheld(made)
        case GenerationState.REFUSED if made.code == RefusalCode.PROMPT_UNSCREENED:
            return _unchecked(made.reason)
        case GenerationState.REFUSED:
            return errors.Invalid(
                made.reason,
                code="moderation_blocked",
                next_step="Change the prompt.",
                rules=tuple(made.settings.get("rules", ())),
            )
        case GenerationState.CANCELLED:
            return errors.Conflict("The order was cancelled.", code="Cancelled", next_step="Order again.")
        case GenerationState.RUNNING:
            return errors.Unavailable(
                "The server is stopping; the order goes on when it is back.",
                code="StillRunning",
                next_step=f"Send it again with the same Idempotency-Key, or ask for /api/generations/{made.id}.",
            )
        case GenerationState.FAILED:
            return _failure(made)


def _withheld(made: Generation) -> errors.GatekeeperError:
    """Images that were made and not given out: for what they show, or because no check could say what they show."""
    said = (made.receipt or {}).get("withheld", [])
    flagged = [one["reason"] for one in said if one["code"] != WithheldCode.IMAGE_UNCHECKED]
    if said and not flagged:
        return _unchecked(said[0]["reason"])
    return errors.Invalid(
        f"The image was made and withheld: {flagged[0] if flagged else 'No image was delivered.'}",
        code="moderation_blocked",
        next_step="Change the prompt; another seed may help too.",
    )


def _unchecked(reason: str) -> errors.GatekeeperError:
    return errors.Unavailable(
        reason,
        code="CheckUnavailable",
        next_step="It is not your doing. Order again later, and tell whoever runs this hub if it stays so.",
    )


def _failure(made: Generation) -> errors.GatekeeperError:
    """The caller's values, a full queue, or our side."""
    match made.code:
        case ErrorCode.LIMITS_EXCEEDED:
            return errors.Invalid(made.reason, status=422, next_step="Correct the named values and order again.")
        case ErrorCode.SAFETY_CANNOT_ACT:
            next_step = "Set the guidance above 1 and order again. A model that cannot be steered makes no images here."
            return errors.Invalid(made.reason, status=422, next_step=next_step)
        case ErrorCode.OUT_OF_MEMORY:
            return errors.Invalid(made.reason, status=422, next_step="Order a smaller size, or fewer images at once.")
        case code if code == NO_RIGHT:
            return errors.NotAllowed(made.reason, code="NoLongerAllowed", next_step="See how you stand on its page.")
        case code if code == INTERRUPTED:
            return errors.Unavailable(made.reason, code="Interrupted", next_step="The server is back in a moment.")
        case ErrorCode.QUEUE_FULL:
            return errors.TooMany(made.reason, next_step="Try again soon.", details={"retry_after_seconds": 10})
        case ErrorCode.MODEL_REFUSED | ErrorCode.CHECKER_MISMATCH:
            return errors.Unavailable(made.reason, code="ModelRefused", next_step="Tell the model's maintainers.")
        case _:
            return errors.Unavailable(made.reason, code="GenerationFailed", next_step="Order again in a moment.")


def _index(receipt: dict[str, Any]) -> int:
    return int(receipt["statement"]["receipt_id"].rpartition("-")[2])
