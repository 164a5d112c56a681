"""What a model was made from, and what was made from it: both ways only as far as the caller may know."""

from gatekeeper import authz
from gatekeeper.kit.clock import now
from gatekeeper.repos import Card, Repo, RepoKind, cards, catalogue, catalogue_tags, history
from gatekeeper.web.guard import Call

_MOST_CHILDREN = 500
_MOST_PARENTS = 20


async def parents(call: Call, card: Card) -> list[tuple[str, bool]]:
    """The base models that a card names, and whether each is a model here that the caller may know."""
    instant = now()
    found = []
    for name in card.base_models[:_MOST_PARENTS]:
        repo = await catalogue.find(call.session, RepoKind.MODEL, name)
        is_known = False
        if repo is not None:
            resource = await authz.load(call.session, call.principal, repo, instant=instant)
            decision = authz.decide(call.gatekeeper.policies, call.principal, authz.Action.KNOW, resource, instant)
            is_known = bool(decision)
        found.append((name, is_known))
    return found


async def children(call: Call, repo: Repo) -> list[tuple[Repo, str]]:
    """Models whose card names this one as their base and which the caller may know, with what they are to it."""
    instant, policies = now(), call.gatekeeper.policies
    rows = await authz.visible(
        call.session,
        policies,
        call.principal,
        RepoKind.MODEL,
        instant=instant,
        where=[catalogue_tags.tagged(f"base_model:{repo.full_name}")],
        limit=_MOST_CHILDREN,
    )
    found = []
    for row in rows:
        resource = await authz.load(call.session, call.principal, row, instant=instant)
        known = authz.decide(policies, call.principal, authz.Action.KNOW, resource, instant)
        if not known or not authz.decide(policies, call.principal, authz.Action.READ_CARD, resource, instant):
            continue
        commit = known.revision.commit if known.revision and known.revision.commit else None
        head = commit or await history.resolve_revision(call.session, row, "main")
        card = await cards.card_of(call.session, row, head)
        if repo.full_name in card.base_models:
            found.append((row, card.base_relation))
    return found
