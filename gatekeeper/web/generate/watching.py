"""Whose an order is, and whether who watches it may still see what is made."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, generation, repos
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action
from gatekeeper.errors import GatekeeperError
from gatekeeper.generation import Generation
from gatekeeper.kit.clock import now
from gatekeeper.tokens.inference import is_for_inference
from gatekeeper.web.guard import Call
from gatekeeper.web.principal import authenticate


async def own_order(call: Call, session: AsyncSession, order_id: str) -> Generation:
    """The order: for the token that ordered it as long as it may generate there, else for one's account.

    So a token for one model may fetch what it ordered and sees no other order. One for inference alone may fetch every
    order of its person with its models, for an order may last longer than the token that made it.
    """
    policies, principal, instant = call.gatekeeper.policies, call.principal, now()
    made = await session.get(Generation, order_id)
    if made is not None and await _is_tokens(session, principal, made):
        repo = await repos.by_id(session, made.repo_id)
        if repo is not None:
            resource = await authz.load(session, principal, repo, commit=made.commit_id)
            if authz.decide(policies, principal, Action.GENERATE, resource, instant):
                return await generation.own(session, principal, made.id)
    authz.require_global(policies, principal, Action.USE_ACCOUNT, instant)
    return await generation.own(session, principal, order_id)


async def may_watch(call: Call, made: Generation) -> bool:
    """Whether the watcher, too, may still see what is made: their token or session may have ended since they began."""
    async with call.gatekeeper.db.read() as session:
        if await call.stands(session):
            return True
        try:
            call.principal = await authenticate(call.request, session, call.gatekeeper)
            await own_order(call, session, made.id)
        except GatekeeperError:
            return False
    return True


async def _is_tokens(session: AsyncSession, principal: Principal, made: Generation) -> bool:
    """Whether it was ordered by the caller's token, or by the same person and the token is for inference alone."""
    if principal.token_id is None or made.person_id != principal.person_id:
        return False
    return made.token_id == principal.token_id or await is_for_inference(session, principal.token_id)
