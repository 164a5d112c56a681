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
