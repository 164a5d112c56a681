"""Whose requests are not taken: the list of blocks in one's care, adding one, lifting one, and ending what is left."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import RedirectResponse, Response

from gatekeeper import access, accounts, authz
from gatekeeper.access import AccessBlock
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.admin import reasons
from gatekeeper.web.admin.holdings import Typed, typed_of
from gatekeeper.web.admin.scope import PAGE, decided, in_care, may_review, named, names_of, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_HUB = "hub"


@dataclass(frozen=True)
class Form:
    """The form as it was sent. `place` is `hub`, `org:<name>` or `repo`."""

    person: str = ""
    place: str = "repo"
    repository: str = ""
    reason: str = ""
    is_revoking: bool = False


async def show(call: Call) -> Response:
    """`GET /admin/blocks`."""
    return await _page(call, Form(), {})


async def add(call: Call) -> Response:
    """`POST /admin/blocks`: take no more requests of a person, for a repository, an organization's, or all."""
    sent = await forms.read(call.request)
    form = Form(
        forms.text(sent, "person", most=60).strip(),
        forms.text(sent, "place", most=80),
        forms.text(sent, "repository", most=200).strip(),
        forms.text(sent, "reason"),
        "is_revoking" in sent,
    )
    person = await accounts.people.find(call.session, form.person)
    if person is None:
        return await _page(call, form, {"person": "There is nobody with this name."}, status=422)
    repo, organization = None, None
    if form.place == "repo":
        repo = await named(call, form.repository)
        if repo is None:
            wrong = {"repository": "There is no such repository in your care."}
            return await _page(call, form, wrong, status=422)
    elif form.place not in [value for value, _ in await _places(call)]:
        return await _page(call, form, {"place": "Choose from the list."}, status=422)
    elif form.place != _HUB:
        organization = await accounts.organizations.find(call.session, form.place.removeprefix("org:"))
    try:
        async with call.session.begin_nested():
            made = await access.block(
                call.session,
                person,
                by=call.principal,
                reason=form.reason,
                repo=repo,
                organization=organization,
            )
    except Invalid as error:
        field = "person" if "themselves" in error.message else "reason"
        return await _page(call, form, {field: error.sentence}, status=422)
    except Conflict as error:
        return await _page(call, form, {"person": error.sentence}, status=409)
    asks_on = form.is_revoking and any(await access.under(call.session, made))
    return RedirectResponse(f"/admin/blocks/{made.id}/revoke" if asks_on else "/admin/blocks?done=blocked", 303)


async def lift(call: Call) -> Response:
    """`POST /admin/blocks/{id}/lift`."""
    await access.unblock(call.session, await _kept(call), by=call.principal)
    return RedirectResponse("/admin/blocks?done=unblocked", 303)


async def confirm(call: Call) -> Response:
    """`GET /admin/blocks/{id}/revoke`: the access that the person still has there, before any of it is revoked."""
    made = await _kept(call)
    return await _confirm(call, made, Typed(made.reason))


async def revoke(call: Call) -> Response:
    """`POST /admin/blocks/{id}/revoke`: end the access that lies under a block."""
    made, sent = await _kept(call), await forms.read(call.request)
    try:
        async with call.session.begin_nested():
            reason, code = reasons.read(call, sent, "revoke", "reason")
            await access.revoke_under(call.session, made, by=call.principal, reason=reason, reason_code=code)
    except reasons.Wrong as wrong:
        return await _confirm(call, made, typed_of(sent, wrong.field, wrong.sentence), status=422)
    except Invalid as error:
        return await _confirm(call, made, typed_of(sent, "reason", error.sentence), status=422)
    return RedirectResponse("/admin/blocks?done=revoked", 303)


async def _confirm(call: Call, made: AccessBlock, typed: Typed, *, status: int = 200) -> Response:
    held, approved = await access.under(call.session, made)
    if made.lifted_at is not None:
        raise Conflict("This block was lifted already.", next_step="Go back to the list at /admin/blocks.")
    wanted = {grant.repo_id for grant in held} | {request.repo_id for request in approved}
    repos = await call.session.scalars(sa.select(Repo).where(col(Repo.id).in_(wanted)))
    full_names = {repo.id: repo.full_name for repo in repos}
    name = (await names_of(call, [made.person_id]))[made.person_id]
    return render(
        call,
        "admin/revoke_grants.html",
        status=status,
        sees_all=runs_hub(call),
        crumbs=("Blocks", "/admin/blocks"),
        action=f"/admin/blocks/{made.id}/revoke",
        ids=[],
        held=[
            {
                "person": name,
                "full_name": full_names[grant.repo_id],
                "ends_at": grant.ends_at,
                "is_suspended": grant.suspended_at is not None,
            }
            for grant in held
        ],
        approved=[{"person": name, "full_name": full_names[request.repo_id]} for request in approved],
        people=1,
        repositories=len(wanted),
        kinds=reasons.kinds_of(call, "revoke"),
        typed=typed,
    )


