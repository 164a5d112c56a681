"""What surrounds a release: open incidents, unanswered questions, a drill that was done."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.community import discussions
from gatekeeper.community.tables import DiscussionEvent, EventKind
from gatekeeper.generation.tables import QuotaChange
from gatekeeper.incidents.tables import Incident, IncidentLink, IncidentState, LinkKind, Severity
from gatekeeper.kit.clock import day_words, now
from gatekeeper.releases import Ladder, Release, Stage, surroundings
from gatekeeper.releases.surroundings import drilled, questions_answered
from gatekeeper.repos import AddFile, Repo, history

pytestmark = pytest.mark.anyio


@pytest.fixture
async def release(session: AsyncSession, owner: Principal, repo: Repo) -> Release:
    head = await history.commit(session, repo, "main", [AddFile("notes.txt", b"plain")], summary="Add", by=owner)
    return await releases.ensure(session, repo, head, by=owner)


@pytest.mark.parametrize(
    ("state", "severity", "about", "passes"),
    [
        (IncidentState.OPEN, Severity.HIGH, "repository", False),
        (IncidentState.OPEN, Severity.CRITICAL, "linked repository", False),
        (IncidentState.OPEN, Severity.HIGH, "linked revision", False),
        (IncidentState.OPEN, Severity.HIGH, "another revision", True),
        (IncidentState.OPEN, Severity.MEDIUM, "repository", True),
        (IncidentState.REPORTED, Severity.CRITICAL, "repository", True),
        (IncidentState.CLOSED, Severity.CRITICAL, "repository", True),
    ],
)
async def test_an_open_incident_of_high_severity_stops_a_promotion(
    session: AsyncSession,
    owner: Principal,
    repo: Repo,
    release: Release,
    ladder: Ladder,
    state: IncidentState,
    severity: Severity,
    about: str,
    passes: bool,
) -> None:
    incident = Incident(title="x", state=state, severity=severity, repo_id=repo.id if about == "repository" else None)
    session.add(incident)
    await session.flush()
    if about != "repository":
        kind = LinkKind.REPOSITORY if about == "linked repository" else LinkKind.REVISION
        target = {"linked repository": repo.id, "linked revision": release.commit_id}.get(about, "f" * 40)
        session.add(IncidentLink(incident_id=incident.id, kind=kind, target=target, repo_id=repo.id))

    proposal = await releases.propose(session, repo, release.commit_id, Stage.TRUSTED_TEST, by=owner, ladder=ladder)

    found = {row["id"]: row["is_met"] for row in proposal.criteria}
    assert found["no_open_incident"] is passes


async def test_a_question_waits_until_somebody_else_answers_or_it_is_closed(
    session: AsyncSession, owner: Principal, repo: Repo
) -> None:
    asked = await discussions.open_discussion(session, repo, title="Why so blue?", text="It is.", by=owner)
    more = DiscussionEvent(discussion_id=asked.id, position=9, kind=EventKind.COMMENT, author_id=owner.person_id)
    session.add(more)
    await session.flush()
    waiting = await questions_answered(session, repo)
    more.author_id = None  # somebody whose account is gone
    await session.flush()
    answered = await questions_answered(session, repo)
    more.hidden_at = now()
    await session.flush()
    hidden = await questions_answered(session, repo)

    assert waiting == (False, "Nobody has answered #1. Answer or close them.")
    assert answered == (True, "Every open discussion has an answer.")
    assert hidden[0] is False


@pytest.mark.parametrize(
    ("name", "changed", "given", "passes"),
    [
        ("images_per_day", 100, None, True),
        ("images_per_day", 10**6, None, False),
        ("compute_seconds_per_day", 10**6, None, False),
        ("concurrency", 10**6, None, False),
        ("images_per_day", 100, 5_000, True),
        ("images_per_day", 100, 10**6, False),
    ],
)
async def test_a_stage_may_ask_that_what_one_person_makes_is_limited(
    session: AsyncSession,
    owner: Principal,
    repo: Repo,
    release: Release,
    ladder: Ladder,
    name: str,
    changed: int,
    given: int | None,
    passes: bool,
) -> None:
    rule = replace(ladder.rule(Stage.INTERNAL), criteria=("quota_limits",))
    quotas = ladder.quotas | {Stage.INTERNAL: ladder.quotas[Stage.INTERNAL] | {name: changed}}
    stricter = replace(ladder, rules=ladder.rules | {Stage.INTERNAL: rule}, quotas=quotas)
    if given is not None:
        session.add(QuotaChange(person_id=owner.person_id, **{name: given}))
    proposal = await releases.propose(session, repo, release.commit_id, Stage.INTERNAL, by=owner, ladder=stricter)
    assert [(row["id"], row["is_met"]) for row in proposal.criteria] == [("quota_limits", passes)]
    if passes:
        assert proposal.criteria[0]["detail"].endswith("100 images a day, 7,200 seconds a day, 2 orders at once.")


async def test_a_drill_counts_for_a_quarter(
    session: AsyncSession, owner: Principal, repo: Repo, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await drilled(session, repo)
    await releases.record_drill(session, release, by=owner)
    await session.flush()
    after = await drilled(session, repo)
    monkeypatch.setattr(surroundings, "now", lambda: now() + timedelta(days=surroundings.DRILL_DAYS + 1))

    assert before[0] is False
    assert after == (True, f"The last rollback drill was done on {day_words(now())}.")
    assert (await drilled(session, repo))[0] is False
