"""What people do in a discussion: comment, edit, hide, rename, close and open again.

Everybody who may take part comments. A comment is edited by who wrote it; it is hidden, and a discussion is renamed or
closed, by who wrote it and by moderators, those who may change the repository (`moderates`).
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.community import discarding, writing
from gatekeeper.community.discussions import require
from gatekeeper.community.moderation import require_voice
from gatekeeper.community.tables import Discussion, DiscussionEvent, EventKind, Status
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo


async def comment(
    s: AsyncSession, repo: Repo, discussion: Discussion, text: str, *, by: Principal, moderates: bool = False
) -> DiscussionEvent:
    """Comment on a discussion, open or not. Raises NotAllowed where it is locked, Invalid, TooLarge, TooMany."""
    require_voice(discussion, moderates=moderates)
    return await writing.comment(s, repo, discussion, text, by=by)


async def edit(
    s: AsyncSession,
    repo: Repo,
    discussion: Discussion,
    comment_id: str,
    text: str,
    *,
    by: Principal,
    moderates: bool = False,
) -> DiscussionEvent:
    """Reword one's own comment. Raises NotFound, NotAllowed, Conflict for one that is hidden, Invalid, TooLarge."""
    found = await _comment(s, discussion, comment_id)
    require_voice(discussion, moderates=moderates)
    if found.author_id is None or found.author_id != by.person_id:
        raise NotAllowed("Only who wrote a comment can edit it.", next_step="Write a comment of your own.")
    if found.hidden_at is not None:
        raise Conflict("This comment is hidden and stays as it is.", next_step="Write a new one.")
    await writing.reword(s, repo, discussion, found, text, by=by)
    return found


async def hide(
    s: AsyncSession, repo: Repo, discussion: Discussion, comment_id: str, *, by: Principal, moderates: bool
) -> DiscussionEvent:
    """Hide a comment for good: that it was there stays, what it said is shown to moderators alone.

    Raises NotFound, NotAllowed, Conflict.
    """
    found = await _comment(s, discussion, comment_id)
    _require_part(found.author_id, by, moderates=moderates, what="hide this comment")
    if found.hidden_at is not None:
        raise Conflict("This comment is hidden already.", next_step="Nothing is left to do.")
    found.hidden_at = now()
    s.add(found)
    await writing.record(s, "community:comment:hide", repo, found.id, by=by, body={"num": discussion.num})
    return found


async def rename(
    s: AsyncSession, repo: Repo, discussion: Discussion, title: str, *, by: Principal, moderates: bool
) -> DiscussionEvent:
    """Give a discussion another title. Raises NotAllowed, Invalid, Conflict where it has that title."""
    _require_part(discussion.author_id, by, moderates=moderates, what="rename this discussion")
    require_voice(discussion, moderates=moderates)
    title = writing.checked_title(title)
    if title == discussion.title:
        raise Conflict("The discussion has that title already.", next_step="Choose another one.")
    await writing.check_pace(s, by)
    data = {"from": discussion.title, "to": title}
    made = await writing.event(s, discussion, EventKind.TITLE, by=by, data=data)
    discussion.title = title
    s.add(discussion)
    await writing.record(s, "community:discussion:rename", repo, discussion.id, by=by, body={"num": discussion.num})
    return made


async def set_status(
    s: AsyncSession, repo: Repo, num: str | int, status: str, *, by: Principal, moderates: bool, text: str = ""
) -> DiscussionEvent:
    """Close a discussion, or open it (a draft too), with a comment if there is one to make.

    Raises NotAllowed, Invalid, and Conflict where it stands so already or was merged.
    """
    discussion = await require(s, repo, num)
    if status not in (Status.OPEN, Status.CLOSED):
        raise Invalid("A discussion can be made `open` or `closed`.", status=422, next_step="Send one of these.")
    _require_part(discussion.author_id, by, moderates=moderates, what=f"make this discussion {status}")
    require_voice(discussion, moderates=moderates)
    if discussion.status is Status.MERGED:
        raise Conflict("This pull request was merged; that is final.", next_step="Open a new one.")
    if discussion.status == status:
        raise Conflict(f"The discussion is {status} already.", next_step="Nothing is left to do.")
    if text.strip():
        await writing.comment(s, repo, discussion, text, by=by)
    await writing.check_pace(s, by)
    return await change_status(s, repo, discussion, Status(status), by=by)


async def change_status(
    s: AsyncSession, repo: Repo, discussion: Discussion, status: Status, *, by: Principal
) -> DiscussionEvent:
    """Move a discussion to `status` and say so in it."""
    before, discussion.status = discussion.status, status
    s.add(discussion)
    was_draft = {"from": before.value} if before is Status.DRAFT else {}
    made = await writing.event(s, discussion, EventKind.STATUS, by=by, data={"status": status.value, **was_draft})
    if status is Status.CLOSED and discussion.is_pull_request:
        await discarding.promise(s, discussion)
    body = {"num": discussion.num, "before": before.value, "after": status.value}
    await writing.record(s, "community:discussion:status", repo, discussion.id, by=by, body=body)
    return made


async def _comment(s: AsyncSession, discussion: Discussion, comment_id: str) -> DiscussionEvent:
    query = sa.select(DiscussionEvent).where(
        col(DiscussionEvent.discussion_id) == discussion.id,
        col(DiscussionEvent.id) == comment_id[:40].lower(),
        col(DiscussionEvent.kind) == EventKind.COMMENT,
    )
    found = (await s.scalars(query)).first()
    if found is None:
        raise NotFound("There is no such comment in this discussion.", next_step="Load the discussion again.")
    return found


def _require_part(author_id: str | None, by: Principal, *, moderates: bool, what: str) -> None:
    if moderates or (author_id is not None and author_id == by.person_id):
        return
    raise NotAllowed(
        f"Only who wrote it and the repository's owners can {what}.", next_step="Ask one of them in a comment."
    )
