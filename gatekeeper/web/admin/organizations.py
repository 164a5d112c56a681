"""Organizations: mine (all of them for an administrator), their members, and making one."""

from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import Role
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.web.admin.organization_list import Form, listing, members_page
from gatekeeper.web.admin.scope import managed_organization
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms

_MEMBERS_PATH = "/admin/organizations/{organization}/members"
_LONGEST = 100


async def show(call: Call) -> Response:
    """`GET /admin/organizations`."""
    return await listing(call, Form())


async def members(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/members`: all of them by name; `?q=` is how a name begins."""
    organization = await accounts.organizations.find(call.session, call.params["organization"])
    return await members_page(call, organization, begins=call.request.query_params.get("q", "")[:_LONGEST].strip())


async def create(call: Call) -> Response:
    """`POST /admin/organizations`."""
    sent = await forms.read(call.request)
    form = Form(forms.text(sent, "name", most=100).strip(), forms.text(sent, "fullname", most=300))
    try:
        async with call.session.begin_nested():
            await accounts.organizations.create(call.session, form.name, by=call.principal, fullname=form.fullname)
    except (Invalid, Conflict) as error:
        field = "fullname" if "full name" in error.message.lower() else "name"
        return await listing(call, form, errors={field: error.sentence}, status=422)
    return RedirectResponse("/admin/organizations?done=organization-added", 303)


async def invite(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/members`: ask somebody to join."""
    organization, sent = await managed_organization(call), await forms.read(call.request)
    field = f"person-{organization.id}"
    person = await accounts.people.find(call.session, forms.text(sent, field, most=60).strip())
    role = forms.text(sent, f"role-{organization.id}", most=10)
    if person is None or role not in set(Role):
        return await listing(call, Form(), sent, errors={field: "There is nobody with this name."}, status=422)
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
        return await listing(call, Form(), sent, errors={field: error.sentence}, status=422)
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
        wrong = {f"role-{key}": "Choose a role."}
        return await members_page(call, organization, begins=person.name, sent=sent, errors=wrong, status=422)
    try:
        async with call.session.begin_nested():
            await accounts.organizations.add_member(
                call.session, organization, person, Role(role), by=call.principal, is_safety=f"safety-{key}" in sent
            )
    except Conflict as error:
        wrong = {f"role-{key}": error.sentence}
        return await members_page(call, organization, begins=person.name, sent=sent, errors=wrong, status=422)
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
        wrong = {"": error.sentence}
        return await members_page(call, organization, begins=person.name, errors=wrong, status=error.status)
    return RedirectResponse("/admin/organizations?done=member-removed", 303)


ROUTES = [
    guarded("/admin/organizations", show, needs=Action.USE_ACCOUNT),
    guarded("/admin/organizations", create, needs=Action.CREATE_ORGANIZATION, methods=("POST",)),
    guarded(_MEMBERS_PATH, members, needs=Action.USE_ACCOUNT),
    guarded(
        _MEMBERS_PATH,
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
