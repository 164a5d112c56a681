"""What of the review queue is looked at: chosen by an address that every link keeps, and which request comes next."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import QueryParams

from gatekeeper import access, accounts
from gatekeeper.access import Filter, RequestState
from gatekeeper.accounts import Person
from gatekeeper.accounts.names import fold
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, key_of
from gatekeeper.web.admin.scope import PAGE, decided_rows, in_care
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call

QUEUE = "/admin/requests"
_LOOKED_AT = 5  # rows for the next one, should the decision leave one out
WAITING, _DECIDED, _ALL = "", "decided", "all"
_GROUPS = {
    WAITING: (RequestState.IN_REVIEW,),
    _DECIDED: tuple(state for state in RequestState if state not in access.OPEN),
    _ALL: (),
}
AGES = {"": "Any age", "3": "3 days or more", "7": "7 days or more", "30": "30 days or more"}
STATE_NAMES = (
    (WAITING, "Waiting for a decision"),
    (RequestState.RETURNED.value, "With the applicant"),
    (RequestState.REFERRED.value, "Waiting for an opinion"),
    (RequestState.AWAITING_TERMS.value, "Approved, not complete"),
    (RequestState.ACTIVE.value, "Approved"),
    (RequestState.SUSPENDED.value, "Suspended"),
    (RequestState.REJECTED.value, "Not approved"),
    (RequestState.REVOKED.value, "Revoked"),
    (_DECIDED, "Decided or over"),
    (_ALL, "All"),
)
_STATES = frozenset(value for value, _ in STATE_NAMES)


@dataclass(frozen=True)
class Choice:
    """What of the queue is looked at. Unknown values count as not chosen, so an old address still leads somewhere."""

    state: str = WAITING
    queue: str = ""
    repository: str = ""
    person: str = ""
    age: str = ""
    is_overdue: bool = False
    is_mine: bool = False
    is_flagged: bool = False

    @classmethod
    def of(cls, query: QueryParams, rules: access.Rules) -> "Choice":
        """The choice that an address makes."""
        state, queue = query.get("state", ""), query.get("queue", "")
        return cls(
            state if state in _STATES else WAITING,
            queue if any(queue == known.name for known in rules.queues) else "",
            query.get("repository", "")[:200].strip(),
            query.get("person", "")[:60].strip(),
            query.get("age", "") if query.get("age", "") in AGES else "",
            query.get("overdue") == "yes",
            query.get("mine") == "yes",
            query.get("flagged") == "yes",
        )

    @property
    def sent(self) -> dict[str, str]:
        """The fields that make the same choice again."""
        flags = {"overdue": self.is_overdue, "mine": self.is_mine, "flagged": self.is_flagged}
        texts = ("state", "queue", "repository", "person", "age")
        chosen = {name: getattr(self, name) for name in texts}
        return {name: value for name, value in chosen.items() if value} | {
            name: "yes" for name, holds in flags.items() if holds
        }

    @property
    def query(self) -> str:
        """The same as the query of an address."""
        return urlencode(self.sent)


def choice_of(call: Call) -> Choice:
    """The choice that the caller's address makes."""
    return Choice.of(call.request.query_params, request_rules(call))


async def chosen(call: Call, choice: Choice, *, after: str | None, limit: int = PAGE) -> access.Page:
    """A part of the queue, who waits longest first. Its rows are not decided yet."""
    rules, instant = request_rules(call), now()
    states = _GROUPS[choice.state] if choice.state in _GROUPS else (RequestState(choice.state),)
    return await access.review_queue(
        call.session,
        repos=[in_care(call), *_named(choice.repository), *_asked_by(choice.person)],
        only=Filter(
            states=states,
            queue=choice.queue or None,
            claimed_by=call.principal.person_id or "" if choice.is_mine else None,
            is_flagged=choice.is_flagged,
            waiting_before=instant - timedelta(days=int(choice.age)) if choice.age else None,
            overdue={known.name: instant - timedelta(days=known.service_days) for known in rules.queues}
            if choice.is_overdue
            else None,
        ),
        after=after,
        limit=limit,
    )


async def next_in_queue(call: Call, choice: Choice, request_id: str) -> str | None:
    """The request after this one in the chosen queue, the first one after the last; None where there is no other."""
    for after in (request_id, None):
        page = await chosen(call, choice, after=after, limit=_LOOKED_AT)
        rows = [row for row in await decided_rows(call, page.rows) if row.request.id != request_id]
        if rows:
            return rows[0].request.id
    return None


async def address_after(call: Call, request_id: str, done: str) -> str:
    """Where a reviewer goes on after deciding: the next request, or the queue once nothing else is in it."""
    choice = choice_of(call)
    query = urlencode(choice.sent | {"done": done, "decided": request_id})
    found = await next_in_queue(call, choice, request_id)
    return f"{QUEUE}/{found}?{query}" if found else f"{QUEUE}?{query}"


async def just_decided(call: Call) -> dict[str, Any] | None:
    """What the caller decided a moment ago, as the address says, while it can be undone."""
    found = await call.session.get(access.AccessRequest, call.request.query_params.get("decided", "")[:26])
    until = access.undo_until(found, call.principal, at=now()) if found else None
    repo = await call.session.get(Repo, found.repo_id) if found and until else None
    person = await accounts.people.get(call.session, found.person_id) if found and until else None
    if found is None or repo is None or person is None:
        return None
    return {"id": found.id, "version": found.version, "person": person.name, "full_name": repo.full_name}


def _asked_by(name: str) -> list[sa.ColumnElement[bool]]:
    return [col(Person.name_key) == fold(name)] if name else []


def _named(name: str) -> list[sa.ColumnElement[bool]]:
    return [col(Repo.key).in_([key_of(kind, name) for kind in RepoKind])] if name else []
