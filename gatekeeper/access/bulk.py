"""Many decisions at once. Each is its own act with its own event; one that fails leaves the others alone."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.access.tables import AccessRequest

MOST = 200

Decide = Callable[[AccessRequest], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of them; `problem` is "" where it was done."""

    request_id: str
    problem: str = ""


async def decide_many(session: AsyncSession, requests: Sequence[AccessRequest], decide: Decide) -> tuple[Outcome, ...]:
    """Carry `decide` out for each, keeping what works. Raises Invalid for more than MOST, or for none.

    decide  one of the verbs, which raises for a request that it cannot be carried out on
    """
    if not requests:
        raise errors.Invalid("No request was chosen.", next_step="Tick the requests that you mean.")
    if len(requests) > MOST:
        raise errors.Invalid(f"At most {MOST} requests are decided at once.", next_step="Choose fewer.")
    outcomes = []
    for request in {request.id: request for request in requests}.values():
        try:
            async with session.begin_nested():
                await decide(request)
        except errors.GatekeeperError as problem:
            outcomes.append(Outcome(request.id, problem.sentence))
        else:
            outcomes.append(Outcome(request.id))
    return tuple(outcomes)
