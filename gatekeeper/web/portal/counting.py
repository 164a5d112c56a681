"""How many repositories each choice of a list leaves: numbers that tell nobody of what they may not know."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import authz, releases
from gatekeeper.authz import Action, Capabilities
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo, RepoKind, catalogue
from gatekeeper.web.guard import Call
from gatekeeper.web.portal.views import see_each

CAN = {"ask": Action.REQUEST_ACCESS, "download": Action.DOWNLOAD, "generate": Action.GENERATE}
_KNOWN = "know"
_NO, _MAYBE, _SURE = range(3)
_MOST_DECIDED = 50  # repositories with a side state, each decided as itself


@dataclass(frozen=True)
class Numbers:
    """How many fit each stage, and each thing that one can do; what cannot be told exactly is left out."""

    stages: Mapping[str, int]
    cans: Mapping[str, int]


def can(rights: Capabilities, what: str) -> bool:
    """Whether a reader can do this, and has something to gain by it."""
    is_theirs = what == "ask" and bool(rights[Action.DOWNLOAD])  # nothing is left to ask for
    return bool(rights[CAN[what]]) and not is_theirs


async def numbers(call: Call, kind: RepoKind, *, stage: str, what: str) -> Numbers:
    """The numbers for a list that is narrowed to these.

    From the filter of lists, made exact: repositories with a side state are decided one by one, and what hangs on terms
    that may have been accepted is not told. Nor is what cards say: their index holds the words of drafts, too.
    """
    groups = await _groups(call, kind)
    if groups is None:
        return Numbers({}, {})
    here = groups[stage] if stage else sum(groups.values(), Counter[str]())
    stages = {key.value: (groups[key], what or _KNOWN) for key in Stage}
    cans = {key: (here, key) for key in CAN}
    return Numbers(_exact(stages), _exact(cans))


def _exact(counted: Mapping[str, tuple[Counter[str], str]]) -> dict[str, int]:
    return {key: group[of] for key, (group, of) in counted.items() if not group[_maybe(of)]}


async def _groups(call: Call, kind: RepoKind) -> Mapping[str, Counter[str]] | None:
    """By the stage that is shown, "" without stages: how many are known, and of how many one can or may make what."""
    listing = partial(authz.listing_filter, call.gatekeeper.policies, call.principal, now())
    wanted, aside = catalogue.matching(kind, ""), releases.in_side_state()
    odd = (await call.session.scalars(sa.select(Repo).where(wanted, listing(), aside).limit(_MOST_DECIDED + 1))).all()
    if len(odd) > _MOST_DECIDED:
        return None
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    resources = await authz.load_each(call.session, call.principal, odd)
    for seen in await see_each(call, list(zip(odd, resources, strict=True))):
        if seen.rights[Action.KNOW]:
            groups[seen.head.stage].update([_KNOWN, *(what for what in CAN if can(seen.rights, what))])
    best = ((listing(stage=each, is_sure=True), each.value) for each in reversed(Stage))
    stage = sa.case((~col(Repo.is_staged), ""), *best, else_="")
    levels = [
        sa.case((listing(action=action, is_sure=True), _SURE), (listing(action=action), _MAYBE), else_=_NO)
        for action in CAN.values()
    ]
    query = sa.select(stage, *levels, sa.func.count()).where(wanted, listing(is_sure=True), ~aside)
    for key, *found, number in await call.session.execute(query.group_by(stage, *levels)):
        can_be = dict(zip(CAN, found, strict=True))
        can_be["ask"] = min(can_be["ask"], _SURE - can_be["download"])  # who downloads has nothing left to ask for
        named = {_KNOWN: _SURE} | can_be
        groups[key].update(
            {what if level == _SURE else _maybe(what): number for what, level in named.items() if level != _NO}
        )
    return groups


def _maybe(what: str) -> str:
    return f"maybe {what}"
