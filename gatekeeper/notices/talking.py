"""Whom discussions and pull requests concern: who maintains the repository, follows, takes part or is mentioned."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import releases
from gatekeeper.accounts import principals
from gatekeeper.accounts.tables import Person
from gatekeeper.community import Discussion, DiscussionEvent, discussions, pulls
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import following
from gatekeeper.notices.courier import Judge, Question
from gatekeeper.notices.events import Domain
from gatekeeper.notices.holding import names_of
from gatekeeper.notices.telling import tell
from gatekeeper.repos.tables import Repo

_MOST_TOLD = 200
_COMMENT, _MENTION, _STATUS = "community:comment:write", "community:person:mention", "community:discussion:status"
_OPENED = ("community:discussion:open", "community:pull:open")
# A push has an event for each of its commits as well, which name the way they came.
_ADDED = ("repos:branch:commit", "repos:branch:push")
_DID = {"merged": "merged", "closed": "closed", "open": "opened again"}
_FOLLOWS, _TAKES_PART = "you follow this discussion", "you take part in this discussion"
_MAINTAINS, _FOLLOWS_ALL = "you maintain it", "you follow this repository"


def num_of(event: LedgerEvent) -> str:
    """The number of the discussion in which something happened that people are told of; empty for other events."""
    if event.kind in (_COMMENT, _MENTION, _STATUS, *_OPENED):
        return str(event.body["num"])
    is_added = event.kind in _ADDED and "way" not in event.body
    ref = str(event.body.get("ref", "")) if is_added else ""
    return ref.removeprefix(pulls.PREFIX) if ref.startswith(pulls.PREFIX) else ""


async def tell_of_talk(session: AsyncSession, event: LedgerEvent, repo: Repo, judge: Judge) -> None:
    """Leave notices for those whom it concerns and who may read the discussion; each hears of one event once.

    Who maintains the repository hears of what is opened, and of what follows where they take part or follow.
    """
    found = await discussions.find(session, repo, num_of(event))
    if found is None:
        return
    what = "pull request" if found.is_pull_request else "discussion"
    listeners = {
        _FOLLOWS: following.followers(repo, found.num),
        _TAKES_PART: _participants(found, event),
        _FOLLOWS_ALL: following.followers(repo, following.WHOLE),
    }
    match event.kind:
        case "community:person:mention":
            await following.begin(session, repo, found.num, event.subject_id or "")
            only_them = sa.select(col(Person.id)).where(col(Person.id) == event.subject_id)
            await _tell(session, event, repo, judge, found, "mentioned", {"your name was written": only_them})
        case "community:comment:write":
            if await _opens(session, event, found):
                del listeners[_FOLLOWS_ALL]  # who hear that it was opened
            await _tell(session, event, repo, judge, found, "discussion-reply", listeners)
        case "community:discussion:status":
            is_ready = (event.body["before"], event.body["after"]) == ("draft", "open")
            did = f"{'finished the draft of' if is_ready else _DID[event.body['after']]} {what}"
            await _tell(session, event, repo, judge, found, "discussion-changed", listeners, did=did)
        case "repos:branch:commit" | "repos:branch:push":
            del listeners[_FOLLOWS_ALL]  # a new pull request comes with a commit
            did = f"added to {what}"
            await _tell(session, event, repo, judge, found, "discussion-changed", listeners, did=did)
        case _:
            maintainers = await releases.maintainers(session, repo)
            mine = sa.select(col(Person.id)).where(col(Person.id).in_(maintainers))
            mine = mine.where(col(Person.id).not_in(following.followers(repo, following.WHOLE, is_on=False)))
            listeners = {_FOLLOWS_ALL: listeners[_FOLLOWS_ALL], _MAINTAINS: mine}
            await _tell(session, event, repo, judge, found, "discussion-opened", listeners, what=what)


def _participants(found: Discussion, event: LedgerEvent) -> sa.CompoundSelect[Any]:
    """Whoever opened it or did anything in it until then."""
    did = sa.select(col(DiscussionEvent.author_id)).where(
        col(DiscussionEvent.discussion_id) == found.id, col(DiscussionEvent.created_at) <= event.occurred_at
    )
    return sa.union(sa.select(col(Discussion.author_id)).where(col(Discussion.id) == found.id), did)


async def _opens(session: AsyncSession, event: LedgerEvent, found: Discussion) -> bool:
    """Whether a comment is what its author opened the discussion with."""
    written = await session.get(DiscussionEvent, event.subject_id)
    return written is not None and written.position == 1 and written.author_id == found.author_id


async def _tell(
    session: AsyncSession,
    event: LedgerEvent,
    repo: Repo,
    judge: Judge,
    found: Discussion,
    kind: str,
    listeners: dict[str, Any],
    **facts: str,
) -> None:
    """Tell them, each for the first reason that holds for them; nobody who wants to hear no more of the discussion."""
    author = await session.get(Person, event.actor_id) if event.actor_id else None
    facts |= names_of(repo) | {"person": author.name if author is not None else "Somebody", "num": str(found.num)}
    told = {event.actor_id} - {None}
    for why, who in listeners.items():
        query = sa.select(Person).where(col(Person.id).in_(who), col(Person.id).not_in(told), ~col(Person.is_disabled))
        if kind != "mentioned":
            query = query.where(col(Person.id).not_in(following.followers(repo, found.num, is_on=False)))
        for person in await session.scalars(query.order_by(col(Person.id)).limit(_MOST_TOLD)):
            told.add(person.id)
            by = await principals.for_person(session, person)
            if await judge(session, Question(by, repo, Domain.DISCUSSION.value, "discussion", None)):
                await tell(session, person.id, kind, event=event.id, why=why, **facts)
