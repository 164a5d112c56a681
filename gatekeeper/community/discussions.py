"""Opening discussions, finding them, and reading what happened in one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Person, people
from gatekeeper.accounts.principal import Principal
from gatekeeper.community import writing
from gatekeeper.community.tables import PULL_REFS, CommentText, Discussion, DiscussionEvent, EventKind, Status
from gatekeeper.errors import NotFound
from gatekeeper.repos.tables import GitRef, Repo

PAGE = 20
_OPEN = (Status.OPEN, Status.DRAFT)
_CLOSED = (Status.CLOSED, Status.MERGED)
_LONGEST_NUMBER = 9


@dataclass(frozen=True, slots=True)
class Filter:
    """Which discussions are listed. `author` is a person's name."""

    kind: Literal["all", "discussion", "pull_request"] = "all"
    status: Literal["all", "open", "closed"] = "all"
    author: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its comment's versions, oldest first, where it is one."""

    event: DiscussionEvent
    versions: tuple[CommentText, ...] = ()


@dataclass(frozen=True, slots=True)
class Thread:
    """A discussion with what happened in it, in order, and the names of its people by id."""

    discussion: Discussion
    entries: tuple[Entry, ...]
    names: dict[str, str]

    def name_of(self, person_id: str | None) -> str | None:
        """A person's name, None for one who was deleted."""
        return self.names.get(person_id or "")


async def open_discussion(s: AsyncSession, repo: Repo, *, title: str, text: str, by: Principal) -> Discussion:
    """Open a discussion with its first comment. Raises Invalid, TooLarge, TooMany."""
    made = await number(s, repo, title=title, by=by)
    await writing.comment(s, repo, made, text, by=by)
    await _opened(s, repo, made, by=by)
    return made


async def number(s: AsyncSession, repo: Repo, *, title: str, by: Principal, **values: Any) -> Discussion:
    """A new row with the repository's next number; `values` are further columns."""
    await writing.check_pace(s, by)
    title = writing.checked_title(title)
    # The repository's row is locked, so that two at once do not take the same number.
    await s.execute(sa.select(col(Repo.id)).where(col(Repo.id) == repo.id).with_for_update())
    last = await s.scalar(sa.select(sa.func.max(col(Discussion.num))).where(col(Discussion.repo_id) == repo.id)) or 0
    made = Discussion(
        repo_id=repo.id, num=max(last, await _last_brought(s, repo)) + 1, title=title, author_id=by.person_id, **values
    )
    s.add(made)
    await s.flush()  # its events refer to it
    return made


async def find(s: AsyncSession, repo: Repo, num: str | int) -> Discussion | None:
    """The discussion of that number, or None."""
    text = str(num)
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        return None
    query = sa.select(Discussion).where(col(Discussion.repo_id) == repo.id, col(Discussion.num) == int(text))
    return (await s.scalars(query)).first()


async def require(s: AsyncSession, repo: Repo, num: str | int) -> Discussion:
    """The discussion of that number. Raises NotFound."""
    found = await find(s, repo, num)
    if found is None:
        raise NotFound("There is no discussion of that number.", next_step="Look at the repository's list.")
    return found


async def listing(
    s: AsyncSession, repo: Repo, wanted: Filter, *, start: int = 0, limit: int = PAGE
) -> tuple[Sequence[Discussion], int]:
    """`limit` discussions after the first `start`, pinned ones and then newest first, and how many there are in all."""
    conditions = [col(Discussion.repo_id) == repo.id]
    if wanted.kind != "all":
        conditions.append(col(Discussion.is_pull_request).is_(wanted.kind == "pull_request"))
    if wanted.status != "all":
        conditions.append(col(Discussion.status).in_(_OPEN if wanted.status == "open" else _CLOSED))
    if wanted.author:
        author = await people.find(s, wanted.author)
        if author is None:
            return [], 0
        conditions.append(col(Discussion.author_id) == author.id)
    count = await s.scalar(sa.select(sa.func.count()).select_from(Discussion).where(*conditions)) or 0
    order = (col(Discussion.pinned_at).is_(None), col(Discussion.num).desc())
    query = sa.select(Discussion).where(*conditions).order_by(*order).limit(limit).offset(start)
    return (await s.scalars(query)).all(), count


