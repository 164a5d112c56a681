"""What moderators do to a whole discussion: lock it, so that they alone write in it, and pin it above the others.

That `by` is a moderator was decided by the door.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.community import writing
from gatekeeper.community.tables import Discussion, DiscussionEvent, EventKind
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

MOST_PINNED = 3


async def lock(
    s: AsyncSession, repo: Repo, discussion: Discussion, is_locked: bool, *, by: Principal
) -> DiscussionEvent:
    """Lock or unlock a discussion. Raises Conflict where it stands so already."""
    if (discussion.locked_at is not None) is is_locked:
        raise Conflict(f"The discussion is {'' if is_locked else 'not '}locked.", next_step="Nothing is left to do.")
    discussion.locked_at = now() if is_locked else None
    return await _change(s, repo, discussion, EventKind.LOCK, {"locked": is_locked}, by=by)


async def pin(
    s: AsyncSession, repo: Repo, discussion: Discussion, is_pinned: bool, *, by: Principal
) -> DiscussionEvent:
    """Pin a discussion or let it go. Raises Conflict where it stands so already, or enough are pinned."""
    if (discussion.pinned_at is not None) is is_pinned:
        raise Conflict(f"The discussion is {'' if is_pinned else 'not '}pinned.", next_step="Nothing is left to do.")
    pinned = sa.select(sa.func.count()).where(
        col(Discussion.repo_id) == repo.id, col(Discussion.pinned_at).is_not(None)
    )
    if is_pinned and (await s.scalar(pinned) or 0) >= MOST_PINNED:
        raise Conflict(f"At most {MOST_PINNED} discussions are pinned.", next_step="Let one of them go first.")
    discussion.pinned_at = now() if is_pinned else None
    return await _change(s, repo, discussion, EventKind.PIN, {"pinned": is_pinned}, by=by)


def require_voice(discussion: Discussion, *, moderates: bool) -> None:
    """Raise NotAllowed where a discussion is locked, for all but moderators."""
    if discussion.locked_at is not None and not moderates:
        raise NotAllowed(
            "This discussion is locked: only the repository's owners write in it.", next_step="Open a new discussion."
        )


async def _change(
    s: AsyncSession, repo: Repo, discussion: Discussion, kind: EventKind, data: dict[str, bool], *, by: Principal
) -> DiscussionEvent:
    s.add(discussion)
    made = await writing.event(s, discussion, kind, by=by, data=data)
    name = "lock" if kind is EventKind.LOCK else "pin"
    body = {"num": discussion.num, **data}
    await writing.record(s, f"community:discussion:{name}", repo, discussion.id, by=by, body=body)
    return made
