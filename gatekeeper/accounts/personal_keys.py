"""The key under which a person's words are stored; destroying it makes them unreadable wherever they lie."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime
from gatekeeper.kit.personal import PersonKey, box_of


class PersonalKey(SQLModel, table=True):
    """A person's key, sealed with the server's. `kit.personal` reads this table along with what it opens."""

    __tablename__ = "personal_key"

    id: str = Field(primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", unique=True, max_length=26)
    sealed: str = Field(max_length=200)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


async def key_of(session: AsyncSession, person_id: str) -> PersonKey:
    """The key for what this person writes, and for what is written about them; made when it is first needed."""
    server = box_of(session.get_bind().dialect)
    query = sa.select(PersonalKey).where(col(PersonalKey.person_id) == person_id)
    found = await session.scalar(query)
    if found is None:
        key, sealed = PersonKey.make(server)
        try:
            async with session.begin_nested():
                session.add(PersonalKey(id=key.id, person_id=person_id, sealed=sealed))
            return key
        except sa.exc.IntegrityError:  # another transaction made one in between
            found = (await session.scalars(query)).one()
    return PersonKey.opened(found.id, found.sealed, server)
