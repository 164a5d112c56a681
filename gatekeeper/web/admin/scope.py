"""Which repositories a maintainer's pages are about: those on which the decision says they may act."""

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.guard import Call

_MOST = 500


async def maintained(call: Call, action: Action = Action.REVIEW) -> list[Repo]:
    """Repositories on which the caller may do `action`, by name.

    The query only narrows the candidates (one's own, one's organizations', all for an administrator); each is decided.
    """
    me = call.principal
    query = sa.select(Repo).where(col(Repo.key).is_not(None)).order_by(col(Repo.key)).limit(_MOST)
    if not me.is_admin:
        query = query.where(
            sa.or_(
                col(Repo.owner_person_id) == me.person_id,
                col(Repo.owner_organization_id).in_(list(me.organizations)),
            )
        )
    instant = now()
    found = []
    for repo in await call.session.scalars(query):
        resource = await authz.load(call.session, me, repo, instant=instant)
        if authz.decide(call.gatekeeper.policies, me, action, resource, instant):
            found.append(repo)
    return found


def runs_hub(call: Call) -> bool:
    """Whether the caller sees people and the ledger: decides which links are shown, nothing else."""
    hub = authz.Hub(call.principal.person_id)
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.ADMIN_PEOPLE, hub, now()))
