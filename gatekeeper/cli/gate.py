"""`requests`: the review queue of a repository, at a terminal."""

from datetime import datetime

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, authz
from gatekeeper.access import RequestState
from gatekeeper.accounts import OPERATOR, Principal, principals
from gatekeeper.authz import Action
from gatekeeper.cli.people import require_person
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import Conflict
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo


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
        await access.reject(session, request, by=OPERATOR, reason=reason)
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
        await access.revoke(session, grant, by=OPERATOR, reason=reason)
    show({"id": request_id, "state": "revoked"}, f"Revoked the access of {request_id}.", as_json=as_json)


@requests.command("return")
@click.argument("request_id")
@click.option("--comment", required=True, help="What should be changed; the applicant reads it.")
@click.option("--question", "marked", multiple=True, help="A question that is meant (several times).")
@json_option
@pass_house
@command
async def give_back(house: House, request_id: str, comment: str, marked: tuple[str, ...], as_json: bool) -> None:
    """Return a request to the applicant, who changes the answers and sends it again."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        done = await access.give_back(session, request, by=OPERATOR, comment=comment, marked=marked)
    _tell(done, f"Returned {request_id}.", as_json=as_json)


@requests.command("refer")
@click.argument("request_id")
@click.argument("person")
@click.option("--comment", required=True, help="What you want to know.")
@json_option
@pass_house
@command
async def refer(house: House, request_id: str, person: str, comment: str, as_json: bool) -> None:
    """Ask PERSON for an opinion on a request; nobody decides until they answer."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        to = await require_person(session, person)
        done = await access.refer(session, request, to, by=OPERATOR, comment=comment)
    _tell(done, f"Asked {person} about {request_id}.", as_json=as_json)


@requests.command("claim")
@click.argument("request_id")
@click.option("--as", "name", required=True, help="Who looks after it from now on.")
@json_option
@pass_house
@command
async def claim(house: House, request_id: str, name: str, as_json: bool) -> None:
    """Have a reviewer look after a request."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        done = await access.claim(session, request, by=await _reviewer(house, session, name, request))
    _tell(done, f"{name} looks after {request_id}.", as_json=as_json)


@requests.command("vote")
@click.argument("request_id")
@click.argument("value", type=click.Choice(access.VOTES))
@click.option("--as", "name", required=True, help="Who votes.")
@click.option("--comment", default="", help="Why; colleagues read it.")
@json_option
@pass_house
@command
async def vote(house: House, request_id: str, value: str, name: str, comment: str, as_json: bool) -> None:
    """Say how a reviewer would decide a request; it decides nothing."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        by = await _reviewer(house, session, name, request)
        done = await access.vote(session, request, by=by, value=value, comment=comment)
    _tell(done, f"{name} votes {value} on {request_id}.", as_json=as_json)


@requests.command("delegate")
@click.argument("request_id")
@click.argument("person")
@click.option("--comment", required=True, help="Why; the new applicant reads it.")
@json_option
@pass_house
@command
async def delegate(house: House, request_id: str, person: str, comment: str, as_json: bool) -> None:
    """Hand a request on to PERSON, who becomes its applicant and sends it themselves."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        to = await require_person(session, person)
        done = await access.delegate(session, request, to, by=OPERATOR, comment=comment)
    _tell(done, f"Handed {request_id} on to {person}.", as_json=as_json)


@requests.command("suspend")
@click.argument("request_id")
@click.option("--reason", required=True, help="What the person is told.")
@json_option
@pass_house
@command
async def suspend(house: House, request_id: str, reason: str, as_json: bool) -> None:
    """Stop the access that a request led to for now; it binds on the next request."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        done = await access.suspend(session, request, by=OPERATOR, reason=reason)
    _tell(done, f"Suspended the access of {request_id}.", as_json=as_json)


@requests.command("resume")
@click.argument("request_id")
@json_option
@pass_house
@command
async def resume(house: House, request_id: str, as_json: bool) -> None:
    """Let suspended access go on."""
    async with house.write() as session:
        request = await access.get(session, request_id)
        done = await access.resume(session, request, by=OPERATOR)
    _tell(done, f"The access of {request_id} goes on.", as_json=as_json)


async def _reviewer(house: House, session: AsyncSession, name: str, request: access.AccessRequest) -> Principal:
    """Somebody who may review this request."""
    by = await principals.for_person(session, await require_person(session, name))
    repo = await session.get_one(Repo, request.repo_id)
    authz.require(house.policies, by, Action.REVIEW, await authz.load(session, by, repo), now())
    return by


def _tell(request: access.AccessRequest, told: str, *, as_json: bool) -> None:
    show({"id": request.id, "state": request.state.value}, told, as_json=as_json)


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
