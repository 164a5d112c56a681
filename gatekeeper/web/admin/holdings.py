"""Who holds what, over all repositories in one's care: chosen, saved as a table, and revoked many at once."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import FormData, QueryParams
from starlette.responses import HTMLResponse, Response

from gatekeeper import access
from gatekeeper.access import AccessGrant, Held
from gatekeeper.accounts import Person
from gatekeeper.accounts.names import fold
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.releases import Release, Stage
from gatekeeper.repos import Repo, RepoKind, key_of
from gatekeeper.web import words
from gatekeeper.web.admin import reasons
from gatekeeper.web.admin.scope import PAGE, decided, in_care, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url
from gatekeeper.web.spreadsheet import csv_file

_GRANTS = "/admin/grants"
_ENDING = {"": "At any time", "1": "Within a day", "7": "Within 7 days", "30": "Within 30 days", "90": "Within 90 days"}
_MOST_IN_FILE = 10_000
_AT_ONCE = 500


@dataclass(frozen=True)
class Choice:
    """What is looked at. Unknown values count as not chosen, so an old address still leads somewhere."""

    person: str = ""
    repository: str = ""
    organization: str = ""
    stage: str = ""
    ends: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> "Choice":
        """The choice that an address makes."""
        stage, ends = query.get("stage", ""), query.get("ends", "")
        named = {name: query.get(name, "")[:200].strip() for name in ("person", "repository", "organization")}
        return cls(**named, stage=stage if stage in set(Stage) else "", ends=ends if ends in _ENDING else "")

    @property
    def sent(self) -> dict[str, str]:
        """The fields that make the same choice again."""
        return {name: value for name, value in vars(self).items() if value}

    def conditions(self) -> tuple[sa.ColumnElement[bool], ...]:
        """On Repo and Person."""
        found: list[sa.ColumnElement[bool]] = []
        if self.person:
            found.append(col(Person.name_key) == fold(self.person))
        if self.repository:
            found.append(col(Repo.key).in_([key_of(kind, self.repository) for kind in RepoKind]))
        if self.organization:
            found.append(sa.func.lower(col(Repo.namespace)) == self.organization.lower())
        if self.stage:
            released = sa.select(col(Release.repo_id)).where(col(Release.stage) == Stage(self.stage))
            found.append(col(Repo.id).in_(released))
        return tuple(found)


@dataclass(frozen=True)
class Typed:
    """What was typed on a page that revokes, kept when it is refused."""

    reason: str = ""
    code: str = ""
    errors: dict[str, str] = field(default_factory=dict)


async def show(call: Call) -> Response:
    """`GET /admin/grants`: a page; `?format=csv` saves all that was chosen as a table."""
    query = call.request.query_params
    choice = Choice.of(query)
    if query.get("format") == "csv":
        return await _file(call, choice)
    held, after = await _held(call, choice, after=query.get("after"))
    return render(
        call,
        "admin/holdings.html",
        sees_all=runs_hub(call),
        choice=choice,
        stages=[("", "Any stage"), *((stage.value, words.STAGES[stage].label) for stage in Stage)],
        endings=list(_ENDING.items()),
        held=[_row(each) for each in held],
        is_all_ticked=query.get("tick") == "all",
        tick_all=f"{_GRANTS}?{urlencode(choice.sent | {'after': query.get('after', ''), 'tick': 'all'})}",
        here=urlencode(choice.sent),
        file=f"{_GRANTS}?{urlencode(choice.sent | {'format': 'csv'})}",
        more=f"{_GRANTS}?{urlencode(choice.sent | {'after': after})}" if after else None,
    )


async def confirm(call: Call) -> Response:
    """`GET /admin/grants/revoke?grant=...`: who is affected, before anything is done."""
    return await _confirm(call, call.request.query_params.getlist("grant"), Typed())


async def revoke(call: Call) -> Response:
    """`POST /admin/grants/revoke`: end every grant that was chosen, each by itself, with its outcome."""
    sent = await forms.read(call.request)
    ids = forms.texts(sent, "grant")
    held = await _chosen(call, ids)
    try:
        reason, code = reasons.read(call, sent, "revoke", "reason")

        async def end(grant: AccessGrant) -> None:
            await access.revoke(call.session, grant, by=call.principal, reason=reason, reason_code=code)

        outcomes = await access.decide_many(call.session, [each.grant for each in held], end)
    except reasons.Wrong as wrong:
        return await _confirm(call, ids, typed_of(sent, wrong.field, wrong.sentence), status=422)
    except Invalid as error:
        return await _confirm(call, ids, typed_of(sent, "reason", error.sentence), status=422)
    problems = {outcome.id: outcome.problem for outcome in outcomes}
    return render(
        call,
        "admin/revoked.html",
        sees_all=runs_hub(call),
        back=_back(call),
        carried_out=sum(not problem for problem in problems.values()),
        outcomes=[_row(each) | {"problem": problems[each.grant.id]} for each in held],
    )


def typed_of(sent: FormData, field: str, sentence: str) -> Typed:
    """What was typed for a revocation that was refused, and what is wrong with it."""
    return Typed(forms.text(sent, "reason"), forms.text(sent, reasons.code_field("revoke"), most=60), {field: sentence})


async def _confirm(call: Call, ids: list[str], typed: Typed, *, status: int = 200) -> HTMLResponse:
    held = await _chosen(call, ids)
    if not held:
        raise Conflict("Nothing that was chosen can be revoked.", next_step=f"Choose from the list at {_GRANTS}.")
    here = Choice.of(call.request.query_params).sent
    return render(
        call,
        "admin/revoke_grants.html",
        status=status,
        sees_all=runs_hub(call),
        crumbs=("Grants", _back(call)),
        action=f"{_GRANTS}/revoke" + (f"?{urlencode(here)}" if here else ""),
        ids=[each.grant.id for each in held],
        held=[_row(each) for each in held],
        approved=[],
        people=len({each.person.id for each in held}),
        repositories=len({each.repo.id for each in held}),
        kinds=reasons.kinds_of(call, "revoke"),
        typed=typed,
    )


def _back(call: Call) -> str:
    """The list as it was chosen."""
    return f"{_GRANTS}?{urlencode(Choice.of(call.request.query_params).sent)}".rstrip("?")


async def _held(call: Call, choice: Choice, *, after: str | None, limit: int = PAGE) -> tuple[list[Held], str | None]:
    """What was chosen, decided again, and where the next page begins."""
    instant = now()
    page = await access.grants_held(
        call.session,
        at=instant,
        where=(in_care(call), *choice.conditions()),
        ends_before=instant + timedelta(days=int(choice.ends)) if choice.ends else None,
        after=after,
        limit=limit,
    )
    may = {repo.id for repo in await decided(call, (each.repo for each in page.items))}
    return [each for each in page.items if each.repo.id in may], page.after


async def _chosen(call: Call, ids: list[str]) -> list[Held]:
    """Those of the named grants that have not ended and are the caller's to revoke; others are passed over."""
    page = await access.grants_held(
        call.session,
        at=now(),
        where=(in_care(call), col(AccessGrant.id).in_(ids[: access.MOST_AT_ONCE])),
        limit=access.MOST_AT_ONCE,
    )
    may = {repo.id for repo in await decided(call, (each.repo for each in page.items))}
    return [each for each in page.items if each.repo.id in may]


