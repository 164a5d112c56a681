"""`requests`: the review queue of a repository, at a terminal."""

from datetime import datetime

import click

from gatekeeper import access
from gatekeeper.access import RequestState
from gatekeeper.accounts import OPERATOR
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import Conflict
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now


@click.group()
def requests() -> None:
    """Requests for access."""


@requests.command("list")
@click.argument("repository")
@click.option("--state", type=click.Choice([state.value for state in RequestState]), help="Only these.")
@json_option
@pass_house
@command
async def list_requests(house: House, repository: str, state: str | None, as_json: bool) -> None:
    """Requests for REPOSITORY, oldest first."""
    async with house.read() as session:
        repo = await require_repo(session, repository)
        wanted = RequestState(state) if state else None
        page = await access.review_queue(session, repo_ids=frozenset({repo.id}), state=wanted, limit=1000)
    rows = [_row(row) for row in page.rows]
    lines = [f"{row['id']}  {row['state']:<10} {row['submitted_at']}  {row['person']}" for row in rows]
    show(rows, "\n".join(lines) or "No requests.", as_json=as_json)


@requests.command("approve")
@click.argument("request_id")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Day (UTC) at whose start access ends.")
@click.option("--no-end", is_flag=True, help="No end, even where the stage proposes one.")
@click.option("--conditions", default="", help="What the applicant must agree to first.")
@json_option
@pass_house
@command
async def approve(
    house: House, request_id: str, until: datetime | None, no_end: bool, conditions: str, as_json: bool
) -> None:
    """Approve a request, until the end that the stage proposes unless told otherwise."""
    ends_at = None if until is None else until.replace(tzinfo=now().tzinfo)
    async with house.write() as session:
        request = await access.get(session, request_id)
        if ends_at is None and not no_end:
            ends_at = access.proposed_end(request, now())
        await access.approve(
            session,
            request,
            by=OPERATOR,
            ends_at=ends_at,
            conditions=conditions,
            rules=_rules(house),
            policy=house.policies.sha256,
        )
        state = (await access.get(session, request_id)).state
    done = state is RequestState.ACTIVE
    told = f"Approved {request_id}." if done else f"Your approval of {request_id} counts; it is {state} still."
    show({"id": request_id, "state": state.value}, told, as_json=as_json)


@requests.command("reject")
@click.argument("request_id")
@click.option("--reason", required=True, help="What the applicant is told.")
@json_option
@pass_house
@command
async def reject(house: House, request_id: str, reason: str, as_json: bool) -> None:
    """Reject a request, with the reason."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        await access.reject(session, request, by=OPERATOR, reason=reason, policy=house.policies.sha256)
    show({"id": request_id, "state": "rejected"}, f"Rejected {request_id}.", as_json=as_json)


@requests.command("revoke")
@click.argument("request_id")
@click.option("--reason", required=True, help="What the person is told.")
@json_option
@pass_house
@command
async def revoke(house: House, request_id: str, reason: str, as_json: bool) -> None:
    """Revoke the access that a request led to; it binds on the next request."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        grant = await access.grant_in_force(session, request.person_id, request.repo_id, now())
        if grant is None:
            raise Conflict("There is no access in force to revoke.", next_step="Look at `gatekeeper requests list`.")
        await access.revoke(session, grant, by=OPERATOR, reason=reason, policy=house.policies.sha256)
    show({"id": request_id, "state": "revoked"}, f"Revoked the access of {request_id}.", as_json=as_json)


def _rules(house: House) -> access.Rules:
    return access.Rules.load(house.policies.directory)


def _row(row: access.Row) -> dict[str, str]:
    return {
        "id": row.request.id,
        "person": row.person.name,
        "state": row.request.state.value,
        "submitted_at": instant_text(row.request.submitted_at),
        "reason": row.request.reason,
    }
