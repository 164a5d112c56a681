"""What an incident is about: repositories, revisions, grants, people, and images that were given out."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.access import AccessGrant
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.incidents.steps import require_open, step
from gatekeeper.incidents.tables import Incident, IncidentLink, LinkKind
from gatekeeper.provenance import number_text
from gatekeeper.provenance.tables import ImageRecord
from gatekeeper.repos import Repo
from gatekeeper.repos.rows import insert_missing


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing to link to; made by the functions below."""

    kind: LinkKind
    target: str
    repo_id: str | None = None
    person_id: str | None = None


def repository(repo: Repo) -> Subject:
    """A repository as a whole."""
    return Subject(LinkKind.REPOSITORY, repo.id, repo.id)


def revision(repo: Repo, commit: str) -> Subject:
    """One commit of a repository, released or not."""
    return Subject(LinkKind.REVISION, commit, repo.id)


def grant(found: AccessGrant) -> Subject:
    """Somebody's access to a repository."""
    return Subject(LinkKind.GRANT, found.id, found.repo_id, found.person_id)


def person(found: Person) -> Subject:
    """Somebody."""
    return Subject(LinkKind.PERSON, found.id, None, found.id)


def image(record: ImageRecord) -> Subject:
    """An image that this hub gave out. Its record names nobody."""
    return Subject(LinkKind.IMAGE, number_text(record.number), record.repo_id)


async def link(session: AsyncSession, incident: Incident, subject: Subject, *, by: Principal) -> None:
    """Say that an open incident is about something. Raises Conflict when that was said already."""
    incident = await require_open(session, incident, by)
    if not await attach(session, incident, subject):
        raise errors.Conflict("The incident is linked to this already.", next_step="Look at its links.")
    data = {"kind": subject.kind, "target": subject.target, "repo_id": subject.repo_id}
    await step(session, incident, "link", by=by, data=data)


async def unlink(session: AsyncSession, incident: Incident, found: IncidentLink, *, by: Principal) -> None:
    """Say that an open incident is not about something after all. What was done about it stays done."""
    incident = await require_open(session, incident, by)
    data = {"kind": found.kind, "target": found.target, "repo_id": found.repo_id}
    await session.delete(found)
    await step(session, incident, "unlink", by=by, data=data)


async def attach(session: AsyncSession, incident: Incident, subject: Subject) -> bool:
    """Add a link where there is none; returns whether there was none."""
    made = IncidentLink(
        incident_id=incident.id,
        kind=subject.kind,
        target=subject.target,
        repo_id=subject.repo_id,
        person_id=subject.person_id,
    )
    return bool(await insert_missing(session, IncidentLink, [made.model_dump()]))
