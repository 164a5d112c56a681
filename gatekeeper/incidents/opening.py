"""How an incident begins and ends: reported or opened, taken up or dismissed, closed with a note, opened again."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import notices, releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.errors import TooMany
from gatekeeper.incidents.linking import Subject, attach
from gatekeeper.incidents.steps import MOST_TITLE, checked, move, step
from gatekeeper.incidents.tables import Incident, IncidentLink, IncidentState, Severity
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, catalogue

MOST_UNTRIAGED = 200
_MOST_TOLD = 50


async def report(
    session: AsyncSession, repo: Repo, *, title: str, description: str, by: Principal, subject: Subject | None = None
) -> Incident:
    """Take what somebody says is wrong with a repository or an image; its maintainers are told and look at it.

    by  may be nobody in particular: then nothing is kept of who it was
    Raises Invalid, and TooMany while more reports wait for the repository than people could read.
    """
    waiting = sa.select(col(Incident.id)).where(
        col(Incident.repo_id) == repo.id, col(Incident.state) == IncidentState.REPORTED
    )
    count = await session.scalar(sa.select(sa.func.count()).select_from(waiting.limit(MOST_UNTRIAGED).subquery()))
    if (count or 0) >= MOST_UNTRIAGED:
        raise TooMany(
            "Many reports about this repository wait to be read already.",
            next_step="Try again tomorrow, or write to the people who run this hub if it cannot wait.",
        )
    made = await _make(session, repo, title, description, by=by, state=IncidentState.REPORTED)
    await step(session, made, "report", by=by)
    if subject is not None:
        await attach(session, made, subject)
    for person_id in sorted(await _handlers(session, repo))[:_MOST_TOLD]:
        if person_id != by.person_id:
            await notices.tell(
                session, person_id, "report-received", event=made.id, repo=repo.full_name, incident=made.id
            )
    return made


async def open_incident(
    session: AsyncSession, repo: Repo | None, *, title: str, description: str, severity: Severity, by: Principal
) -> Incident:
    """Begin an incident about a repository, or (None) about the hub itself."""
    made = await _make(session, repo, title, description, by=by, state=IncidentState.OPEN, severity=severity)
    await step(session, made, "open", by=by, data={"severity": severity})
    return made


async def take_up(
    session: AsyncSession, incident: Incident, *, title: str, severity: Severity, by: Principal
) -> Incident:
    """Make an open incident of a report."""
    values = {
        "state": IncidentState.OPEN,
        "title": checked(title, "The title", most=MOST_TITLE),
        "severity": severity,
    }
    fresh = await move(session, incident, by=by, sources=[IncidentState.REPORTED], values=values)
    await step(session, fresh, "take-up", by=by, data={"severity": severity})
    return fresh


async def dismiss(session: AsyncSession, incident: Incident, *, reason: str, by: Principal) -> Incident:
    """Put a report away that nothing follows from. The reason is for the handlers; nothing becomes public."""
    reason = checked(reason, "The reason")
    values = {"state": IncidentState.DISMISSED, "closed_at": now()}
    fresh = await move(session, incident, by=by, sources=[IncidentState.REPORTED], values=values)
    await step(session, fresh, "dismiss", by=by, note=reason)
    await _answer_reporter(session, fresh)
    return fresh


async def close(session: AsyncSession, incident: Incident, *, public_note: str, by: Principal) -> Incident:
    """End an incident with words that everybody reads: on the pages of its repositories and in the report."""
    public_note = checked(public_note, "The public note")
    values = {"state": IncidentState.CLOSED, "closed_at": now(), "public_note": public_note}
    fresh = await move(session, incident, by=by, sources=[IncidentState.OPEN], values=values)
    await step(session, fresh, "close", by=by, note=public_note)
    await _answer_reporter(session, fresh)
    return fresh


async def reopen(session: AsyncSession, incident: Incident, *, reason: str, by: Principal) -> Incident:
    """Take an incident up again that was over. Its public note is taken off the pages; the timeline keeps it."""
    reason = checked(reason, "The reason")
    values = {"state": IncidentState.OPEN, "closed_at": None, "public_note": ""}
    sources = [IncidentState.CLOSED, IncidentState.DISMISSED]
    fresh = await move(session, incident, by=by, sources=sources, values=values)
    await step(session, fresh, "reopen", by=by, note=reason)
    return fresh


async def _make(
    session: AsyncSession,
    repo: Repo | None,
    title: str,
    description: str,
    *,
    by: Principal,
    state: IncidentState,
    severity: Severity = Severity.MEDIUM,
) -> Incident:
    made = Incident(
        repo_id=repo.id if repo else None,
        state=state,
        severity=severity,
        title=checked(title, "The title", most=MOST_TITLE),
        description=checked(description, "The description"),
        reporter_id=by.person_id,
    )
    session.add(made)
    await session.flush()  # its steps and links name it
    return made


async def _handlers(session: AsyncSession, repo: Repo) -> frozenset[str]:
    """Who is told of a report: the maintainers, or where there are none the hub's administrators."""
    found = await releases.maintainers(session, repo)
    if found:
        return found
    admins = sa.select(col(Person.id)).where(col(Person.is_admin).is_(True), col(Person.is_disabled).is_(False))
    return frozenset(await session.scalars(admins))


async def _answer_reporter(session: AsyncSession, incident: Incident) -> None:
    """Tell who reported it that it was looked at; not somebody whom it turned out to be about."""
    repo = await catalogue.by_id(session, incident.repo_id) if incident.repo_id else None
    if incident.reporter_id is None or repo is None:
        return
    about = sa.select(col(IncidentLink.id)).where(
        col(IncidentLink.incident_id) == incident.id, col(IncidentLink.person_id) == incident.reporter_id
    )
    if await session.scalar(about) is None:
        prefix = "" if repo.kind is RepoKind.MODEL else f"/{repo.kind.value}"
        await notices.tell(
            session,
            incident.reporter_id,
            "report-answered",
            event=incident.id,
            repo=repo.full_name,
            url=f"{prefix}/{repo.full_name}",
        )
