"""Writing events into a discussion: their place, the rules for texts, the pace, and who is mentioned."""

import re
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Person
from gatekeeper.accounts.principal import Principal
from gatekeeper.community.tables import CommentText, Discussion, DiscussionEvent, EventKind
from gatekeeper.errors import Invalid, TooLarge, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

MIN_TITLE_CHARS, MAX_TITLE_CHARS = 3, 200
MAX_COMMENT_CHARS = 50_000
MAX_EVENTS_AN_HOUR = 300
_MOST_MENTIONS = 20

# A name as accounts allow it, not inside a word or an address; what is code or a link is left to the reader of the log.
MENTION = re.compile(r"(?<![\w@/.`-])@([A-Za-z0-9][A-Za-z0-9._-]{0,38}[A-Za-z0-9]|[A-Za-z0-9])(?![\w-])", re.ASCII)


async def event(
    s: AsyncSession, discussion: Discussion, kind: EventKind, *, by: Principal, data: dict[str, Any] | None = None
) -> DiscussionEvent:
    """Append an event to a discussion."""
    # The discussion's row is locked, so that two at once do not take the same place.
    await s.execute(sa.select(col(Discussion.id)).where(col(Discussion.id) == discussion.id).with_for_update())
    mine = col(DiscussionEvent.discussion_id) == discussion.id
    last = await s.scalar(sa.select(sa.func.max(col(DiscussionEvent.position))).where(mine))
    made = DiscussionEvent(
        discussion_id=discussion.id, position=(last or 0) + 1, kind=kind, author_id=by.person_id, data=data or {}
    )
    s.add(made)
    await s.flush()  # a comment's text refers to it
    return made


async def comment(s: AsyncSession, repo: Repo, discussion: Discussion, text: str, *, by: Principal) -> DiscussionEvent:
    """Append a comment. Raises Invalid, TooLarge, TooMany."""
    text = checked_text(text)
    await check_pace(s, by)
    made = await event(s, discussion, EventKind.COMMENT, by=by)
    s.add(CommentText(event_id=made.id, version=1, text=text, author_id=by.person_id))
    await record(s, "community:comment:write", repo, made.id, by=by, body={"num": discussion.num})
    await _record_mentions(s, repo, discussion, made, text, before="", by=by)
    return made


async def reword(
    s: AsyncSession, repo: Repo, discussion: Discussion, made: DiscussionEvent, text: str, *, by: Principal
) -> None:
    """Give a comment another text; the versions before it are kept."""
    text = checked_text(text)
    await check_pace(s, by)
    query = sa.select(CommentText).where(col(CommentText.event_id) == made.id).order_by(col(CommentText.version).desc())
    latest = (await s.scalars(query.limit(1))).one()
    if latest.text == text:
        return
    s.add(CommentText(event_id=made.id, version=latest.version + 1, text=text, author_id=by.person_id))
    body = {"num": discussion.num, "version": latest.version + 1}
    await record(s, "community:comment:edit", repo, made.id, by=by, body=body)
    await _record_mentions(s, repo, discussion, made, text, before=latest.text, by=by)


async def record(
    s: AsyncSession, kind: str, repo: Repo, subject: str, *, by: Principal, body: dict[str, Any] | None = None
) -> None:
    """Evidence of an act. What was written stays out of it, so that it can be taken back."""
    await ledger.record(s, kind, actor=by.person_id, token=by.token_id, repo=repo.id, subject=subject, body=body)


def checked_title(title: str) -> str:
    """The title on one line. Raises Invalid."""
    line = " ".join(title.split())
    if not MIN_TITLE_CHARS <= len(line) <= MAX_TITLE_CHARS:
        raise Invalid(
            f"A title has {MIN_TITLE_CHARS} to {MAX_TITLE_CHARS} characters.",
            status=422,
            next_step="Say in a few words what it is about.",
            details={"field": "title"},
        )
    if not line.isprintable():
        raise Invalid("The title holds characters that cannot be shown.", status=422, next_step="Remove them.")
    return line


def checked_text(text: str) -> str:
    """A comment's text, trimmed. Raises Invalid, TooLarge."""
    trimmed = text.replace("\r\n", "\n").strip()
    if not trimmed:
        raise Invalid("The comment is empty.", status=422, next_step="Write something.", details={"field": "comment"})
    if len(trimmed) > MAX_COMMENT_CHARS:
        raise TooLarge(
            f"The comment has {len(trimmed):,} characters; at most {MAX_COMMENT_CHARS:,} are kept.",
            next_step="Shorten it.",
            details={"field": "comment"},
        )
    if "\0" in trimmed or any("\ud800" <= letter <= "\udfff" for letter in trimmed):
        raise Invalid("The comment holds characters that are no text.", status=422, next_step="Remove them.")
    return trimmed


async def check_pace(s: AsyncSession, by: Principal) -> None:
    """Raise TooMany for a person who wrote too much within the last hour."""
    since = now() - timedelta(hours=1)
    query = (
        sa.select(sa.func.count())
        .select_from(DiscussionEvent)
        .where(col(DiscussionEvent.author_id) == by.person_id, col(DiscussionEvent.created_at) > since)
    )
    if (await s.scalar(query) or 0) >= MAX_EVENTS_AN_HOUR:
        raise TooMany(
            f"You have written more than {MAX_EVENTS_AN_HOUR} times within an hour.",
            next_step="Go on later.",
            details={"retry_after_seconds": 600},
        )


async def _record_mentions(
    s: AsyncSession, repo: Repo, discussion: Discussion, made: DiscussionEvent, text: str, *, before: str, by: Principal
) -> None:
    """One event for each person who is newly mentioned: what a notice can be made of."""
    names = dict.fromkeys(name.lower() for name in MENTION.findall(text))
    for name in MENTION.findall(before):
        names.pop(name.lower(), None)
    keys = list(names)[:_MOST_MENTIONS]
    if not keys:
        return
    query = sa.select(col(Person.id)).where(col(Person.name_key).in_(keys), ~col(Person.is_disabled))
    for person_id in sorted(await s.scalars(query)):
        body = {"num": discussion.num, "comment": made.id}
        await record(s, "community:person:mention", repo, person_id, by=by, body=body)
