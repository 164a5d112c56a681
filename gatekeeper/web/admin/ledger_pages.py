"""From an event's ids to names, and to the pages of what it is about."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Person
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from gatekeeper.web.portal.views import repo_url

# Kinds whose subject has a page of its own in the panel.
_SUBJECTS = {
    "access:request:": ("The request", "/admin/requests/{id}"),
    "incidents:incident:": ("The incident", "/admin/incidents/{id}"),
    "notices:webhook:": ("Webhooks", "/admin/webhooks"),
}
# What people without an account do, too; the rest without a name is the hub's own work.
_BY_ANYBODY = ("incidents:incident:report", "repos:file:download")


@dataclass(frozen=True)
class Names:
    """Names of the people and repositories in some events, by id."""

    people: dict[str, str]
    repos: dict[str, Repo]

    def actor_of(self, event: LedgerEvent) -> str:
        """Who acted."""
        if event.actor_id is None:
            return "somebody without an account" if event.kind in _BY_ANYBODY else "the hub"
        return self.people.get(event.actor_id, "erased")

    def about(self, event: LedgerEvent) -> str:
        """Whom it is about, where that is somebody else than who acted."""
        ids = (event.subject_id, event.body.get("person_id"))
        return next((self.people[id] for id in ids if id in self.people and id != event.actor_id), "")

    def repo_of(self, event: LedgerEvent) -> tuple[str, str] | None:
        """Name and page of the repository; the page is "" for a deleted one."""
        repo = self.repos.get(event.repo_id or "")
        return (repo.full_name, "" if repo.deleted_at else repo_url(repo)) if repo else None

    def pages_of(self, event: LedgerEvent) -> list[tuple[str, str]]:
        """Titles and addresses of what an event is about, as far as there are pages, and of events like it."""
        found = []
        repo = self.repo_of(event)
        if repo and repo[1]:
            found.append((f"Repository {repo[0]}", repo[1]))
            commit = str(event.body.get("commit", ""))
            if commit and event.kind.startswith("releases:release:"):
                found.append((f"Release {commit[:10]}", f"{repo[1]}/releases/{quote(commit, safe='')}"))
        for id in dict.fromkeys((event.actor_id, event.subject_id, event.body.get("person_id"))):
            if name := self.people.get(id or ""):
                found.append((f"Person {name}", f"/admin/people/{quote(name, safe='')}"))
        for begins, (title, href) in _SUBJECTS.items():
            if event.kind.startswith(begins) and event.subject_id:
                found.append((title, href.format(id=quote(event.subject_id, safe=""))))
        if request_id := event.body.get("request_id"):
            found.append(("The request", f"/admin/requests/{quote(str(request_id), safe='')}"))
        if event.subject_id:
            found.append(("Every event about this", f"/admin/ledger?subject={quote(event.subject_id, safe='')}"))
        return found


async def names_in(session: AsyncSession, events: Iterable[LedgerEvent]) -> Names:
    """The names in these events, in two queries."""
    some = list(events)
    people = {id for e in some for id in (e.actor_id, e.subject_id, e.body.get("person_id")) if isinstance(id, str)}
    rows = await session.execute(sa.select(col(Person.id), col(Person.name)).where(col(Person.id).in_(people)))
    repos = await session.scalars(sa.select(Repo).where(col(Repo.id).in_({e.repo_id for e in some if e.repo_id})))
    return Names({row.id: row.name for row in rows}, {repo.id: repo for repo in repos})
