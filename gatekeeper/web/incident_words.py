"""Words about incidents, for the pages of handlers and for those of everybody."""

from gatekeeper.incidents import IncidentState, LinkKind, Severity

# Word and tone.
SEVERITIES: dict[Severity, tuple[str, str]] = {
    Severity.LOW: ("Low", ""),
    Severity.MEDIUM: ("Medium", "info"),
    Severity.HIGH: ("High", "warn"),
    Severity.CRITICAL: ("Critical", "stop"),
}
STATES: dict[IncidentState, tuple[str, str]] = {
    IncidentState.REPORTED: ("Not looked at yet", "warn"),
    IncidentState.OPEN: ("Open", "stop"),
    IncidentState.CLOSED: ("Closed", "ok"),
    IncidentState.DISMISSED: ("Dismissed", ""),
}
KINDS: dict[LinkKind, str] = {
    LinkKind.REPOSITORY: "Repository",
    LinkKind.REVISION: "Revision",
    LinkKind.GRANT: "Access",
    LinkKind.PERSON: "Person",
    LinkKind.IMAGE: "Image",
}
ACTS: dict[str, str] = {
    "report": "Reported",
    "open": "Opened",
    "take-up": "Taken up",
    "dismiss": "Dismissed",
    "link": "Linked",
    "unlink": "Link taken away",
    "note": "Noted",
    "hold": "Release put on hold",
    "suspend": "Access suspended",
    "notify": "Holders told",
    "close": "Closed with a public note",
    "reopen": "Opened again",
}
PROBLEMS: dict[str, str] = {
    "harm": "It makes or contains something harmful",
    "illegal": "It breaks a law or somebody's rights",
    "license": "It is used against its license",
    "security": "A file is dangerous, or something leaks",
    "wrong": "What its card says is not true",
    "other": "Something else",
}
