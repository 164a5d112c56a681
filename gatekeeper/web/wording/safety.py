"""Levels of safety and strikes in words."""

from gatekeeper.generation import StrikeKind, StrikeState

SAFETY_LEVELS: dict[str, str] = {
    "off": "off",
    "weak": "weak steering away from harmful content",
    "medium": "medium steering away from harmful content",
    "strong": "strong steering away from harmful content",
    "max": "strongest steering away from harmful content",
}

STRIKE_KINDS: dict[StrikeKind, str] = {
    StrikeKind.HARD_RULE: "A prompt, by a rule without exceptions",
    StrikeKind.PROMPT_RULE: "A prompt, by a rule",
    StrikeKind.IMAGE_FLAGGED: "An image, by a check",
}
# By the code of a refusal, or the kind of a strike.
ORDER_STOPS: dict[str, str] = {
    "prompt_screened": "The prompt, by screening",
    "negative_prompt_screened": "What should not be in the picture, by screening",
    "image_flagged": "An image, withheld by the image check",
}
STRIKE_STATES: dict[StrikeState, str] = {
    StrikeState.OPEN: "Not reviewed",
    StrikeState.UPHELD: "Was right",
    StrikeState.DISMISSED: "Dismissed",
}
