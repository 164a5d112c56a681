"""Which events of the ledger webhooks hear of, and under which names."""

from dataclasses import dataclass
from enum import StrEnum

from gatekeeper.ledger import LedgerEvent


class Domain(StrEnum):
    """What a webhook listens to. `repo` and `discussion` are the public hub's; `access` is for maintainers."""

    REPO = "repo"
    DISCUSSION = "discussion"
    ACCESS = "access"


@dataclass(frozen=True)
class Told:
    """How an event is named to webhooks."""

    domain: Domain
    action: str
    scope: str


_REPO = {
    "repos:repo:create": ("create", "repo"),
    "repos:repo:delete": ("delete", "repo"),
    "repos:repo:move": ("move", "repo"),
    "repos:repo:update": ("update", "repo.config"),
    "releases:repo:stage": ("update", "repo.config"),
    "repos:repo:duplicate": ("update", "repo.content"),
    "repos:file:delete": ("update", "repo.content"),
}
_DISCUSSION = {
    "community:discussion:open": ("create", "discussion"),
    "community:pull:open": ("create", "discussion"),
    "community:pull:merge": ("update", "discussion"),
    "community:discussion:status": ("update", "discussion"),
    "community:discussion:rename": ("update", "discussion"),
    "community:discussion:lock": ("update", "discussion"),
    "community:discussion:pin": ("update", "discussion"),
    "community:comment:write": ("create", "discussion.comment"),
    "community:comment:edit": ("update", "discussion.comment"),
    "community:comment:hide": ("update", "discussion.comment"),
}
_BEGINNINGS = frozenset({"submit", "open", "propose", "draft", "grant", "save"})


def told(event: LedgerEvent) -> Told | None:
    """How webhooks hear of this event; None for one that is nobody's business outside."""
    if event.repo_id is None:
        return None
    source, subject, act = event.kind.split(":")
    if event.kind in _REPO:
        return Told(Domain.REPO, *_REPO[event.kind])
    if event.kind in _DISCUSSION:
        return Told(Domain.DISCUSSION, *_DISCUSSION[event.kind])
    if source == "repos" and subject in ("branch", "tag"):
        return Told(Domain.REPO, "update", "repo.content")
    if source == "access" or (source == "releases" and subject in ("release", "proposal")):
        return Told(Domain.ACCESS, "create" if act in _BEGINNINGS else "update", f"{source}.{subject}"[:40])
    return None


def subject_key(event: LedgerEvent, how: Told) -> str:
    """What an event is about: a webhook hears of the same in order."""
    if how.domain is Domain.REPO:
        return event.repo_id or ""
    if how.domain is Domain.DISCUSSION:
        return f"{event.repo_id}#{event.body.get('num', '')}"
    return f"{event.repo_id}/{event.body.get('request_id') or event.body.get('release_id') or event.subject_id}"[:80]
