"""Whom an event concerns: applicants, reviewers, followers; holders of a release and people in a discussion have files
of their own."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import jobs, releases
from gatekeeper.access import UNDO_WITHIN, was_undone
from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts import principals
from gatekeeper.accounts.tables import Membership, Person
from gatekeeper.generation import Strike, StrikeState
from gatekeeper.kit.canonical import digest_of
from gatekeeper.kit.clock import day_words, last_moment, now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import following, holding, talking
from gatekeeper.notices.courier import Judge, Question
from gatekeeper.notices.events import Domain
from gatekeeper.notices.holding import names_of
from gatekeeper.notices.telling import tell
from gatekeeper.repos.tables import Repo

TELL_APPLICANT = "notices:tell-applicant"
_MARGIN = timedelta(seconds=5)  # an undo that began in time has ended
_MOST_TOLD = 200
_DAYS_BEFORE_END = (1, 7, 30)

TO_PERSON = {
    "access:request:refer": "request-referred",
    "access:request:delegate": "request-handed-on",
    "access:request:add-terms": "conditions-added",
    "access:request:cancel": "decision-taken-back",
    "access:request:resume": "access-resumed",
    "access:request:return": "request-returned",
    "access:request:approve": "request-approved",
    "access:request:reject": "request-rejected",
    "access:request:revoke": "access-revoked",
    "access:request:suspend": "access-revoked",
    "access:grant:revoke": "access-revoked",
    "access:request:grant": "access-granted",
}
_CAN_BE_UNDONE = frozenset({"access:request:approve", "access:request:reject"})
_RELEASED = frozenset({"releases:release:promote", "releases:release:open"})
TO_REVIEWERS = {
    "access:request:submit": "request-submitted",
    "access:request:appeal": "request-appealed",
    "access:request:overdue": "request-overdue",
    "generation:strike:appeal": "strike-appealed",
}
STRIKES = frozenset({"generation:strike:record", "generation:strike:review", "generation:strike:appeal"})


async def tell_people(session: AsyncSession, event: LedgerEvent, repo: Repo, judge: Judge) -> None:
    """Leave notices for those whom an event concerns. Nobody is told of what they did themselves."""
    if event.kind in TO_PERSON:
        person_id = event.body.get("referred_to") or event.body.get("person_id")
        if person_id and person_id != event.actor_id and not event.body.get("is_automatic"):
            if event.kind in _CAN_BE_UNDONE:
                told_at = event.occurred_at + UNDO_WITHIN + _MARGIN
                await jobs.enqueue(session, TELL_APPLICANT, {"event": event.id}, run_at=told_at)
            else:
                await tell(session, person_id, TO_PERSON[event.kind], event=event.id, **names_of(repo))
    elif event.kind in TO_REVIEWERS:
        await _tell_reviewers(session, event, repo, judge)
    elif event.kind in holding.TOLD:
        await jobs.enqueue(session, holding.TELL_HOLDERS, {"event": event.id})  # they may be many
    elif event.kind in STRIKES:
        await _tell_of_strike(session, event, repo)
    elif talking.num_of(event):
        await talking.tell_of_talk(session, event, repo, judge)
    elif event.kind in _RELEASED:
        await _tell_followers(session, event, repo, judge)
    elif event.kind == "releases:proposal:waive":
        await _tell_approvers(session, event, repo)


async def tell_applicant(session: AsyncSession, payload: dict[str, Any]) -> bool:
    """The job TELL_APPLICANT: what was decided, unless that was undone. False where nobody had to be told."""
    event = await session.get(LedgerEvent, payload["event"])
    repo = await session.get(Repo, event.repo_id) if event is not None and event.repo_id else None
    if event is None or repo is None or await was_undone(session, event.subject_id or "", since=event.occurred_at):
        return False
    person = await session.get(Person, event.body["person_id"])
    if person is None:
        return False
    return await tell(session, person.id, TO_PERSON[event.kind], event=event.id, **names_of(repo))


async def remind_of_ends(session: AsyncSession) -> int:
    """Tell people whose access ends within 30 days, a week and a day, each once; returns how many were told."""
    instant, count = now(), 0
    query = (
        sa.select(AccessGrant, Repo)
        .join(Repo, col(Repo.id) == col(AccessGrant.repo_id))
        .where(
            col(AccessGrant.revoked_at).is_(None),
            col(AccessGrant.ends_at) > instant,
            col(AccessGrant.ends_at) <= instant + timedelta(days=_DAYS_BEFORE_END[-1]),
            col(Repo.deleted_at).is_(None),
        )
    )
    for grant, repo in await session.execute(query):
        assert grant.ends_at is not None  # the query asks for it
        days = next(days for days in _DAYS_BEFORE_END if grant.ends_at <= instant + timedelta(days=days))
        facts = names_of(repo) | {"day": day_words(last_moment(grant.ends_at))}
        # A grant that was shorter from the beginning is told of from its next threshold on, not at once.
        if grant.ends_at - grant.granted_at > timedelta(days=days):
            count += await tell(session, grant.person_id, "access-expiring", event=f"{grant.id}/{days}", **facts)
    return count


async def _tell_reviewers(session: AsyncSession, event: LedgerEvent, repo: Repo, judge: Judge) -> None:
    """Who may decide: the repository's own people, and where there is nobody else, those who run the hub. They alone
    review strikes at what was deleted."""
    members = sa.select(col(Membership.person_id)).where(col(Membership.organization_id) == repo.owner_organization_id)
    of_repo = sa.or_(col(Person.id) == repo.owner_person_id, col(Person.id).in_(members))
    applicant = await session.get(Person, event.actor_id) if event.actor_id else None
    name = applicant.name if applicant is not None else "Somebody"
    is_gone = repo.deleted_at is not None and event.kind in STRIKES
    reviewers = [] if is_gone else await _reviewers(session, of_repo, event, repo, judge)
    for person in reviewers or await _reviewers(session, col(Person.is_admin).is_(True), event, repo, judge):
        await tell(session, person.id, TO_REVIEWERS[event.kind], event=event.id, person=name, **names_of(repo))


async def _reviewers(
    session: AsyncSession, among: sa.ColumnElement[bool], event: LedgerEvent, repo: Repo, judge: Judge
) -> list[Person]:
    """Those of them who may review; never whom the event is about."""
    query = sa.select(Person).where(among, ~col(Person.is_disabled), col(Person.id) != event.actor_id)
    return [
        person
        for person in await session.scalars(query.order_by(col(Person.id)).limit(_MOST_TOLD))
        if await judge(
            session,
            Question(await principals.for_person(session, person), repo, Domain.ACCESS.value, "access.request", None),
        )
    ]


async def _tell_of_strike(session: AsyncSession, event: LedgerEvent, repo: Repo) -> None:
    """Whose order safety stopped: of the same cause once a day, and of what the review came to."""
    strike = await session.get(Strike, event.subject_id) if event.subject_id else None
    if strike is None:
        return
    if event.kind == "generation:strike:review":
        outcome = "takes it back: it counts for nothing" if strike.state is StrikeState.DISMISSED else "stays with it"
        await tell(session, strike.person_id, "safety-reviewed", event=event.id, outcome=outcome, **names_of(repo))
        return
    cause = digest_of([strike.repo_id, strike.struck_at.date().isoformat(), strike.kind.value, sorted(strike.fired)])
    fired = ", ".join(strike.fired[:5]) or strike.kind.value
    facts = {"fired": fired, "reason": strike.reason[:300]}
    await tell(session, strike.person_id, "safety-stopped", event=cause, **facts, **names_of(repo))


async def _tell_followers(session: AsyncSession, event: LedgerEvent, repo: Repo, judge: Judge) -> None:
    """Whoever follows the repository, of a release whose files they may list."""
    commit = str(event.body.get("commit", ""))
    query = sa.select(Person).where(
        col(Person.id).in_(following.followers(repo, following.WHOLE)), ~col(Person.is_disabled)
    )
    for person in await session.scalars(query.order_by(col(Person.id)).limit(_MOST_TOLD)):
        by = await principals.for_person(session, person)
        question = Question(by, repo, Domain.REPO.value, "repo.content", commit)
        if person.id != event.actor_id and await judge(session, question):
            await tell(session, person.id, "release-new", event=event.id, commit=commit[:12], **names_of(repo))


async def _tell_approvers(session: AsyncSession, event: LedgerEvent, repo: Repo) -> None:
    """Whose approval of a promotion counts no more, because a criterion was waived after it: maintainers still."""
    actor = await session.get(Person, event.actor_id) if event.actor_id else None
    facts = names_of(repo) | {
        "person": actor.name if actor is not None else "The operator",
        "commit": str(event.body["commit"])[:12],
    }
    for person_id in await releases.maintainers(session, repo) & set(event.body.get("lapsed", ())):
        if person_id != event.actor_id:
            await tell(session, person_id, "approval-lapsed", event=event.id, **facts)
