"""The policies for who runs the hub: the matrix they make, what a change of them would do, and what was in force."""

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action, BrokenPolicies, Policies, Simulation
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.web import words
from gatekeeper.web.admin.scope import names_of
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import policies_dir, render

_HERE = "/admin/policies"
_SHOWN = 100
# What is looked at while somebody waits; `gatekeeper policies simulate` looks at everything.
_PEOPLE, _ACTS, _DECISIONS = 100, 500, 8_000
_MOST_CHARS = 200_000
_COLUMNS = {
    column.title: words.STAGES[column.title].label if column.title in words.STAGES else column.title.capitalize()
    for column in authz.COLUMNS
}


@dataclass(frozen=True)
class Form:
    """What was sent: an earlier bundle, or a file with its changed text; a note for a way back."""

    bundle: str = ""
    file: str = ""
    text: str = ""
    note: str = ""


async def show(call: Call) -> Response:
    """`GET /admin/policies`: the matrix, the simulator and the bundles that were in force.

    `?file=` puts the present text of a file into the simulator, `?bundle=` chooses one.
    """
    query = call.request.query_params
    file, bundle = query.get("file", ""), query.get("bundle", "")[:64]
    path = policies_dir(call) / file
    text = path.read_text(encoding="utf-8") if file in _files(call) else ""
    return await page(call, Form(bundle, file if text else "", text))


async def simulate(call: Call) -> Response:
    """`POST /admin/policies/simulate`: who would gain or lose with another bundle, or with one file changed.

    Nothing is changed.
    """
    sent = await forms.read(call.request)
    form = Form(
        forms.text(sent, "bundle", most=64),
        forms.text(sent, "file", most=100),
        forms.text(sent, "text", most=_MOST_CHARS),
    )
    try:
        if form.bundle:
            shelf = call.gatekeeper.settings.policies_shelf
            found = await _compare(call, await authz.unfold(call.session, form.bundle, shelf))
        else:
            with authz.with_changed(call.gatekeeper.policies, form.file, form.text) as policies:
                found = await _compare(call, policies)
    except (BrokenPolicies, NotFound) as error:
        return await page(call, form, errors={"bundle" if form.bundle else "text": error.message}, status=422)
    return await page(call, form, found=found)


async def roll_back(call: Call) -> Response:
    """`POST /admin/policies/rollback`: put an earlier bundle in force again, at once and in every process."""
    sent = await forms.read(call.request)
    to = forms.text(sent, "to", most=64)
    form = Form(bundle=to, note=forms.text(sent, f"note-{to}"))
    if forms.text(sent, f"sure-{to}", most=64) != to or not to:
        return await page(call, form, errors={f"sure-{to}": "Tick that you mean it."}, status=422)
    try:
        async with call.session.begin_nested():
            await authz.roll_back(call.session, by=call.principal, note=form.note, to=to)
    except (BrokenPolicies, Invalid, NotFound, Conflict) as error:
        return await page(call, form, errors={f"note-{to}": error.message}, status=error.status)
    return RedirectResponse(f"{_HERE}?done=rolled-back", 303)


async def _compare(call: Call, policies: Policies) -> Simulation:
    return await authz.simulate(
        call.session,
        call.gatekeeper.policies,
        policies,
        instant=now(),
        people=_PEOPLE,
        acts=_ACTS,
        decisions=_DECISIONS,
    )


def _files(call: Call) -> list[str]:
    """The rules, which can be tried out changed. Tables of limits and texts change no right."""
    return sorted(path.name for path in policies_dir(call).glob("*.cedar"))


async def page(
    call: Call,
    form: Form,
    *,
    found: Simulation | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    past = await authz.history(call.session, limit=_SHOWN)
    names = await names_of(call, [row.person_id for row in past])
    present = call.gatekeeper.policies.sha256
    earlier = list(dict.fromkeys(row.bundle_sha256 for row in past if row.bundle_sha256 != present))
    waiting = [row.sha256 for row in await authz.candidates(call.session)]
    return render(
        call,
        "admin/policies.html",
        status=status,
        present=present,
        rules=sum(1 for _ in call.gatekeeper.policies.rules),
        columns=_COLUMNS.values(),
        rows=[
            (row.title, [(title, authz.in_words(row.cells[place])) for place, title in _COLUMNS.items()])
            for row in authz.matrix(call.gatekeeper.policies)
        ],
        past=[(row, names.get(row.person_id or "", "the operator")) for row in past],
        earlier=earlier,
        candidate=form.bundle if form.bundle in waiting else "",
        back=form.bundle if form.bundle in earlier else "",
        bundles=[
            ("", "The file below"),
            *((sha256, f"Candidate {sha256[:16]}") for sha256 in waiting),
            *((sha256, f"Bundle {sha256[:16]}") for sha256 in earlier),
        ],
        files=[(name, name) for name in _files(call)],
        form=form,
        found=found,
        most=_SHOWN,
        errors=errors or {},
    )


ROUTES = [
    guarded(_HERE, show, needs=Action.ADMIN_POLICIES),
    guarded(f"{_HERE}/simulate", simulate, needs=Action.ADMIN_POLICIES, methods=("POST",), mode="read"),
    guarded(f"{_HERE}/rollback", roll_back, needs=Action.ADMIN_POLICIES, methods=("POST",), is_dangerous=True),
]
