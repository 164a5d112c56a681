"""The stages of the ladder in words."""

from dataclasses import dataclass

from gatekeeper.releases.tables import Stage


@dataclass(frozen=True)
class StageFacts:
    """A stage for people. `rank` counts the rungs below it; `audience` says who it is for."""

    label: str
    rank: int
    audience: str


STAGES: dict[str, StageFacts] = {
    Stage.DRAFT: StageFacts("Draft", 0, "Only its owners."),
    Stage.INTERNAL: StageFacts("Internal", 1, "The members of its organization."),
    Stage.TRUSTED_TEST: StageFacts("Trusted test", 2, "Testers who were named one by one."),
    Stage.RESEARCH_PREVIEW: StageFacts("Research preview", 3, "People whose request was approved."),
    Stage.GATED: StageFacts("Gated", 4, "Images for whoever accepts the license; weights for approved people."),
    Stage.OPEN: StageFacts("Open", 5, "Everyone; use is bound to the license."),
}

# What a release can be asked for before it reaches a stage.
CRITERIA = {
    "license_text": "A readable license text is in force",
    "flow_down": "Restrictions of its base models are passed on",
    "card_complete": "The card is complete",
    "safetensors_only": "Nothing in it runs code when loaded",
    "scan_clean": "Every file was scanned and nothing was found",
    "not_held": "Neither held nor withdrawn",
    "below_target": "Stands below the target",
    "soak_time": "Stood long enough at its stage",
    "bias_report": "Bias reports on exactly these files are within the thresholds",
    "safety_report": "Safety reports on exactly these files are within the thresholds",
    "testers": "Used by enough people at its stage",
    "no_open_incident": "No incident of high severity is open",
    "questions_answered": "Questions in discussions are answered",
    "rollback_drill": "A rollback drill was done in the last quarter",
    "quota_limits": "What one person may make is limited",
}