async def thread(s: AsyncSession, discussion: Discussion) -> Thread:
    """Everything that happened in a discussion."""
    mine = col(DiscussionEvent.discussion_id) == discussion.id
    events = (await s.scalars(sa.select(DiscussionEvent).where(mine).order_by(col(DiscussionEvent.position)))).all()
    texts = await s.scalars(
        sa.select(CommentText)
        .join(DiscussionEvent, col(DiscussionEvent.id) == col(CommentText.event_id))
        .where(mine)
        .order_by(col(CommentText.event_id), col(CommentText.version))
    )
    versions: dict[str, list[CommentText]] = {}
    for text in texts:
        versions.setdefault(text.event_id, []).append(text)
    entries = tuple(Entry(event, tuple(versions.get(event.id, ()))) for event in events)
    ids = [discussion.author_id, *(event.author_id for event in events)]
    ids += [text.author_id for some in versions.values() for text in some]
    return Thread(discussion, entries, await names_of(s, ids))


async def names_of(s: AsyncSession, person_ids: Iterable[str | None]) -> dict[str, str]:
    """Names by person id."""
    wanted = sorted({person_id for person_id in person_ids if person_id})
    rows = await s.execute(sa.select(col(Person.id), col(Person.name)).where(col(Person.id).in_(wanted)))
    return {row.id: row.name for row in rows}


async def counts_by_repo(s: AsyncSession, author_id: str, *, limit: int) -> dict[str, int]:
    """How many discussions a person opened in each repository, for at most `limit` of these."""
    query = (
        sa.select(col(Discussion.repo_id), sa.func.count())
        .where(col(Discussion.author_id) == author_id)
        .group_by(col(Discussion.repo_id))
        .limit(limit)
    )
    return {repo_id: int(count) for repo_id, count in await s.execute(query)}


async def news_for(s: AsyncSession, person_id: str, *, limit: int) -> list[tuple[Discussion, datetime, Repo]]:
    """Discussions in which a person takes part, with when others last said something in them; the newest first."""
    own = sa.select(col(DiscussionEvent.discussion_id)).where(col(DiscussionEvent.author_id) == person_id)
    at = sa.func.max(col(DiscussionEvent.id)).label("last")
    last = (
        sa.select(col(DiscussionEvent.discussion_id), at)
        .where(
            col(DiscussionEvent.discussion_id).in_(own),
            col(DiscussionEvent.kind) == EventKind.COMMENT,
            col(DiscussionEvent.hidden_at).is_(None),
            col(DiscussionEvent.author_id).is_distinct_from(person_id),
        )
        .group_by(col(DiscussionEvent.discussion_id))
        .order_by(at.desc())
        .limit(limit)
        .subquery()
    )
    rows = await s.execute(
        sa.select(Discussion, col(DiscussionEvent.created_at), Repo)
        .join(last, last.c.discussion_id == col(Discussion.id))
        .join(DiscussionEvent, col(DiscussionEvent.id) == last.c.last)
        .join(Repo, col(Repo.id) == col(Discussion.repo_id))
        .order_by(col(DiscussionEvent.id).desc())
    )
    return [(found, instant, repo) for found, instant, repo in rows]


async def count_comments(s: AsyncSession, discussions: Sequence[Discussion]) -> dict[str, int]:
    """How many comments each discussion has, by its id."""
    query = (
        sa.select(col(DiscussionEvent.discussion_id), sa.func.count())
        .where(
            col(DiscussionEvent.discussion_id).in_([row.id for row in discussions]),
            col(DiscussionEvent.kind) == EventKind.COMMENT,
        )
        .group_by(col(DiscussionEvent.discussion_id))
    )
    return {discussion_id: int(count) for discussion_id, count in await s.execute(query)}


async def _last_brought(s: AsyncSession, repo: Repo) -> int:
    """The highest number of a pull request's reference: a mirror has some of the upstream's."""
    number = sa.cast(sa.func.substr(col(GitRef.name), len(PULL_REFS) + 1), sa.Integer)
    query = sa.select(sa.func.max(number)).where(
        col(GitRef.repo_id) == repo.id, col(GitRef.name).startswith(PULL_REFS, autoescape=True)
    )
    return await s.scalar(query) or 0


async def _opened(s: AsyncSession, repo: Repo, made: Discussion, *, by: Principal) -> None:
    await ledger.record(
        s,
        "community:discussion:open",
        actor=by.person_id,
        token=by.token_id,
        repo=repo.id,
        subject=made.id,
        body={"num": made.num},
    )
