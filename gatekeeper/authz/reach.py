"""Which policies matter at all: over many made-up questions, those that never apply and those that never decide.

The facts of a question take few values, so questions are drawn at random from all their combinations, always the same
ones. A policy is *dead* when its condition held in none of them. A permit is *shadowed* when another one allowed as
well wherever it applied; a forbid, when nothing it forbade would have been allowed, or another forbid stood there too.
"""

import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gatekeeper.authz.actions import Action
from gatekeeper.authz.audiences import AUDIENCES, LICENSES, PLACES, SIDES, question_of
from gatekeeper.authz.bundle import SCOPES
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Question

Case = tuple[Question, Action]

_ADDED = ("grant", "tester", "institution", "purpose", "terms_accepted", "is_safety_team", "is_site_admin")


class Reach(NamedTuple):
    """Ids of the policies that never applied, and of those that applied and never decided anything alone."""

    dead: tuple[str, ...]
    shadowed: tuple[str, ...]


def reach(policies: Policies, cases: Iterable[Case] = (), *, draws: int = 20_000, seed: int = 0) -> Reach:
    """What of a bundle matters, over `cases` and `draws` made-up questions more."""
    permits = policies.permits()
    applied: set[str] = set()
    decided: set[str] = set()
    for question, action in (*cases, *_drawn(draws, seed)):
        answer = policies.evaluate(question, action)
        allowing = permits.evaluate(question, action)
        applied.update(answer.rules, allowing.rules)
        # A denial names every forbid that applied, and no permit; nothing forbidden counts unless it was to be had.
        if allowing.is_allowed and len(answer.rules) == 1:
            decided.update(answer.rules)
    dead = sorted(policies.rules.keys() - applied)
    return Reach(tuple(dead), tuple(sorted(applied - decided)))


def _drawn(draws: int, seed: int) -> Iterator[Case]:
    pick = random.Random(seed)  # noqa: S311 (the same questions each time, nothing secret)
    actions = tuple(Action)
    for _ in range(draws):
        action = pick.choice(actions)
        place = None if action.is_global else pick.choice(PLACES)
        side = pick.choice(SIDES) if pick.random() < 0.5 else ""
        audience = "everyone" if pick.random() < 0.2 else pick.choice(tuple(AUDIENCES))
        question = question_of(audience, place, side=side, license=pick.choice(tuple(LICENSES)))
        context = question.context
        if question.principal == "Person":
            added: dict[str, Any] = {name: True for name in _ADDED if pick.random() < 0.15}
            context = context._replace(**added)
            context = context._replace(is_disabled=pick.random() < 0.05)
            if pick.random() < 0.4:
                share = pick.choice((0.0, 0.5, 0.9))
                scopes = tuple(scope for scope in SCOPES if pick.random() < share)
                limits: dict[str, Any] = {"token_covers": pick.random() < 0.6, "token_public": pick.random() < 0.5}
                limits |= {"token_pending": pick.random() < 0.2, "is_service": pick.random() < 0.2}
                context = context._replace(is_token=True, scopes=tuple(sorted(scopes)), **limits)
        yield question._replace(context=context), action
