"""The pages of organizations: a list of them with some members each, and all members of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse

from gatekeeper import accounts, authz
from gatekeeper.accounts import Membership, Organization, Person, Role
from gatekeeper.accounts.names import fold
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.kit.clock import now
from gatekeeper.web.admin.scope import next_page, runs_hub
from gatekeeper.web.guard import Call
from gatekeeper.web.portal.views import render

_PAGE = 20
_SHOWN = 12  # members of each beside one another; all of one stand on a page of their own
_MEMBERS = 50
_LONGEST = 100


@dataclass(frozen=True)
class Form:
    """The form as it was sent."""

    name: str = ""
    fullname: str = ""


@dataclass(frozen=True)
class Member:
    """One member in the list."""

    key: str
    name: str
    role: str
    is_safety: bool
    may_remove: bool


@dataclass(frozen=True)
class Invited:
    """Somebody who was invited and has not answered."""

    id: str
    name: str
    role: str
    is_safety: bool


@dataclass(frozen=True)
class Row:
    """An organization with its members."""

    id: str
    name: str
    fullname: str
    members: tuple[Member, ...]
    invited: tuple[Invited, ...]
    may_manage: bool
    has_more: bool


async def listing(
    call: Call,
    form: Form,
    sent: FormData | None = None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The caller's organizations, or all for who runs the hub, from the one that the address names on."""
    # A form that was refused comes back at the head of the list, from wherever it was sent.
    begin = fold(call.params.get("organization", "") or call.request.query_params.get("from", ""))
    query = sa.select(Organization).where(col(Organization.deleted_at).is_(None), col(Organization.name_key) >= begin)
    me, mine = call.principal.person_id or "", await _mine(call)
    if not runs_hub(call):
        query = query.where(col(Organization.id).in_(list(mine)))
    listed = (await call.session.scalars(query.order_by(col(Organization.name_key)).limit(_PAGE + 1))).all()
    found = listed[:_PAGE]
    people = await accounts.organizations.memberships_in(call.session, found, first_id=me, most=_SHOWN + 1)
    for id in (each.id for each in found if mine.get(each.id) is Role.GUEST and not runs_hub(call)):
        people[id] = people[id][:1]  # themselves
    return _shown(
        call,
        await _rows(call, found, people, most=_SHOWN),
        status=status,
        first="/admin/organizations" if begin else None,
        more=f"/admin/organizations?{urlencode({'from': listed[_PAGE].name_key})}" if len(listed) > _PAGE else None,
        invitations=[
            (offer.id, organization.name, offer.role.value, offer.is_safety)
            for offer, organization in await accounts.offers.waiting_for(call.session, me)
        ],
        suspended=[
            each.name
            for each in await accounts.memberships.asking(call.session, me)
            if each.id in call.principal.suspended
        ],
        form=form,
        sent=sent,
        errors=errors,
    )


async def members_page(
    call: Call,
    organization: Organization | None,
    *,
    begins: str,
    sent: FormData | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """All members of one organization, for whoever finds them in the list."""
    role = (await _mine(call)).get(organization.id) if organization else None
    if organization is None or (role in (None, Role.GUEST) and not runs_hub(call)):
        raise NotFound("There is no such organization.", next_step="Take it from the list.")
    path, after = f"/admin/organizations/{quote(organization.name)}/members", call.request.query_params.get("after", "")
    page = await accounts.organizations.members_named(
        call.session, organization, begins=begins, after=after[:_LONGEST], limit=_MEMBERS
    )
    return _shown(
        call,
        await _rows(call, [organization], {organization.id: list(page.items)}, most=_MEMBERS),
        status=status,
        members_of=organization.name,
        query=begins,
        first=f"{path}?{urlencode({'q': begins})}" if after else None,
        more=next_page(path, {"q": begins}, page.after),
        sent=sent,
        errors=errors,
    )


def _shown(
    call: Call, rows: list[Row], *, sent: FormData | None, errors: dict[str, str] | None, **context: Any
) -> HTMLResponse:
    defaults: dict[str, Any] = {"members_of": "", "query": "", "invitations": (), "suspended": (), "form": Form()}
    return render(
        call,
        "admin/organizations.html",
        sees_all=runs_hub(call),
        organizations=rows,
        typed=dict(sent or {}),
        errors=errors or {},
        **(defaults | context),
    )


async def _mine(call: Call) -> dict[str, Role]:
    mine = await accounts.organizations.organizations_of(call.session, call.principal.person_id or "")
    return {each.id: role for each, role in mine}


async def _rows(
    call: Call,
    organizations: Sequence[Organization],
    people: Mapping[str, list[tuple[Person, Membership]]],
    *,
    most: int,
) -> list[Row]:
    """Organizations with up to `most` of these people, and who is invited for those who manage them."""
    offers = await accounts.offers.of(call.session, organizations)
    hubs = await authz.load_namespaces(call.session, call.principal, [each.name for each in organizations])
    rows = []
    for organization in organizations:
        may = authz.decide(
            call.gatekeeper.policies, call.principal, Action.MANAGE_ORGANIZATION, hubs[organization.name], now()
        )
        rows.append(
            Row(
                organization.id,
                organization.name,
                organization.fullname,
                tuple(
                    Member(
                        f"{organization.id}-{person.id}",
                        person.name,
                        held.role.value,
                        held.is_safety,
                        bool(may) or person.id == call.principal.person_id,
                    )
                    for person, held in people[organization.id][:most]
                ),
                tuple(
                    Invited(offer.id, person.name, offer.role.value, offer.is_safety)
                    for offer, person in offers[organization.id]
                    if may
                ),
                bool(may),
                len(people[organization.id]) > most,
            )
        )
    return rows
