"""What people bring before access counts (training, credential, country), and what repositories demand of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import FormData, QueryParams
from starlette.responses import RedirectResponse, Response

from gatekeeper import access, accounts
from gatekeeper.access import Prerequisite, RepoRequirement
from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.admin.scope import PAGE, decided, in_care, may_review, named, names_of, runs_hub
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_HERE = "/admin/prerequisites"
_WAIVE = f"{_HERE}/demands/{{repo}}/{{kind}}/waive"
_EVERYWHERE = "everywhere"
_NOT_HERE = {"repository": "There is no such repository in your care."}


@dataclass(frozen=True)
class Form:
    """What was sent. `place` is `repo` or `everywhere`; `which` says which of the page's forms it was."""

    which: str = ""
    person: str = ""
    kind: str = ""
    value: str = ""
    evidence: str = ""
    place: str = "repo"
    repository: str = ""
    until: str = ""

    @property
    def values(self) -> list[str]:
        """The values that count, as a demand names them."""
        return [value for value in self.value.split(",") if value.strip()]

    @classmethod
    def of(cls, which: str, sent: FormData | QueryParams) -> "Form":
        """The fields of the form named `which`, whose names begin with that."""
        names = ("person", "kind", "value", "place", "repository", "until")
        texts = {name: forms.text(sent, f"{which}-{name}", most=2_000).strip() for name in names}
        return cls(which, evidence=forms.text(sent, f"{which}-evidence"), **texts)


async def show(call: Call) -> Response:
    """`GET /admin/prerequisites`."""
    return await _page(call, Form(), {})


async def vouch(call: Call) -> Response:
    """`POST /admin/prerequisites`: record what a person has shown."""
    form = Form.of("vouch", await forms.read(call.request))
    person = await accounts.people.find(call.session, form.person)
    repo = await named(call, form.repository) if form.place == "repo" else None
    wrong = {} if person else {"person": "There is nobody with this name."}
    if form.place == "repo" and repo is None:
        wrong["repository"] = "There is no such repository in your care."
    if form.place not in [value for value, _ in _places(call)]:
        wrong["place"] = "Choose from the list."
    try:
        until = forms.last_instant(form.until)
    except ValueError as problem:
        wrong["until"] = str(problem)
    if wrong or person is None:
        return await _page(call, form, wrong, status=422)

    async def record() -> None:
        await access.vouch(
            call.session,
            person,
            form.kind,
            by=call.principal,
            evidence=form.evidence,
            value=form.value,
            repo=repo,
            ends_at=until,
            rules=request_rules(call),
        )

    return await _try(call, form, record, done="vouched")


async def take_back(call: Call) -> Response:
    """`POST /admin/prerequisites/{id}/withdraw`: it does not count any more."""
    sent = await forms.read(call.request)
    found = await call.session.get(Prerequisite, call.params["id"])
    if found is None or not await _keeps(call, found.repo_id):
        raise NotFound("There is no such prerequisite.", next_step="Take it from the list.")
    reason = forms.text(sent, f"reason-{found.id}")

    async def end() -> None:
        await access.take_back(call.session, found, by=call.principal, reason=reason)

    return await _try(call, Form("reason", value=reason), end, done="taken-back", field=found.id)


async def confirm_demand(call: Call) -> Response:
    """`GET /admin/prerequisites/demands?demand-repository=...`: says whom a demand would refuse, before it is made."""
    form = Form.of("demand", call.request.query_params)
    repo = await named(call, form.repository)
    if repo is None:
        return await _page(call, form, _NOT_HERE, status=422)
    try:
        wanted = access.demand(repo, form.kind, form.values, rules=request_rules(call))
    except Invalid as error:
        return await _page(call, form, {_field(error): error.sentence}, status=422)
    return await _confirm(call, repo, wanted, form)


async def require(call: Call) -> Response:
    """`POST /admin/prerequisites/demands`: a repository demands one of everybody who uses a grant."""
    form = Form.of("demand", await forms.read(call.request))
    repo = await named(call, form.repository)
    if repo is None:
        return await _page(call, form, _NOT_HERE, status=422)

    async def demand() -> None:
        await access.require(
            call.session, repo, form.kind, by=call.principal, accepted=form.values, rules=request_rules(call)
        )

    return await _try(call, form, demand, done="required")


async def confirm_waiver(call: Call) -> Response:
    """`GET /admin/prerequisites/demands/{repo}/{kind}/waive`: says whom it lets in again."""
    repo = await _of_path(call)
    found = await call.session.get(RepoRequirement, (repo.id, call.params["kind"]))
    if found is None:
        raise NotFound(f"{repo.full_name} does not demand this.", next_step="Take it from the list.")
    return await _confirm(call, repo, found)


async def waive(call: Call) -> Response:
    """`POST /admin/prerequisites/demands/{repo}/{kind}/waive`: a repository demands it no longer."""
    await access.no_longer_require(call.session, await _of_path(call), call.params["kind"], by=call.principal)
    return RedirectResponse(f"{_HERE}?done=not-demanded", 303)


