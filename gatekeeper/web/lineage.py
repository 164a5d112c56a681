"""What a model was made from, and what was made from it: both ways only as far as the caller may know."""

from collections.abc import Sequence

import sqlalchemy as sa

from gatekeeper import authz
from gatekeeper.kit.clock import now
from gatekeeper.repos import Card, Repo, RepoKind, cards, catalogue, catalogue_tags, history
from gatekeeper.web.guard import Call

MOST_CHILDREN = 100  # told of one model
_MOST_IN_A_LIST = 2_000  # derivatives looked at for all rows of a list
_MOST_PARENTS = 20


async def parents(call: Call, card: Card) -> list[tuple[str, bool]]:
    """The base models that a card names, and whether each is a model here that the caller may know."""
    names = card.base_models[:_MOST_PARENTS]
    here = await catalogue.find_each(call.session, RepoKind.MODEL, names)
    seen = await authz.filter_known(call.session, call.gatekeeper.policies, call.principal, list(here.values()), now())
    known = {repo.id for repo in seen}
    return [(name, name in here and here[name].id in known) for name in names]


async def children(call: Call, repo: Repo) -> list[tuple[Repo, str]]:
    """Models whose card names this one as their base and which the caller may know, with what they are to it."""
    return (await children_of(call, [repo], limit=MOST_CHILDREN))[repo.id]


async def children_of(
    call: Call, repos: Sequence[Repo], *, limit: int = _MOST_IN_A_LIST
) -> dict[str, list[tuple[Repo, str]]]:
    """The same for several models, by their ids: of all of them together the `limit` that changed last."""
    session, instant, policies = call.session, now(), call.gatekeeper.policies
    rows = await catalogue.listing(
        session,
        RepoKind.MODEL,
        visible=authz.listing_filter(policies, call.principal, instant),
        where=[sa.or_(sa.false(), *(catalogue_tags.tagged(f"base_model:{repo.full_name}") for repo in repos))],
        limit=limit,
    )
    places: list[tuple[Repo, str]] = []
    for row, resource in zip(rows, await authz.load_each(session, call.principal, rows), strict=True):
        known = authz.decide(policies, call.principal, authz.Action.KNOW, resource, instant)
        if known and authz.decide(policies, call.principal, authz.Action.READ_CARD, resource, instant):
            places.append((row, known.revision.commit if known.revision else ""))
    heads = await history.heads(session, [row.id for row, commit in places if not commit])
    places = [(row, commit or heads[row.id]) for row, commit in places]
    read = await cards.cards_of(session, places)
    found: dict[str, list[tuple[Repo, str]]] = {repo.id: [] for repo in repos}
    for row, commit in places:
        card = read[row.id, commit]
        for repo in repos:
            if repo.full_name in card.base_models:
                found[repo.id].append((row, card.base_relation))
    return found