async def _file(call: Call, choice: Choice) -> Response:
    rows: list[Held] = []
    after: str | None = None
    while len(rows) < _MOST_IN_FILE:
        found, after = await _held(call, choice, after=after, limit=_AT_ONCE)
        rows += found
        if after is None:
            break
    header = ("person", "repository", "kind", "granted", "ends", "suspended", "tester")
    return csv_file("grants.csv", header, (_cells(each) for each in rows))


def _cells(held: Held) -> tuple[object, ...]:
    grant = held.grant
    return (
        held.person.name,
        held.repo.full_name,
        held.repo.kind.value,
        instant_text(grant.granted_at),
        instant_text(grant.ends_at) if grant.ends_at else "",
        "yes" if grant.suspended_at else "no",
        "yes" if grant.is_tester else "no",
    )


def _row(held: Held) -> dict[str, Any]:
    return {
        "id": held.grant.id,
        "person": held.person.name,
        "fullname": held.person.fullname,
        "full_name": held.repo.full_name,
        "url": f"{repo_url(held.repo)}/grants",
        "request_id": held.grant.request_id,
        "granted_at": held.grant.granted_at,
        "ends_at": held.grant.ends_at,
        "is_suspended": held.grant.suspended_at is not None,
        "is_tester": held.grant.is_tester,
    }


ROUTES = [
    guarded(_GRANTS, show, needs=Action.USE_ACCOUNT),
    guarded(f"{_GRANTS}/revoke", confirm, needs=Action.USE_ACCOUNT, is_dangerous=True),
    guarded(f"{_GRANTS}/revoke", revoke, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