async def _of_path(call: Call) -> Repo:
    repo = await call.session.get(Repo, call.params["repo"])
    if repo is None or repo.deleted_at is not None or not await may_review(call, repo):
        raise NotFound("There is no such repository.", next_step="Take it from the list.")
    return repo


async def _confirm(call: Call, repo: Repo, wanted: RepoRequirement, form: Form | None = None) -> Response:
    """What a demand (`form`), or its end, leads to, with the people of this moment."""
    at = now()
    without = access.holders_without(repo.id, wanted.kind, wanted.accepted, at)
    holders = await call.session.scalar(sa.select(sa.func.count()).select_from(access.holders(repo.id, at).subquery()))
    people = await call.session.scalars(
        sa.select(col(Person.name)).where(col(Person.id).in_(without)).order_by(col(Person.name_key))
    )
    return render(
        call,
        "admin/demand.html",
        sees_all=runs_hub(call),
        repository=repo.full_name,
        title=request_rules(call).kind(wanted.kind).title,
        wanted=wanted,
        form=form,
        people=people.all(),
        holders=holders or 0,
    )


async def _try(call: Call, form: Form, act: Callable[[], Awaitable[None]], *, done: str, field: str = "") -> Response:
    """Do it, or show the page with what is wrong beside the field that it is about."""
    try:
        async with call.session.begin_nested():
            await act()
    except (Invalid, NotAllowed, Conflict) as error:
        return await _page(call, form, {field or _field(error): error.sentence}, status=error.status)
    return RedirectResponse(f"{_HERE}?done={done}", 303)


def _field(error: GatekeeperError) -> str:
    """Which field of the form an answer is about."""
    about = {"themselves": "person", "kind of": "kind", "value": "value", "code": "value", "end must": "until"}
    return next((field for words, field in about.items() if words in error.message), "evidence")


async def _keeps(call: Call, repo_id: str | None) -> bool:
    if repo_id is None:
        return runs_hub(call)
    repo = await call.session.get(Repo, repo_id)
    return repo is not None and repo.deleted_at is None and await may_review(call, repo)


def _places(call: Call) -> list[tuple[str, str]]:
    return [("repo", "One repository"), *([(_EVERYWHERE, "All repositories of this hub")] if runs_hub(call) else [])]


async def _page(call: Call, form: Form, errors: dict[str, str], *, status: int = 200) -> Response:
    begin = await call.session.get(Prerequisite, call.request.query_params.get("from", ""))
    listed = await access.prerequisites_in(
        call.session,
        repos=[in_care(call)],
        has_all=runs_hub(call),
        begin=begin,
        limit=PAGE + 1,
    )
    rows = listed[:PAGE]
    demands = await access.requirements_in(call.session, [in_care(call)])
    wanted = {made.repo_id for made, _ in rows if made.repo_id} | {each.repo_id for each in demands}
    repos = await call.session.scalars(sa.select(Repo).where(col(Repo.id).in_(wanted)))
    kept = {repo.id: repo.full_name for repo in await decided(call, repos.all())}
    names = await names_of(call, [made.set_by for made, _ in rows])
    kinds = {each.kind: each.title for each in request_rules(call).kinds}
    at = now()
    return render(
        call,
        "admin/prerequisites.html",
        status=status,
        sees_all=runs_hub(call),
        people=[
            _row(made, person, kept, names, kinds, at)
            for made, person in rows
            if made.repo_id is None or made.repo_id in kept
        ],
        demands=[
            (each, kept[each.repo_id], kinds.get(each.kind, each.kind)) for each in demands if each.repo_id in kept
        ],
        first=_HERE if begin else None,
        more=f"{_HERE}?from={listed[PAGE][0].id}" if len(listed) > PAGE else None,
        kinds=list(kinds.items()),
        places=_places(call),
        form=form,
        blank=Form(),
        errors={f"{form.which}-{name}": text for name, text in errors.items()},
    )


def _row(
    made: Prerequisite,
    person: Person,
    repos: dict[str, str],
    names: dict[str, str],
    kinds: dict[str, str],
    at: datetime,
) -> dict[str, Any]:
    return {
        "id": made.id,
        "person": person.name,
        "title": kinds.get(made.kind, made.kind),
        "value": made.value,
        "place": repos[made.repo_id] if made.repo_id else "all of this hub",
        "evidence": made.evidence,
        "set_at": made.set_at,
        "set_by": names.get(made.set_by or "", ""),
        "ends_at": made.ends_at,
        "withdrawn_at": made.withdrawn_at,
        "counts": access.counts(made, at),
    }


ROUTES = [
    guarded(_HERE, show, needs=Action.USE_ACCOUNT),
    guarded(_HERE, vouch, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_HERE}/demands", confirm_demand, needs=Action.USE_ACCOUNT, is_dangerous=True),
    guarded(f"{_HERE}/demands", require, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(_WAIVE, confirm_waiver, needs=Action.USE_ACCOUNT, is_dangerous=True),
    guarded(_WAIVE, waive, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_HERE}/{{id}}/withdraw", take_back, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