async def _kept(call: Call) -> AccessBlock:
    """The block that the path names, for those who keep its place."""
    found = await call.session.get(AccessBlock, call.params["id"])
    if found is None or not await _keeps(call, found):
        raise NotFound("There is no such block.", next_step="Take it from the list of blocks.")
    return found


async def _keeps(call: Call, block: AccessBlock) -> bool:
    if block.repo_id is not None:
        repo = await call.session.get(Repo, block.repo_id)
        return repo is not None and repo.deleted_at is None and await may_review(call, repo)
    if block.organization_id is not None:
        return block.organization_id in {organization.id for organization in await _organizations(call)}
    return runs_hub(call)


async def _organizations(call: Call) -> list[Organization]:
    """Organizations for which the caller may close the door to somebody."""
    query = sa.select(Organization).order_by(col(Organization.name_key)).limit(500)
    query = query.where(col(Organization.id).in_(list(call.principal.organizations)))
    may = []
    for organization in await call.session.scalars(query):
        hub = await authz.load_namespace(call.session, call.principal, organization.name)
        if authz.decide(call.gatekeeper.policies, call.principal, Action.MANAGE_ORGANIZATION, hub, now()):
            may.append(organization)
    return may


async def _places(call: Call) -> list[tuple[str, str]]:
    places = [("repo", "One repository")]
    places += [(f"org:{each.name}", f"All repositories of {each.name}") for each in await _organizations(call)]
    return places + ([(_HUB, "All repositories of this hub")] if runs_hub(call) else [])


async def _page(call: Call, form: Form, errors: dict[str, str], *, status: int = 200) -> Response:
    organizations = {organization.id: organization.name for organization in await _organizations(call)}
    begin = await call.session.get(AccessBlock, call.request.query_params.get("from", ""))
    listed = await access.blocks_of(
        call.session,
        repos=[in_care(call)],
        organization_ids=list(organizations),
        has_all=runs_hub(call),
        begin=begin,
        limit=PAGE + 1,
    )
    rows = listed[:PAGE]
    wanted = {made.repo_id for made, _ in rows if made.repo_id}
    repos = await call.session.scalars(sa.select(Repo).where(col(Repo.id).in_(wanted)))
    kept = {repo.id: repo.full_name for repo in await decided(call, repos.all())}
    names = await names_of(call, [made.blocked_by for made, _ in rows])

    def place(made: AccessBlock) -> str:
        if made.repo_id:
            return kept[made.repo_id]
        if made.organization_id:
            return f"all of {organizations[made.organization_id]}"
        return "all of this hub"

    blocks: list[dict[str, Any]] = [
        {
            "id": made.id,
            "person": person.name,
            "place": place(made),
            "reason": made.reason,
            "blocked_at": made.blocked_at,
            "blocked_by": names.get(made.blocked_by or "", ""),
            "lifted_at": made.lifted_at,
        }
        for made, person in rows
        if made.repo_id is None or made.repo_id in kept
    ]
    return render(
        call,
        "admin/blocks.html",
        status=status,
        sees_all=runs_hub(call),
        blocks=blocks,
        first="/admin/blocks" if begin else None,
        more=f"/admin/blocks?from={listed[PAGE][0].id}" if len(listed) > PAGE else None,
        places=await _places(call),
        form=form,
        errors=errors,
    )


ROUTES = [
    guarded("/admin/blocks", show, needs=Action.USE_ACCOUNT),
    guarded("/admin/blocks", add, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/admin/blocks/{id}/revoke", confirm, needs=Action.USE_ACCOUNT, is_dangerous=True),
    guarded("/admin/blocks/{id}/revoke", revoke, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded("/admin/blocks/{id}/lift", lift, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
