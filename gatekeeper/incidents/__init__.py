"""Incidents: something went wrong, or somebody says so.

A report waits until a handler takes it up or dismisses it; an incident is linked to what it is about, and closed with a
note that everybody reads. Releases are held, grants suspended and people told by the verbs of `releases`, `access` and
`notices`; this room adds who may, the timeline and the evidence. Whom an incident is about decides nothing about it.
"""

from gatekeeper.incidents import linking
from gatekeeper.incidents.acting import MOST_MESSAGE, TELL, hold, note, suspend, tell, tell_holders
from gatekeeper.incidents.linking import Subject, link, unlink
from gatekeeper.incidents.opening import close, dismiss, open_incident, reopen, report, take_up
from gatekeeper.incidents.reading import (
    WAITING,
    get,
    links_of,
    listing,
    published,
    published_at,
    timeline,
)
from gatekeeper.incidents.tables import (
    Incident,
    IncidentLink,
    IncidentState,
    LinkKind,
    Severity,
)

__all__ = [
    "MOST_MESSAGE",
    "TELL",
    "WAITING",
    "Incident",
    "IncidentLink",
    "IncidentState",
    "LinkKind",
    "Severity",
    "Subject",
    "close",
    "dismiss",
    "get",
    "hold",
    "link",
    "linking",
    "links_of",
    "listing",
    "note",
    "open_incident",
    "published",
    "published_at",
    "reopen",
    "report",
    "suspend",
    "take_up",
    "tell",
    "tell_holders",
    "timeline",
    "unlink",
]
