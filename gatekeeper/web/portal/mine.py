"""What is mine: requests and receipts."""

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.responses import JSONResponse, RedirectResponse, Response

from gatekeeper import access, authz, licensing
from gatekeeper.access import AccessGrant, RequestState
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, catalogue
from gatekeeper.web import words
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.standing import WAITING, shown_state
from gatekeeper.web.portal.views import render, repo_url, see
from gatekeeper.web.portal.way import onward

_PAGE = 50
_GONE = "a repository that is gone"
_CAN_ASK_AGAIN = (RequestState.WITHDRAWN, RequestState.CLOSED, RequestState.EXPIRED)
# What its author can do about a request on the page of its repository, in a few words.
NEXT_STEPS = {
    RequestState.DRAFT: "Go on with the draft",
    RequestState.RETURNED: "Answer what was asked",
    RequestState.AWAITING_TERMS: "See what is missing",
    RequestState.REJECTED: "Read and appeal",
    RequestState.REVOKED: "Read and appeal",
    RequestState.ACTIVE: "See the details",
    RequestState.IN_REVIEW: "See how it stands",
    RequestState.REFERRED: "See how it stands",
    RequestState.SUSPENDED: "See how it stands",
}


@dataclass(frozen=True)
class Asked:
    """One of my requests.

    age     how long it has waited; None while it does not
    usual   how long answers take there, while it waits; None where that would tell about single people
    onward  where I can go meanwhile, or from now on; of one row of the page only
    """

    url: str
    full_name: str
    facts: words.StateFacts
    next_step: str
    reason: str
    submitted_at: datetime
    decided_at: datetime | None
    ends_at: datetime | None
    can_withdraw: bool
    can_give_up: bool
    can_ask_again: bool
    todo: str
    age: access.Age | None = None
    usual: access.Usual | None = None
    onward: tuple[str, str] | None = None


async def requests(call: Call) -> Response:
    """`GET /requests`."""
    person_id = call.principal.person_id or ""
    page = await access.requests_of(call.session, person_id, after=call.request.query_params.get("after"), limit=_PAGE)
    grants = await access.grants_in_force(call.session, person_id, {row.repo.id for row in page.rows}, now())
    latest = await access.latest_requests(call.session, person_id, {row.repo.id for row in page.rows})
    waiting = {row.repo.id for row in page.rows if row.request.state in WAITING}
    rules, instant = request_rules(call), now()
    usual = await access.usual_waits(call.session, waiting, rules, at=instant)
    items = []
    for row in page.rows:
        is_newest = latest[row.repo.id].id == row.request.id
        item = _asked(row, grants.get(row.repo.id) if is_newest else None, is_newest=is_newest)
        if row.request.state in WAITING:
            item = replace(item, usual=usual.get(row.repo.id), age=access.age(row.request, rules, instant))
        items.append(item)
    # The newest approval has the page's one main button, or else what waits; the others lead there by their own pages.
    in_hand = [place for place, item in enumerate(items) if item.can_give_up]
    in_hand += [place for place, item in enumerate(items) if item.age]
    if in_hand:
        first, repo = in_hand[0], page.rows[in_hand[0]].repo
        seen = await see(call, repo, await authz.load(call.session, call.principal, repo))
        items[first] = replace(items[first], onward=onward(seen))
    return render(
        call,
        "portal/requests.html",
        requests=items,
        opinions=[
            {"id": row.request.id, "person": row.person.name, "full_name": row.repo.full_name}
            for row in await access.asked_for_opinion(call.session, person_id)
        ],
        older=f"/requests?after={page.after}" if page.after else None,
    )


async def receipts(call: Call) -> Response:
    """`GET /receipts`."""
    rows = await licensing.acceptances_of(call.session, call.principal.person_id or "")
    repos = await catalogue.by_ids(call.session, {row.repo_id for row in rows})
    names = {repo.id: repo.full_name for repo in repos}
    items = [
        {
            "id": row.id,
            "full_name": names.get(row.repo_id, _GONE),
            "titles": [text["title"] for text in row.receipt.get("statement", {}).get("texts", [])],
            "accepted_at": row.accepted_at,
            "withdrawn_at": row.withdrawn_at,
        }
        for row in rows
    ]
    return render(
        call,
        "portal/receipts.html",
        receipts=items,
        verify_lines=verify_lines(call, "receipt.json"),
        public_key=public_key(call),
    )


async def receipt(call: Call) -> Response:
    """`GET /receipts/{id}`, and the same with `.json` for the file."""
    acceptance_id, _, suffix = call.params["id"].partition(".")
    row = await licensing.own_acceptance(call.session, call.principal, acceptance_id)
    whole = await licensing.with_proof(call.session, row.receipt)
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    if suffix == "json":
        return JSONResponse(
            whole,
            headers={
                "Content-Disposition": f'attachment; filename="receipt-{row.id}.json"',
                "Cache-Control": "private, no-store",
            },
        )
    return render(
        call,
        "portal/receipt.html",
        id=row.id,
        full_name=await _name_of(call, row.repo_id),
        verdict=licensing.verify_receipt(whole, call.gatekeeper.keys.signing.public),
        accepted_at=row.accepted_at,
        withdrawn_at=row.withdrawn_at,
        method=row.method,
        statement=row.receipt["statement"],
        text=text,
        verify_lines=verify_lines(call, f"receipt-{row.id}.json"),
    )


async def withdraw(call: Call) -> Response:
    """`POST /receipts/{id}/withdraw`: withdraw from the terms of the receipt's repository."""
    row = await licensing.own_acceptance(call.session, call.principal, call.params["id"])
    await licensing.withdraw_acceptance(call.session, call.principal, row)
    return RedirectResponse(f"/receipts/{row.id}?done=terms-withdrawn", 303)


def verify_lines(call: Call, name: str) -> str:
    """The command that checks a receipt with nothing but the public key."""
    return f"gatekeeper receipt verify {name} --key {public_key(call)}"


def public_key(call: Call) -> str:
    """The hub's public key in base64."""
    return base64.b64encode(call.gatekeeper.keys.signing.public).decode()


def _asked(row: access.Row, grant: AccessGrant | None, *, is_newest: bool) -> Asked:
    state = shown_state(row.request, grant) if is_newest else row.request.state
    return Asked(
        url=repo_url(row.repo),
        full_name=row.repo.full_name,
        facts=words.REQUEST_STATES[state],
        next_step=words.REQUEST_STATES[state].next_step,
        reason=row.request.reason,
        submitted_at=row.request.submitted_at,
        decided_at=row.request.decided_at,
        ends_at=grant.ends_at if grant else None,
        can_withdraw=state in access.OPEN,
        can_give_up=state is RequestState.ACTIVE and grant is not None,
        can_ask_again=is_newest and state in _CAN_ASK_AGAIN,
        todo=NEXT_STEPS.get(state, "") if is_newest else "",
    )


async def _name_of(call: Call, repo_id: str) -> str:
    repo = await call.session.get(Repo, repo_id)
    return repo.full_name if repo else _GONE


ROUTES = [
    guarded("/requests", requests, needs=Action.USE_ACCOUNT),
    guarded("/receipts", receipts, needs=Action.USE_ACCOUNT),
    guarded("/receipts/{id}", receipt, needs=Action.USE_ACCOUNT),
    guarded("/receipts/{id}/withdraw", withdraw, needs=Action.WITHDRAW_TERMS, methods=("POST",), is_dangerous=True),
]
