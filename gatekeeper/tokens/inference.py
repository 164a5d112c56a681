"""Tokens that only make images, with some models, for minutes: for a page or program that should hold no more."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Person, Principal, Reach
from gatekeeper.errors import Invalid, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.tokens.issue import make
from gatekeeper.tokens.scopes import Scope
from gatekeeper.tokens.tables import AccessToken, TokenKind

MOST_MINUTES = 60
MOST_MODELS = 20


async def is_for_inference(session: AsyncSession, token_id: str) -> bool:
    """Whether this token only makes images, and so may fetch its person's orders with its models and nothing else."""
    token = await session.get(AccessToken, token_id)
    return token is not None and token.kind is TokenKind.INFERENCE


async def issue_for_inference(
    session: AsyncSession, repo_ids: frozenset[str], *, minutes: int, key: bytes, by: Principal
) -> tuple[AccessToken, str]:
    """A token of `by` with the scope generate and nothing else. That they may generate with each is decided before.

    Made with a token, it ends with that one, and opens nothing that that one does not. Raises Invalid for numbers out
    of bounds, NotAllowed for nobody and for a token of this kind.
    """
    person = await session.get(Person, by.person_id) if by.person_id else None
    parent = await session.get(AccessToken, by.token_id) if by.token_id else None
    if person is None or (parent is not None and parent.kind is TokenKind.INFERENCE):
        raise NotAllowed("This token makes images and no tokens.", next_step="Ask with the token it was made with.")
    if not 1 <= minutes <= MOST_MINUTES or not 1 <= len(repo_ids) <= MOST_MODELS:
        raise Invalid(
            f"Such a token lasts 1 to {MOST_MINUTES} minutes and names 1 to {MOST_MODELS} models.",
            status=422,
            next_step="Ask again when it has ended.",
        )
    at = now()
    ends = min(filter(None, (at + timedelta(minutes=minutes), by.valid_until)))
    token, secret = await make(
        session,
        person,
        TokenKind.INFERENCE,
        label=f"images {new_id()}",
        role="read",
        chosen=frozenset({Scope.GENERATE}),
        reach=Reach(repositories=repo_ids),
        expires_at=ends,
        max_days=1,
        key=key,
        by=by,
    )
    token.parent_id = by.token_id
    session.add(token)
    await session.flush()
    return token, secret
