"""The ledger for its auditors: events with filters, the newest checkpoint, a full check, and the proof of one event."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import Response

from gatekeeper import accounts, ledger, repos
from gatekeeper.access import AccessGrant, AccessRequest
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.ledger import LedgerEvent, Proof
from gatekeeper.repos import RepoKind
from gatekeeper.web import words
from gatekeeper.web.admin.ledger_pages import names_in
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.mine import public_key
from gatekeeper.web.portal.views import render

_PAGE = 50
_CHECKED_AT_ONCE = 200  # events: some 20 ms
_NOBODY = "-"  # no id is ever this
_MOST_ABOUT = 200
_LAST = 2**63 - 1
_FILTERS = ("kind", "person", "repo", "subject", "since", "until")
_CHECK = """gatekeeper ledger check {file} --key {key}
curl {url}/api/ledger/checkpoint"""


async def show(call: Call) -> Response:
    """`GET /admin/ledger`: filters by kind, person, repository, days, and what a receipt or another event names."""
    query = call.request.query_params
    filters = {name: query.get(name, "").strip()[:160] for name in _FILTERS}
    since, until, errors = _days(filters)
    person_id, named = await _person_id(call, filters["person"]), filters["subject"]
    page = await ledger.events(
        call.session,
        kind=filters["kind"] or None,
        actor=person_id,
        about=await _about(call, person_id) if person_id else (),
        repo=await _repo_id(call, filters["repo"]),
        subject=named if named and not named.isdecimal() else None,
        number=min(int(named), _LAST) if named.isdecimal() else None,
        since=since,
        until=until,
        after=query.get("after"),
        limit=_PAGE,
    )
    names = await names_in(call.session, page.items)
    checkpoint = await ledger.newest_checkpoint(call.session)
    kept = {name: value for name, value in filters.items() if value}
    return render(
        call,
        "admin/ledger.html",
        status=422 if errors else 200,
        checkpoint=checkpoint,
        report=await _report(call),
        pending=(await ledger.pending(call.session))[0],
        filters=filters,
        filtered=bool(kept),
        errors=errors,
        kinds=[(kind, words.EVENTS.get(kind, "")) for kind in await ledger.kinds_there(call.session)],
        events=[
            {
                "id": event.id,
                "kind": event.kind,
                "words": words.EVENTS.get(event.kind, event.kind),
                "occurred_at": event.occurred_at,
                "number": event.number,
                "actor": names.actor_of(event),
                "about": names.about(event),
                "repo": names.repo_of(event),
            }
            for event in sorted(page.items, key=_place, reverse=True)
        ],
        newer=f"/admin/ledger?{urlencode(kept)}" if query.get("after") else None,
        older=f"/admin/ledger?{urlencode(kept | {'after': page.after})}" if page.after else None,
    )


async def event(call: Call) -> Response:
    """`GET /admin/ledger/{id}`: everything about one event, with its proof and the pages of what it is about."""
    found = await _event(call)
    names = await names_in(call.session, (found,))
    proof = await _proof(call, found)
    fits = proof is not None and proof.holds(call.gatekeeper.keys.signing.public)
    return render(
        call,
        "admin/event.html",
        sees_all=runs_hub(call),
        event=found,
        words=words.EVENTS.get(found.kind, found.kind),
        actor=names.actor_of(found),
        repo=names.repo_of(found),
        pages=names.pages_of(found),
        body=json.dumps(found.body, indent=2, ensure_ascii=False, sort_keys=True),
        proof=_json(proof) if proof else "",
        proof_fits=fits,
        proof_text="Checked just now: the event lies under the signed checkpoint."
        if fits
        else "The proof does not lead to the signed checkpoint: the log was changed.",
        check=_CHECK.format(file=_name(found), key=public_key(call), url=call.gatekeeper.settings.public_url),
    )


async def proof(call: Call) -> Response:
    """`GET /admin/ledger/{id}/proof`: the inclusion proof as a file that `gatekeeper ledger check` takes."""
    found = await _event(call)
    made = await _proof(call, found)
    if made is None:
        raise NotFound("The event waits to be sealed.", next_step="Ask again in a few seconds.")
    headers = {
        "Content-Disposition": f'attachment; filename="{_name(found)}"',
        "Cache-Control": "private, no-store",
        "Vary": "Cookie",
    }
    return Response(_json(made) + "\n", media_type="application/json", headers=headers)


async def _event(call: Call) -> LedgerEvent:
    found = await call.session.get(LedgerEvent, call.params["id"])
    if found is None:
        raise NotFound("The ledger has no such event.", next_step="Take it from the list of events.")
    return found


async def _proof(call: Call, found: LedgerEvent) -> Proof | None:
    try:
        return await ledger.prove(call.session, found.id)
    except Conflict:
        return None


def _json(proof: Proof) -> str:
    return json.dumps(proof.as_json(), indent=2, ensure_ascii=False)


def _name(found: LedgerEvent) -> str:
    return f"proof-{found.id}.json"


def _place(found: LedgerEvent) -> tuple[bool, int]:
    """By number, pending ones after all others."""
    return found.number is None, found.number or 0


def _days(filters: dict[str, str]) -> tuple[datetime | None, datetime | None, dict[str, str]]:
    """The instants at which the days that were asked for begin and end, and what is wrong with them."""
    found, errors = [], {}
    for name, days_more in (("since", 0), ("until", 1)):
        try:
            day = date.fromisoformat(filters[name]) + timedelta(days=days_more) if filters[name] else None
            found.append(datetime.combine(day, time(), UTC) if day else None)
        except (ValueError, OverflowError):
            found.append(None)
            errors[name] = "This must be a date like 2027-01-31."
    return found[0], found[1], errors


async def _report(call: Call) -> dict[str, Any]:
    report = await ledger.verify_newest(call.session, call.gatekeeper.keys.signing.public, most=_CHECKED_AT_ONCE)
    text = "Checked just now: every sealed event is unchanged."
    if report.first:
        text = (
            f"Checked just now: the newest {_CHECKED_AT_ONCE} events are unchanged, and lie with the hashes of the "
            f"{report.first:,} before them under the signed checkpoint. `gatekeeper ledger verify` checks those, too."
        )
    return {"is_intact": report.is_intact, "text": text if report.is_intact else " ".join(report.faults[:5])}


async def _person_id(call: Call, name: str) -> str | None:
    if not name:
        return None
    person = await accounts.people.find(call.session, name)
    return person.id if person else _NOBODY


async def _about(call: Call, person_id: str) -> list[str]:
    """What events about a person are about: the person, and their requests and grants."""
    found = [person_id]
    for table in (AccessRequest, AccessGrant):
        ids = sa.select(col(table.id)).where(col(table.person_id) == person_id).order_by(col(table.id).desc())
        found += await call.session.scalars(ids.limit(_MOST_ABOUT))
    return found


async def _repo_id(call: Call, full_name: str) -> str | None:
    if not full_name:
        return None
    for kind in RepoKind:
        if repo := await repos.find_by_any_name(call.session, kind, full_name):
            return repo.id
    return _NOBODY


ROUTES = [
    guarded("/admin/ledger", show, needs=Action.ADMIN_LEDGER),
    guarded("/admin/ledger/{id}", event, needs=Action.ADMIN_LEDGER),
    guarded("/admin/ledger/{id}/proof", proof, needs=Action.ADMIN_LEDGER),
]
