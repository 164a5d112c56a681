"""Quotas: what the policy allows everybody, and what was changed for somebody."""

import re
from dataclasses import dataclass

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, generation
from gatekeeper.accounts import Organization, Person
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.generation import Change, Safety
from gatekeeper.web.admin.scope import next_page
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PAGE = 50
_LONGEST = 100
_NUMBERS = ("images_per_day", "compute_seconds_per_day", "concurrency")


@dataclass(frozen=True)
class Form:
    """The form as it was sent."""

    name: str = ""
    images_per_day: str = ""
    compute_seconds_per_day: str = ""
    concurrency: str = ""
    weight: str = ""
    reason: str = ""


async def show(call: Call) -> Response:
    """`GET /admin/quotas`; `?name=` fills in whose is to be changed, and what was changed for them before."""
    name = call.request.query_params.get("name", "")[:60]
    found = await generation.list_changes(call.session, begins=name, limit=1)
    before = next((row for row, whose in found.items if whose == name), None)
    texts = {each: str(value) for each in (*_NUMBERS, "weight") if (value := getattr(before, each, None)) is not None}
    return await _page(call, Form(name=name, **texts))


async def change(call: Call) -> Response:
    """`POST /admin/quotas`: other numbers for a person, or for an organization's people; none ends the change."""
    sent = await forms.read(call.request)
    form = Form(**{name: forms.text(sent, name, most=500).strip() for name in Form.__dataclass_fields__})
    errors = {
        name: "This must be a whole number, or empty."
        for name in _NUMBERS
        if (text := getattr(form, name)) and not (text.isascii() and text.isdigit() and len(text) < 8)
    }
    weight = _weight(form.weight)
    if form.weight and weight is None:
        errors["weight"] = "This must be a number like 2 or 0.5, or empty."
    subject = await _subject(call, form.name)
    if subject is None:
        errors["name"] = "There is no person and no organization of this name."
    if errors or subject is None:
        return await _page(call, form, errors=errors, status=422)
    numbers = {name: int(getattr(form, name)) for name in _NUMBERS if getattr(form, name)}
    try:
        async with call.session.begin_nested():
            await generation.change_quota(
                call.session, subject, Change(**numbers, weight=weight), reason=form.reason, by=call.principal
            )
    except Invalid as error:
        return await _page(call, form, errors={str(error.details["field"]): error.sentence}, status=422)
    return RedirectResponse("/admin/quotas?done=quota-changed", 303)


async def _subject(call: Call, name: str) -> Person | Organization | None:
    return await accounts.people.find(call.session, name) or await accounts.organizations.find(call.session, name)


def _weight(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text, re.ASCII) else None


async def _page(call: Call, form: Form, *, errors: dict[str, str] | None = None, status: int = 200) -> HTMLResponse:
    safety, query = Safety.load(call.gatekeeper.policies.directory), call.request.query_params
    begins = query.get("q", "")[:_LONGEST].strip()
    page = await generation.list_changes(
        call.session, begins=begins, after=query.get("after", "")[:_LONGEST], limit=_PAGE
    )
    return render(
        call,
        "admin/quotas.html",
        status=status,
        budgets=[("Each person", safety.person), ("The people of each organization", safety.organization)],
        changes=page.items,
        query=begins,
        more=next_page("/admin/quotas", {"q": begins}, page.after),
        form=form,
        errors=errors or {},
    )


ROUTES = [
    guarded("/admin/quotas", show, needs=Action.ADMIN_PEOPLE),
    guarded("/admin/quotas", change, needs=Action.ADMIN_PEOPLE, methods=("POST",), is_dangerous=True),
]
