"""Whether an order's images may still be given out: what was asked when it was taken in, asked again."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, tokens
from gatekeeper.authz import Action, Denied
from gatekeeper.errors import GatekeeperError
from gatekeeper.generation import Generation, Recheck, Right
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue
from gatekeeper.repos.lru import Lru
from gatekeeper.web.state import Gatekeeper

_MOST = 4096


def still_allowed(gatekeeper: Gatekeeper) -> Recheck:
    """A hold or a revocation meanwhile binds the order too, as does the end of the token it was made with.

    It is asked while an order is made and at its end. A permission stands from the one to the other only under the
    access version of before its facts were read, under the same policies, and until time alone could end it.
    """
    allowed: Lru[str, tuple[int, str, datetime | None, Right]] = Lru(_MOST)
    is_public = authz.is_public_by(lambda: gatekeeper.policies)

    async def recheck(session: AsyncSession, made: Generation) -> Right:
        version, policies, instant = gatekeeper.version.current(), gatekeeper.policies, now()
        if version is not None and (known := allowed.get(made.id)) is not None:
            *under, until, right = known
            if under == [version, policies.sha256] and (until is None or instant < until):
                return right
        try:
            principal = await tokens.resume(session, made.person_id, made.token_id)
            repo = await catalogue.by_id(session, made.repo_id)
            if repo is None:
                return Right("The repository was deleted while this was being made.")
            resource = await authz.load(session, principal, repo, commit=made.commit_id)
        except GatekeeperError as error:
            return Right(error.sentence)
        decision = authz.decide(policies, principal, Action.GENERATE, resource, instant)
        if isinstance(decision, Denied):
            return Right(f"{decision.reason} {decision.next_step}")
        right = Right(model=repo.full_name if await is_public(session, repo, made.commit_id) else None)
        if version is not None:
            ends = [end for end in (decision.valid_until, principal.valid_until) if end is not None]
            allowed.put(made.id, (version, policies.sha256, min(ends, default=None), right))
        return right

    return recheck
