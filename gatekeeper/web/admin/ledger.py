"""The ledger for its auditors: events with filters, the newest checkpoint, a full check, and the proof of one event."""

import json
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import Response

from gatekeeper import accounts, ledger, repos
from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo, RepoKind
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_PAGE = 50
_CHECKED_AT_ONCE = 20_000  # events; a longer log is checked by `gatekeeper ledger verify`
_NOBODY = "-"  # no id is ever this


async def show(call: Call) -> Response:
    """`GET /admin/ledger`."""
    query = call.request.query_params
    filters = {name: query.get(name, "").strip()[:160] for name in ("kind", "person", "repo")}
    page = await ledger.events(
        call.session,
        kind=await _kind(filters["kind"]),
        actor=await _person_id(call, filters["person"]),
        repo=await _repo_id(call, filters["repo"]),
        after=query.get("after"),
        limit=_PAGE,
    )
    people, names = await _names(call, page.items)
    checkpoint = await ledger.newest_checkpoint(call.session)
    kept = {name: value for name, value in filters.items() if value}
    return render(
        call,
        "admin/ledger.html",
        checkpoint=checkpoint,
        report=await _report(call, checkpoint.size if checkpoint else 0),
        pending=(await ledger.pending(call.session))[0],
        filters=filters,
        kinds=await _kinds(call),
        events=[
            {
                "id": event.id,
                "kind": event.kind,
                "occurred_at": event.occurred_at,
                "number": event.number,
                "actor": people.get(event.actor_id or "", "the hub" if event.actor_id is None else "erased"),
                "repo": names.get(event.repo_id or "", ""),
            }
            for event in page.items
        ],
        newer=f"/admin/ledger?{urlencode(kept)}" if query.get("after") else None,
        older=f"/admin/ledger?{urlencode(kept | {'after': page.after})}" if page.after else None,
    )


async def event(call: Call) -> Response:
    """`GET /admin/ledger/{id}`: everything about one event, with its proof."""
    found = await call.session.get(LedgerEvent, call.params["id"])
    if found is None:
        raise NotFound("The ledger has no such event.", next_step="Take it from the list of events.")
    people, names = await _names(call, (found,))
    try:
        proof = await ledger.prove(call.session, found.id)
    except Conflict:
        proof = None
    fits = proof is not None and proof.holds(call.gatekeeper.keys.signing.public)
    return render(
        call,
        "admin/event.html",
        event=found,
        actor=people.get(found.actor_id or "", "the hub" if found.actor_id is None else "erased"),
        repo=names.get(found.repo_id or "", ""),
        body=json.dumps(found.body, indent=2, ensure_ascii=False, sort_keys=True),
        proof=json.dumps(proof.as_json(), indent=2, ensure_ascii=False) if proof else "",
        proof_fits=fits,
        proof_text="Checked just now: the event lies under the signed checkpoint."
        if fits
        else "The proof does not lead to the signed checkpoint: the log was changed.",
    )


async def _report(call: Call, size: int) -> dict[str, Any]:
    if size > _CHECKED_AT_ONCE:
        return {"is_intact": True, "text": "The log is long: run `gatekeeper ledger verify` to check every event."}
    report = await ledger.verify(call.session, call.gatekeeper.keys.signing.public)
    text = "Checked just now: every sealed event is unchanged." if report.is_intact else " ".join(report.faults[:5])
    return {"is_intact": report.is_intact, "text": text}


async def _kinds(call: Call) -> list[str]:
    return await ledger.kinds_there(call.session)


async def _kind(text: str) -> str | None:
    """A whole kind has three parts; anything shorter is the beginning of several."""
    if not text:
        return None
    return text if text.count(":") == 2 and not text.endswith(":") else f"{text.rstrip(':')}:"


async def _person_id(call: Call, name: str) -> str | None:
    if not name:
        return None
    person = await accounts.people.find(call.session, name)
    return person.id if person else _NOBODY


async def _repo_id(call: Call, full_name: str) -> str | None:
    if not full_name:
        return None
    repo = await repos.find(call.session, RepoKind.MODEL, full_name)
    return repo.id if repo else _NOBODY


async def _names(call: Call, events: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the people and repositories in these events, by id, in two queries."""
    people = await call.session.execute(
        sa.select(col(Person.id), col(Person.name)).where(
            col(Person.id).in_({e.actor_id for e in events if e.actor_id})
        )
    )
    found = await call.session.scalars(
        sa.select(Repo).where(col(Repo.id).in_({e.repo_id for e in events if e.repo_id}))
    )
    return {row.id: row.name for row in people}, {repo.id: repo.full_name for repo in found}


ROUTES = [
    guarded("/admin/ledger", show, needs=Action.ADMIN_LEDGER),
    guarded("/admin/ledger/{id}", event, needs=Action.ADMIN_LEDGER),
]
