"""Organizations: mine (all of them for an administrator), their members, and making one."""

from dataclasses import dataclass
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, authz
from gatekeeper.accounts import Organization, Role
from gatekeeper.accounts.names import fold
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PAGE = 20


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


async def show(call: Call) -> Response:
    """`GET /admin/organizations`."""
    return await _page(call, Form())


async def create(call: Call) -> Response:
    """`POST /admin/organizations`."""
    sent = await forms.read(call.request)
    form = Form(forms.text(sent, "name", most=100).strip(), forms.text(sent, "fullname", most=300))
    try:
        async with call.session.begin_nested():
            await accounts.organizations.create(call.session, form.name, by=call.principal, fullname=form.fullname)
    except (Invalid, Conflict) as error:
        field = "fullname" if "full name" in error.message.lower() else "name"
        return await _page(call, form, errors={field: error.sentence}, status=422)
    return RedirectResponse("/admin/organizations?done=organization-added", 303)


async def invite(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/members`: ask somebody to join."""
    organization, sent = await managed_organization(call), await forms.read(call.request)
    field = f"person-{organization.id}"
    person = await accounts.people.find(call.session, forms.text(sent, field, most=60).strip())
    role = forms.text(sent, f"role-{organization.id}", most=10)
    if person is None or role not in set(Role):
        return await _page(call, Form(), sent, errors={field: "There is nobody with this name."}, status=422)
    try:
        async with call.session.begin_nested():
            await accounts.offers.make(
                call.session,
                organization,
                person,
                Role(role),
                by=call.principal,
                is_safety=f"safety-{organization.id}" in sent,
            )
    except Conflict as error:
        return await _page(call, Form(), sent, errors={field: error.sentence}, status=422)
    return RedirectResponse("/admin/organizations?done=member-invited", 303)


async def change_member(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/members/{person}`: another role, and whether in the safety team."""
    organization, sent = await managed_organization(call), await forms.read(call.request)
    person = await accounts.people.find(call.session, call.params["person"])
    if person is None or await accounts.organizations.membership(call.session, organization, person.id) is None:
        raise NotFound("There is no such membership.", next_step="Take it from the list.")
    key = f"{organization.id}-{person.id}"
    role = forms.text(sent, f"role-{key}", most=10)
    if role not in set(Role):
        return await _page(call, Form(), sent, errors={f"role-{key}": "Choose a role."}, status=422)
    try:
        async with call.session.begin_nested():
            await accounts.organizations.add_member(
                call.session, organization, person, Role(role), by=call.principal, is_safety=f"safety-{key}" in sent
            )
    except Conflict as error:
        return await _page(call, Form(), sent, errors={f"role-{key}": error.sentence}, status=422)
    return RedirectResponse("/admin/organizations?done=member-added", 303)


async def remove_member(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/members/{person}/remove`: takes a member out, or lets oneself go."""
    organization = await accounts.organizations.find(call.session, call.params["organization"])
    person = await accounts.people.find(call.session, call.params["person"])
    if organization is None or person is None:
        raise NotFound("There is no such membership.", next_step="Take it from the list.")
    try:
        async with call.session.begin_nested():
            await accounts.organizations.remove_member(call.session, organization, person, by=call.principal)
    except Conflict as error:
        return await _page(call, Form(), errors={"": error.sentence}, status=error.status)
    return RedirectResponse("/admin/organizations?done=member-removed", 303)


async def _page(
    call: Call,
    form: Form,
    sent: FormData | None = None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    sees_all = runs_hub(call)
    # A form that was refused comes back at the head of the list, from wherever it was sent.
    begin = fold(call.params.get("organization", "") or call.request.query_params.get("from", ""))
    query = sa.select(Organization).where(col(Organization.deleted_at).is_(None), col(Organization.name_key) >= begin)
    rows, me = [], call.principal.person_id or ""
    mine = {each.id: role for each, role in await accounts.organizations.organizations_of(call.session, me)}
    if not sees_all:
        query = query.where(col(Organization.id).in_(list(mine)))
    listed = (await call.session.scalars(query.order_by(col(Organization.name_key)).limit(_PAGE + 1))).all()
    found = listed[:_PAGE]
    memberships = await accounts.organizations.memberships_in(call.session, found)
    offers = await accounts.offers.of(call.session, found)
    hubs = await authz.load_namespaces(call.session, call.principal, [each.name for each in found])
    for organization in found:
        members = memberships[organization.id]
        if not sees_all and mine[organization.id] is Role.GUEST:
            members = [(person, held) for person, held in members if person.id == me]
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
                        bool(may) or person.id == me,
                    )
                    for person, held in members
                ),
                tuple(
                    Invited(offer.id, person.name, offer.role.value, offer.is_safety)
                    for offer, person in offers[organization.id]
                    if may
                ),
                bool(may),
            )
        )
    return render(
        call,
        "admin/organizations.html",
        status=status,
        sees_all=sees_all,
        organizations=rows,
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
        typed=dict(sent or {}),
        errors=errors or {},
    )


ROUTES = [
    guarded("/admin/organizations", show, needs=Action.USE_ACCOUNT),
    guarded("/admin/organizations", create, needs=Action.CREATE_ORGANIZATION, methods=("POST",)),
    guarded(
        "/admin/organizations/{organization}/members",
        invite,
        needs=Action.USE_ACCOUNT,
        methods=("POST",),
        is_dangerous=True,
    ),
    guarded(
        "/admin/organizations/{organization}/members/{person}",
        change_member,
        needs=Action.USE_ACCOUNT,
        methods=("POST",),
        is_dangerous=True,
    ),
    guarded(
        "/admin/organizations/{organization}/members/{person}/remove",
        remove_member,
        needs=Action.MANAGE_ACCOUNT,
        methods=("POST",),
        is_dangerous=True,
    ),
]
