"""What anybody may know, signed in or not."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import ANONYMOUS
from gatekeeper.authz.actions import Action
from gatekeeper.authz.decide import decide
from gatekeeper.authz.facts import load
from gatekeeper.authz.policies import Policies
from gatekeeper.kit.clock import now
from gatekeeper.provenance import IsPublic
from gatekeeper.repos.tables import Repo


def is_public_by(policies: Callable[[], Policies]) -> IsPublic:
    """Answers whether a repository may be known to anybody at a commit, by the policies in force when it is asked."""

    async def is_public(session: AsyncSession, repo: Repo, commit: str) -> bool:
        if repo.deleted_at is not None:
            return False
        instant = now()
        resource = await load(session, ANONYMOUS, repo, commit=commit, instant=instant)
        return bool(decide(policies(), ANONYMOUS, Action.KNOW, resource, instant))

    return is_public
