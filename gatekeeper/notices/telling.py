"""Telling people: one verb for all who have something to say, and what a person does with what they were told."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, jobs
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import Page, page_of
from gatekeeper.notices.kinds import KINDS
from gatekeeper.notices.tables import Notice, NoticePreference
from gatekeeper.notices.wording import say
from gatekeeper.repos.rows import insert_missing

NOTICE_MAIL = "notices:notice-mail"


async def tell(session: AsyncSession, person_id: str, kind: str, *, event: str, **facts: Any) -> bool:
    """Leave a notice for a person, and promise a mail if they want one of this kind. False if they were told already.

    event  what it is about: the same person is told of it once
    facts  what the words of this kind need: names and ids, nothing that the person may not know
    """
    say(kind, facts)  # a missing fact fails here, in the act, and not when somebody reads
    notice = Notice(person_id=person_id, kind=kind, event_key=event[:80], facts=facts)
    if not await insert_missing(session, Notice, [notice.model_dump()]):
        return False
    if (await mail_preferences(session, person_id))[kind]:
        await jobs.enqueue(session, NOTICE_MAIL, {"notice": notice.id})
    return True


async def unread(session: AsyncSession, person_id: str) -> int:
    """How many notices a person has not read."""
    query = sa.select(sa.func.count()).where(col(Notice.person_id) == person_id, col(Notice.read_at).is_(None))
    return int(await session.scalar(query) or 0)


async def listing(session: AsyncSession, person_id: str, *, after: str | None = None, limit: int = 30) -> Page[Notice]:
    """A person's notices, newest first."""
    query = sa.select(Notice).where(col(Notice.person_id) == person_id)
    if after is not None:
        query = query.where(col(Notice.id) < after)
    rows = list(await session.scalars(query.order_by(col(Notice.id).desc()).limit(limit + 1)))
    return page_of(rows, limit=limit, key=lambda notice: notice.id)


async def own(session: AsyncSession, person_id: str, notice_id: str) -> Notice:
    """A notice of this person. Raises NotFound, for somebody else's too."""
    found = await session.get(Notice, notice_id)
    if found is None or found.person_id != person_id:
        raise errors.NotFound("There is no such notice.", next_step="Your notices are at /notices.")
    return found


async def mark_read(session: AsyncSession, person_id: str, notice_id: str | None = None) -> None:
    """Mark one notice of this person, or all of them, as read."""
    query = sa.update(Notice).where(col(Notice.person_id) == person_id, col(Notice.read_at).is_(None))
    if notice_id is not None:
        query = query.where(col(Notice.id) == notice_id)
    await session.execute(query.values(read_at=now()))


async def mail_preferences(session: AsyncSession, person_id: str) -> dict[str, bool]:
    """Of which kinds the person wants mail."""
    rows = await session.execute(
        sa.select(col(NoticePreference.kind), col(NoticePreference.by_mail)).where(
            col(NoticePreference.person_id) == person_id
        )
    )
    chosen = {kind: by_mail for kind, by_mail in rows if kind in KINDS and KINDS[kind].is_optional}
    return dict.fromkeys(KINDS, True) | chosen


async def prefer_mail(session: AsyncSession, person_id: str, kinds: set[str]) -> None:
    """The person wants mail of exactly these kinds."""
    await session.execute(sa.delete(NoticePreference).where(col(NoticePreference.person_id) == person_id))
    session.add_all(
        [NoticePreference(person_id=person_id, kind=kind, by_mail=False) for kind in KINDS if kind not in kinds]
    )
