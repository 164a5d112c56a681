"""Requests for access in words: their states, what happens to them, and what is said at their end."""

from dataclasses import dataclass

from gatekeeper.access.tables import RequestState


@dataclass(frozen=True)
class StateFacts:
    """A request's state for people: a word, a color, and what happens next."""

    label: str
    tone: str
    next_step: str


REQUEST_STATES: dict[str, StateFacts] = {
    RequestState.DRAFT: StateFacts("Draft", "", "Only you see it. Complete it and send it when you are ready."),
    RequestState.RETURNED: StateFacts(
        "With you", "warn", "Read what was asked back, change your answers and send them again."
    ),
    RequestState.REFERRED: StateFacts(
        "Waiting for review", "warn", "The maintainers asked somebody for an opinion. Nothing is needed from you."
    ),
    RequestState.AWAITING_TERMS: StateFacts(
        "Approved, not complete", "warn", "It was approved. What is still missing stands on the request's page."
    ),
    RequestState.SUSPENDED: StateFacts(
        "Suspended", "stop", "No new files or images for now. The maintainers can let the access go on."
    ),
    RequestState.IN_REVIEW: StateFacts(
        "Waiting for review", "warn", "A maintainer of the model will read your answers. Nothing is needed from you."
    ),
    RequestState.ACTIVE: StateFacts("Approved", "ok", "You can use the model now."),
    RequestState.REJECTED: StateFacts(
        "Not approved",
        "stop",
        "You can appeal: somebody else then looks at it. The maintainers can take the decision back, too.",
    ),
    RequestState.WITHDRAWN: StateFacts("Withdrawn", "", "You took the request back. You may ask again."),
    RequestState.REVOKED: StateFacts(
        "Access revoked",
        "stop",
        "No new files or images from now on. The license goes on binding what you already have.",
    ),
    RequestState.CLOSED: StateFacts("Closed", "", "You gave the access up. You may ask again."),
    RequestState.EXPIRED: StateFacts("Expired", "warn", "Your access has ended by date. You may ask again."),
}

# What happened to a request, by act, as its history tells it: to the applicant and to reviewers alike.
REQUEST_ACTS: dict[str, str] = {
    "create": "Begun",
    "renew": "Begun, to follow the access that ends",
    "save": "Draft saved",
    "submit": "Sent",
    "screen": "Looked at by the rules",
    "correct": "Taken back to change the answers",
    "withdraw": "Withdrawn",
    "appeal": "Appealed",
    "accept-rejection": "Appeal withdrawn",
    "accept-revocation": "Appeal withdrawn",
    "confirm": "Conditions agreed to",
    "close-out": "Told what became of the copies",
    "claim": "Taken on by a reviewer",
    "unclaim": "Let go of by the reviewer",
    "route": "Put into another queue",
    "return": "Returned with a question",
    "refer": "Somebody was asked for an opinion",
    "answer": "Opinion given",
    "recall": "Back in review",
    "vote": "Vote",
    "delegate": "Handed on to another applicant",
    "approval": "Approval by one reviewer",
    "approve": "Approved",
    "activate": "Access began",
    "add-terms": "Further conditions set",
    "reject": "Not approved",
    "cancel": "Decision taken back",
    "undo": "Decision undone at once",
    "suspend": "Access suspended",
    "resume": "Access goes on",
    "revoke": "Access revoked",
    "close": "Access closed",
    "expire": "Access ended by date",
    "grant": "Given without being asked for",
    "overdue": "Waits longer than was promised",
}
VOTES: dict[str, str] = {"yes": "Would approve", "no": "Would reject", "abstain": "Abstains"}
ANSWER_USES: dict[str, str] = {
    "reject": "Rejecting",
    "return": "Returning for changes",
    "approve": "Conditions of an approval",
}
CLOSE_OUTS: dict[str, str] = {
    "deleted": "I have deleted all my copies",
    "still_needed": "I still need my copies, as the license allows",
    "never_downloaded": "I never downloaded anything",
}
