"""The room: who is told, what each act leaves behind, and what nobody may do."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, incidents, jobs, ledger, notices, releases
from gatekeeper.access import AskRule, Rules
from gatekeeper.accounts import ANONYMOUS, OPERATOR, people
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, NotAllowed, TooMany
from gatekeeper.incidents import IncidentState, Severity, linking, opening
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio

DIGEST = "d" * 64
TEXTS = {"title": "It draws faces", "description": "Of people who <exist>."}


async def opened(session: AsyncSession, repo: Repo | None, by: Principal) -> incidents.Incident:
    return await incidents.open_incident(session, repo, severity=Severity.HIGH, by=by, **TEXTS)


async def told(session: AsyncSession, person: Principal) -> list[str]:
    return [each.kind for each in (await notices.listing(session, person.person_id or "")).items]


async def test_a_report_reaches_the_maintainers_is_taken_up_and_ends_with_a_note_for_everybody(
    session: AsyncSession,
) -> None:
    owner, ada = await make_person(session), await make_person(session)
    repo, _ = await make_repo(session, owner)

    report = await incidents.report(session, repo, by=ada, **TEXTS)
    assert (report.state, await told(session, owner), await told(session, ada)) == (
        IncidentState.REPORTED,
        ["report-received"],
        [],
    )
    assert await incidents.published(session, repo) == []
    taken = await incidents.take_up(session, report, title="Faces", severity=Severity.CRITICAL, by=owner)
    with pytest.raises(Conflict):
        await incidents.take_up(session, report, title="Faces", severity=Severity.LOW, by=owner)
    with pytest.raises(Conflict):
        await incidents.dismiss(session, taken, reason="No.", by=owner)
    await incidents.note(session, taken, text="Trained on <photos>.", by=owner)
    closed = await incidents.close(session, taken, public_note=" The photos were taken out. ", by=owner)

    [public] = await incidents.published(session, repo)
    assert (public.note, public.severity, closed.title) == ("The photos were taken out.", Severity.CRITICAL, "Faces")
    assert await told(session, ada) == ["report-answered"]
    assert [step.act for step in await incidents.timeline(session, closed)] == ["report", "take-up", "note", "close"]
    for act in ("report", "take-up", "note", "close"):
        [event] = await events(session, f"incidents:incident:{act}")
        assert (event.subject_id, event.repo_id) == (report.id, repo.id)
        assert "photos" not in str(event.body)
    [first] = await events(session, "incidents:incident:report")
    assert first.actor_id == ada.person_id


async def test_what_is_dismissed_is_never_public_and_nothing_is_kept_of_who_has_no_account(
    session: AsyncSession,
) -> None:
    owner = await make_person(session)
    repo, _ = await make_repo(session, owner)

    report = await incidents.report(session, repo, by=ANONYMOUS, **TEXTS)
    with pytest.raises(Invalid):
        await incidents.dismiss(session, report, reason=" ", by=owner)
    gone = await incidents.dismiss(session, report, reason="A joke.", by=owner)

    assert (gone.reporter_id, gone.state) == (None, IncidentState.DISMISSED)
    assert await incidents.published(session, repo) == []
    with pytest.raises(Conflict):
        await incidents.close(session, gone, public_note="Nothing.", by=owner)


async def test_a_closed_incident_takes_no_further_act(session: AsyncSession) -> None:
    owner = await make_person(session)
    repo, commit = await make_repo(session, owner)
    incident = await opened(session, repo, owner)
    await incidents.close(session, incident, public_note="Done.", by=owner)

    for act in (
        incidents.close(session, incident, public_note="Again.", by=owner),
        incidents.note(session, incident, text="Late.", by=owner),
        incidents.link(session, incident, linking.repository(repo), by=owner),
        incidents.tell(session, incident, repo, commit, message="Late.", by=owner),
    ):
        with pytest.raises(Conflict, match="closed"):
            await act


async def test_whom_an_incident_is_about_decides_nothing_about_it(session: AsyncSession) -> None:
    owner, other = await make_person(session), await make_person(session)
    repo, _ = await make_repo(session, owner)
    incident = await opened(session, repo, other)
    person = await people.get(session, owner.person_id or "")
    assert person is not None

    await incidents.link(session, incident, linking.person(person), by=other)
    with pytest.raises(Conflict):
        await incidents.link(session, incident, linking.person(person), by=other)
    for act in (
        incidents.close(session, incident, public_note="It was nothing.", by=owner),
        incidents.note(session, incident, text="It was nothing.", by=owner),
    ):
        with pytest.raises(NotAllowed, match="about you"):
            await act


async def test_a_hold_and_a_suspension_are_those_of_their_rooms(session: AsyncSession) -> None:
    owner, ada = await make_person(session), await make_person(session)
    repo, _ = await make_repo(session, owner)
    await releases.enable_staging(session, repo, by=owner)
    [release] = await releases.list_for(session, repo)
    person = await people.get(session, ada.person_id or "")
    assert person is not None
    await access.grant_directly(
        session, repo, person, by=owner, ends_at=None, is_tester=False, rule=AskRule.of(None), rules=Rules.load()
    )
    grant = await access.grant_in_force(session, person.id, repo.id, now())
    assert grant is not None
    incident = await opened(session, repo, owner)

    held = await incidents.hold(session, incident, release, reason="Faces.", by=owner)
    with pytest.raises(Conflict, match="on hold already"):
        await incidents.hold(session, incident, release, reason="Faces.", by=owner)
    await incidents.suspend(session, incident, grant, reason="Sold what it drew.", by=owner)

    assert held.held_at is not None
    assert await access.grant_in_force(session, person.id, repo.id, now() + timedelta(seconds=1)) is None
    assert [link.kind for link in await incidents.links_of(session, incident)] == ["revision", "grant"]
    assert len(await events(session, "releases:release:hold")) == len(await events(session, "access:request:suspend"))
    [event] = await events(session, "incidents:incident:hold")
    assert event.body["commit"] == release.commit_id
    suspended = (await incidents.timeline(session, incident))[-1]
    assert (suspended.act, suspended.note) == ("suspend", "")


async def test_only_holders_of_the_digest_are_told_and_each_once(database: Database) -> None:
    async with database.write() as session:
        owner, ada, alan, gone = [await make_person(session) for _ in range(4)]
        repo, commit = await make_repo(session, owner)
        for person, digest in ((ada, DIGEST), (ada, DIGEST), (alan, "e" * 64), (gone, DIGEST)):
            body = {"path": "model.safetensors", "digest": digest, "action": "download"}
            await ledger.record(
                session, "repos:file:download", actor=person.person_id, repo=repo.id, subject=commit, body=body
            )
        row = await people.get(session, gone.person_id or "")
        assert row is not None
        await people.disable(session, row, by=OPERATOR)
        incident = await opened(session, repo, owner)
        with pytest.raises(Invalid):
            await incidents.tell(session, incident, repo, commit, message="x" * 281, by=owner)
        with pytest.raises(Invalid, match="Nobody"):
            await incidents.tell(session, incident, repo, commit, message="Delete.", sha256="f" * 64, by=owner)
        count = await incidents.tell(session, incident, repo, commit, message="Delete it.", sha256=DIGEST, by=owner)
        job = await session.scalar(sa.select(jobs.Job).where(jobs.Job.kind == incidents.TELL))
        assert job is not None

    await incidents.tell_holders(database, job.payload)
    await incidents.tell_holders(database, job.payload)

    async with database.read() as session:
        assert count == 2
        assert [await told(session, person) for person in (ada, alan, gone)] == [["incident-told"], [], []]
        [notice] = (await notices.listing(session, ada.person_id or "")).items
        said = notices.say(notice.kind, notice.facts)
        assert "Delete it." in said.text
        assert repo.full_name in said.text
        event = await session.scalar(sa.select(LedgerEvent).where(LedgerEvent.kind == "incidents:incident:notify"))
        assert event is not None
        assert "Delete" not in str(event.body)


async def test_reports_are_refused_while_more_wait_than_people_could_read(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MOST_UNTRIAGED", 2)
    owner = await make_person(session)
    repo, _ = await make_repo(session, owner)
    first = await incidents.report(session, repo, by=ANONYMOUS, **TEXTS)
    await incidents.report(session, repo, by=ANONYMOUS, **TEXTS)
    with pytest.raises(TooMany):
        await incidents.report(session, repo, by=ANONYMOUS, **TEXTS)
    await incidents.dismiss(session, first, reason="A joke.", by=owner)
    await incidents.report(session, repo, by=ANONYMOUS, **TEXTS)
