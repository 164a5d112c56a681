"""What is done about an open incident, by the verbs that do it elsewhere, each with a step of its timeline."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, errors, jobs, notices, releases
from gatekeeper.access import AccessGrant
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.db import Database
from gatekeeper.incidents import linking
from gatekeeper.incidents.steps import checked, require_open, step
from gatekeeper.incidents.tables import Incident, IncidentStep
from gatekeeper.releases import Release
from gatekeeper.repos import Repo, RepoKind, catalogue

TELL = "incidents:tell"
MOST_MESSAGE = 280
_PAGE = 200


async def note(session: AsyncSession, incident: Incident, *, text: str, by: Principal) -> None:
    """Write something down for those who handle the incident."""
    incident = await require_open(session, incident, by)
    await step(session, incident, "note", by=by, note=checked(text, "The note"))


async def hold(session: AsyncSession, incident: Incident, release: Release, *, reason: str, by: Principal) -> Release:
    """Stop a release because of the incident: `releases.hold`, and a step of the timeline."""
    incident = await require_open(session, incident, by)
    repo = await catalogue.by_id(session, release.repo_id)
    held = await releases.hold(session, release, by=by, reason=reason)
    if repo is not None:
        await linking.attach(session, incident, linking.revision(repo, release.commit_id))
    data = {"repo_id": release.repo_id, "commit": release.commit_id, "release_id": release.id}
    await step(session, incident, "hold", by=by, note=reason.strip(), data=data)
    return held


async def suspend(session: AsyncSession, incident: Incident, grant: AccessGrant, *, reason: str, by: Principal) -> None:
    """Let somebody's access not count for now: `access.suspend`. The reason is the person's to read, not kept here."""
    incident = await require_open(session, incident, by)
    request = await access.get(session, grant.request_id or "")
    await access.suspend(session, request, by=by, reason=reason)
    await linking.attach(session, incident, linking.grant(grant))
    data = {"repo_id": grant.repo_id, "grant_id": grant.id}
    await step(session, incident, "suspend", by=by, data=data)


async def tell(
    session: AsyncSession, incident: Incident, repo: Repo, commit: str, *, message: str, sha256: str = "", by: Principal
) -> int:
    """Have everybody told who holds weights of a revision, or only one file of it; returns how many that are now.

    Raises Invalid where nobody with an account holds it.
    """
    incident = await require_open(session, incident, by)
    message = checked(message, "The message", most=MOST_MESSAGE)
    holders = await releases.holders_of(session, repo.id, commit, sha256=sha256)
    if not holders:
        raise errors.Invalid(
            "Nobody with an account holds this.", status=422, next_step="Close the incident with a public note instead."
        )
    await linking.attach(session, incident, linking.revision(repo, commit))
    data = {"repo_id": repo.id, "commit": commit, "sha256": sha256, "people": len(holders)}
    made = await step(session, incident, "notify", by=by, note=message, data=data)
    await jobs.enqueue(session, TELL, {"step": made.id})
    return len(holders)


async def tell_holders(database: Database, payload: dict[str, Any]) -> None:
    """The job TELL: the notices of one step, some at a time. Nobody is told twice of one step."""
    async with database.read() as session:
        made = await session.get(IncidentStep, payload["step"])
        repo = await catalogue.by_id(session, made.data["repo_id"]) if made is not None else None
        if made is None or repo is None:
            return
        data, message = made.data, made.note
        holders = await releases.holders_of(session, repo.id, data["commit"], sha256=data["sha256"])
    prefix = "" if repo.kind is RepoKind.MODEL else f"/{repo.kind.value}"
    facts = {"repo": repo.full_name, "url": f"{prefix}/{repo.full_name}", "commit": data["commit"][:12]}
    async with database.read() as session:
        able = sa.select(col(Person.id)).where(
            col(Person.id).in_([holder.person_id for holder in holders]), col(Person.is_disabled).is_(False)
        )
        people = list(await session.scalars(able.order_by(col(Person.id))))
    for start in range(0, len(people), _PAGE):
        async with database.write() as session:
            for person_id in people[start : start + _PAGE]:
                await notices.tell(session, person_id, "incident-told", event=payload["step"], message=message, **facts)
