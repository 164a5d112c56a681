"""What the one decision says about a world: the measure that every door is held against."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Code, Decision, Denied
from gatekeeper.authz.actions import REPOSITORY
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, history
from tests.agreement.hub import Hub
from tests.agreement.world import World

_DELETED = Denied(Code.NOT_AT_THIS_STAGE, (), "", "", hides=True)


@dataclass(frozen=True)
class Truth:
    """What `decide` says now about the repository (None) and about each of its commits; nothing once it is deleted.

    main   the commit that the name means for this principal
    texts  digests of the texts that are asked to be accepted by whom the repository's name alone is given
    """

    principal: Principal
    decisions: dict[str | None, dict[Action, Decision]]
    main: str
    texts: frozenset[str] = frozenset()

    def at(self, commit: str | None) -> dict[Action, Decision]:
        """The decisions about one commit."""
        return self.decisions.get(commit) or dict.fromkeys(REPOSITORY, _DELETED)


async def truth_of(hub: Hub, session: AsyncSession, made: World) -> Truth | None:
    """What `decide` says now about the world, for who its credential stands for; None when that is nobody any more."""
    gatekeeper, instant = hub.gatekeeper, now()
    principal = await made.principal(session, gatekeeper)
    repo = await catalogue.by_id(session, made.repo_id)
    if principal is None:
        return None
    if repo is None:
        return Truth(principal, {}, made.commits[-1])
    loaded = {commit: await authz.load(session, principal, repo, commit=commit) for commit in (None, *made.commits)}
    decisions = {
        commit: {
            action: authz.decide(gatekeeper.policies, principal, action, resource, instant) for action in REPOSITORY
        }
        for commit, resource in loaded.items()
    }
    main = await history.resolve_revision(session, repo, "main")
    known = decisions[None][Action.KNOW]
    if repo.is_staged and known and known.revision and known.revision.commit and not decisions[None][Action.WRITE]:
        main = known.revision.commit
    before = known.revision.commit if known and known.revision and known.revision.commit else main
    at = loaded.get(before) or await authz.load(session, principal, repo, commit=before)
    texts = frozenset(text.sha256 for text in at.revision.texts) if at.revision else frozenset()
    return Truth(principal, decisions, main, texts)
