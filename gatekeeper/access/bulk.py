"""Many decisions at once. Each is its own act with its own event; one that fails leaves the others alone."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.access.tables import AccessGrant, AccessRequest

MOST = 200

T = TypeVar("T", AccessRequest, AccessGrant)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of them; `problem` is "" where it was done."""

    id: str
    problem: str = ""


async def decide_many(
    session: AsyncSession, chosen: Sequence[T], decide: Callable[[T], Awaitable[object]]
) -> tuple[Outcome, ...]:
    """Carry `decide` out for each, keeping what works. Raises Invalid for more than MOST, or for none.

    decide  one of the verbs, which raises for one that it cannot be carried out on
    """
    if not chosen:
        raise errors.Invalid("Nothing was chosen.", next_step="Tick what you mean.")
    if len(chosen) > MOST:
        raise errors.Invalid(f"At most {MOST} are decided at once.", next_step="Choose fewer.")
    outcomes = []
    for one in {each.id: each for each in chosen}.values():
        try:
            async with session.begin_nested():
                await decide(one)
        except errors.GatekeeperError as problem:
            outcomes.append(Outcome(one.id, problem.sentence))
        else:
            outcomes.append(Outcome(one.id))
    return tuple(outcomes)
