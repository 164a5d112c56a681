"""What is told of an order that did not simply succeed, and what can be done about it."""

from dataclasses import dataclass
from typing import Any

from gatekeeper import generation
from gatekeeper.generation import Generation, GenerationState
from gatekeeper.web.guard import Call
from gatekeeper.web.portal.restrictions import labels_of
from gatekeeper.web.portal.views import policies_dir


@dataclass(frozen=True)
class Verdict:
    """What to tell when an order did not simply succeed."""

    tone: str
    title: str
    text: str
    next_step: str
    why: str = ""
    rules: tuple[str, ...] = ()


def verdict_on(call: Call, made: Generation) -> Verdict | None:
    """What is said of an ended order; None where it simply succeeded."""
    problem = generation.why_none(made)
    if problem is None:
        return _partly(made)
    cost = "" if made.charged_images or made.charged_seconds else " It cost you nothing."
    match made.state:
        case _ if problem.code == "CheckUnavailable":
            return Verdict("warn", "This could not be checked", problem.message, problem.next_step + cost)
        case GenerationState.REFUSED:
            forbidden = labels_of(policies_dir(call), made.settings.get("restrictions", ()))
            return Verdict(
                "stop",
                "This prompt was refused, and nothing was made",
                made.reason,
                "Describe something else. If the rule is wrong here, tell the model's maintainers and name it.",
                f"It serves this part of the license: {', '.join(forbidden).lower()}." if forbidden else "",
                tuple(made.settings.get("rules", ())),
            )
        case GenerationState.FAILED:
            return Verdict("warn", "This could not be made", problem.message, problem.next_step + cost)
        case GenerationState.CANCELLED:
            seen = f"You got previews of {made.charged_images}, which count." if made.charged_images else ""
            return Verdict("", "You cancelled this", seen or "Nothing was made.", "Order it again whenever you like.")
        case GenerationState.DONE if withheld_of(made):
            return Verdict(
                "stop",
                "The image was made, checked, and is not given out",
                " ".join(dict.fromkeys(each["reason"] for each in withheld_of(made).values())),
                "Change the words, or try another seed: the check looks at the image, not at the prompt.",
            )
    return None


def _partly(made: Generation) -> Verdict | None:
    """What is said beside the images that were given out, where others were not."""
    withheld = withheld_of(made)
    if not withheld:
        return None
    is_flagged = any(each.get("flagged_by") for each in withheld.values())
    count = len(withheld)
    return Verdict(
        "stop" if is_flagged else "warn",
        f"{count} of {count + len(receipts_of(made))} {'is' if count == 1 else 'are'} not given out",
        " ".join(dict.fromkeys(each["reason"] for each in withheld.values())),
        "Another seed may help, for the check looks at each image by itself. You are charged for those that you got.",
    )


def receipts_of(made: Generation) -> list[dict[str, Any]]:
    """Of the images that an order delivered."""
    return list((made.receipt or {}).get("images", []))


def withheld_of(made: Generation) -> dict[int, dict[str, Any]]:
    """What was not given out of an order, by index."""
    return {each["index"]: each for each in (made.receipt or {}).get("withheld", [])}
