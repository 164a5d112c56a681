"""Ending everything that acts for a person: tokens made by hand, and what they let applications do."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Person, Principal
from gatekeeper.errors import NotAllowed
from gatekeeper.tokens.issue import end, list_for
from gatekeeper.tokens.oauth import grants


async def revoke_all(session: AsyncSession, person: Person, *, by: Principal) -> int:
    """End every live token and grant of `person`; returns how many. Raises NotAllowed unless they or an administrator
    ask, in person.
    """
    if by.token_id is not None or not (by.is_admin or by.person_id == person.id):
        raise NotAllowed("Tokens are revoked by their owner.", next_step="Sign in as the person they belong to.")
    live = await list_for(session, person.id)
    await end(session, live, by=by)
    connected = await grants.list_for(session, person.id)
    for grant in connected:
        await grants.end(session, grant, actor=by.person_id, why="asked")
    return len(live) + len(connected)
