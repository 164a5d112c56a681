"""People of the hub, for its administrators: list, add, disable, and who else administers it."""

from dataclasses import dataclass

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, tokens
from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.notices import webhooks
from gatekeeper.web.admin.scope import next_page
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.oauth.applications import connected
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render
from gatekeeper.web.templating import segment

_LONGEST_QUERY = 100
_ADMINISTRATOR = "/admin/people/{person}/administrator"


@dataclass(frozen=True)
class Form:
    """The form as it was sent."""

    name: str = ""
    fullname: str = ""
    email: str = ""
    is_admin: bool = False


async def show(call: Call) -> Response:
    """`GET /admin/people`."""
    return await _page(call, Form())


async def add(call: Call) -> Response:
    """`POST /admin/people`: the answer is the page with the link for the person, which exists nowhere else."""
    sent = await forms.read(call.request)
    form = Form(
        forms.text(sent, "name", most=100).strip(),
        forms.text(sent, "fullname", most=300),
        forms.text(sent, "email", most=300),
        "is_admin" in sent,
    )
    try:
        async with call.session.begin_nested():
            person = await accounts.people.add(
                call.session,
                form.name,
                email=form.email,
                fullname=form.fullname,
                is_admin=form.is_admin,
                by=call.principal,
            )
    except (Invalid, Conflict) as error:
        return await _page(call, form, errors={_field_of(error.message): error.sentence}, status=422)
    if not call.gatekeeper.settings.local_sign_in:
        return RedirectResponse("/admin/people?done=person-added", 303)
    secret = await accounts.links.first_password(call.session, person, key=call.gatekeeper.keys.sessions)
    return render(call, "admin/person_added.html", person=person, link=call.gatekeeper.url(f"/reset?link={secret}"))


async def confirm(call: Call) -> Response:
    """`GET /admin/people/{name}/disable`: says what it will do."""
    person = await named(call)
    return render(
        call,
        "admin/disable.html",
        person=person,
        tokens=len(await tokens.list_for(call.session, person.id)),
        applications=len(await connected(call, person.id, base="")),
        webhooks=len(await webhooks.list_for(call.session, person.id)),
    )


async def disable(call: Call) -> Response:
    """`POST /admin/people/{name}/disable`."""
    person = await named(call)
    await accounts.people.disable(call.session, person, by=call.principal)
    return RedirectResponse(f"/admin/people/{segment(person.name)}?done=person-disabled", 303)


async def confirm_administration(call: Call) -> Response:
    """`GET /admin/people/{name}/administrator`: says what it will do."""
    return render(call, "admin/administrator.html", person=await named(call))


async def change_administration(call: Call) -> Response:
    """`POST /admin/people/{name}/administrator`: make them an administrator, or no longer one."""
    person = await named(call)
    wanted = forms.text(await forms.read(call.request), "is_admin", most=5) == "yes"
    await accounts.people.set_admin(call.session, person, is_admin=wanted, by=call.principal)
    left = person.id == call.principal.person_id and not wanted
    return RedirectResponse("/?done=administration" if left else "/admin/people?done=administration", 303)


async def named(call: Call) -> Person:
    """The person of the path. Raises NotFound."""
    person = await accounts.people.find(call.session, call.params["person"])
    if person is None:
        raise NotFound("There is nobody with this name.", next_step="Take them from the list of people.")
    return person


def _field_of(message: str) -> str:
    """Which input a sentence of the accounts room is about."""
    lowered = message.lower()
    for word, field in (("mail", "email"), ("full name", "fullname")):
        if word in lowered:
            return field
    return "name"


async def _page(call: Call, form: Form, *, errors: dict[str, str] | None = None, status: int = 200) -> HTMLResponse:
    query = call.request.query_params
    begins = query.get("q", "")[:_LONGEST_QUERY].strip()
    page = await accounts.people.listing(call.session, begins=begins, after=query.get("after", "")[:_LONGEST_QUERY])
    return render(
        call,
        "admin/people.html",
        status=status,
        people=page.items,
        query=begins,
        more=next_page("/admin/people", {"q": begins}, page.after),
        form=form,
        local_sign_in=call.gatekeeper.settings.local_sign_in,
        invites=call.gatekeeper.settings.sign_up != "closed",
        errors=errors or {},
    )


ROUTES = [
    guarded("/admin/people", show, needs=Action.ADMIN_PEOPLE),
    guarded("/admin/people", add, needs=Action.ADMIN_PEOPLE, methods=("POST",), is_dangerous=True),
    guarded(_ADMINISTRATOR, confirm_administration, needs=Action.ADMIN_PEOPLE, is_dangerous=True),
    guarded(_ADMINISTRATOR, change_administration, needs=Action.ADMIN_PEOPLE, methods=("POST",), is_dangerous=True),
    guarded("/admin/people/{person}/disable", confirm, needs=Action.ADMIN_PEOPLE),
    guarded("/admin/people/{person}/disable", disable, needs=Action.ADMIN_PEOPLE, methods=("POST",), is_dangerous=True),
]
