"""People, organizations, what they have and what they like. Repositories are named and counted only where the caller
may know them.
"""

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import JSONResponse, Response

from gatekeeper import authz
from gatekeeper.accounts import Organization, Person, organizations, people
from gatekeeper.authz import Action
from gatekeeper.community import discussions
from gatekeeper.errors import NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, RepoObject, StoredObject, popularity
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import number, page, slice_page

_PAGE = 100
_MOST_COUNTED = 1_000
_PRIVATE = {"Cache-Control": "private, no-store"}


async def overview(call: Call) -> Response:
    """`GET /api/users/{name}/overview`: what anybody may know about a person: names, organizations, and counts."""
    person = await _person(call)
    likes = await _visible(call, popularity.liked_by(person.id))
    counts = await _counts(call, col(Repo.owner_person_id) == person.id)
    belongs = await organizations.organizations_of(call.session, person.id) if call.principal.person_id else []
    opened = await _opened(call, person)
    return JSONResponse(
        schemas.overview(person, belongs, counts, likes=len(likes), discussions=opened), headers=_PRIVATE
    )


async def nobody(call: Call) -> Response:
    """An empty list: nobody follows anybody here."""
    if "who" in call.params:
        await _person(call)
    else:
        await _organization(call)
    return page(call, [], next_cursor=None)


async def likes(call: Call) -> Response:
    """`GET /api/users/{name}/likes`: the repositories that a person likes, as far as the caller may know them."""
    person = await _person(call)
    rows = await _visible(call, popularity.liked_by(person.id))
    some, cursor = slice_page(call, rows, size=_PAGE)
    return page(call, [schemas.liked(repo) for repo in some], next_cursor=cursor)


async def organization(call: Call) -> Response:
    """`GET /api/organizations/{name}/overview`: what anybody may know about an organization."""
    found = await _organization(call)
    counts = await _counts(call, col(Repo.owner_organization_id) == found.id)
    members = len(await organizations.members(call.session, found))
    return JSONResponse(schemas.organization(found, counts, members=members), headers=_PRIVATE)


async def members(call: Call) -> Response:
    """`GET /api/organizations/{name}/members`: an organization's members, for whoever is signed in."""
    rows = await organizations.members(call.session, await _organization(call))
    some, cursor = slice_page(call, rows, size=_PAGE)
    return page(call, [schemas.user(person) for person, _ in some], next_cursor=cursor)


async def own_repositories(call: Call) -> Response:
    """`GET /api/settings/repositories`: the caller's own repositories, with the bytes they hold."""
    return await _stored(call, col(Repo.owner_person_id) == call.principal.person_id)


async def organization_repositories(call: Call) -> Response:
    """`GET .../settings/repositories`: an organization's repositories, for those who may make some there."""
    name = call.params["org"]
    place = await authz.load_namespace(call.session, call.principal, name)
    authz.require(call.gatekeeper.policies, call.principal, Action.CREATE_REPO, place, now())
    found = await _organization(call)
    return await _stored(call, col(Repo.owner_organization_id) == found.id)


async def likers(call: Call) -> Response:
    """`GET .../likers`: the people who like a repository."""
    size = number(call, "limit", default=_PAGE, most=_PAGE) or _PAGE
    after = call.request.query_params.get("cursor", "")
    rows = await popularity.likers(call.session, call.repo, after=after, limit=size + 1)
    cursor = rows[size - 1].id if len(rows) > size else None
    return page(call, [schemas.user(person) for person in rows[:size]], next_cursor=cursor)


async def like(call: Call) -> Response:
    """`POST .../like`: like a repository; a call of our own, for the public client has none."""
    await popularity.like(call.session, call.repo, by=call.principal)
    return JSONResponse({})


async def unlike(call: Call) -> Response:
    """`DELETE .../like`: take one's like back, also where one may do no more than know the repository."""
    await popularity.unlike(call.session, call.repo, by=call.principal)
    return JSONResponse({})


async def _person(call: Call) -> Person:
    person = await people.find(call.session, call.params["who"])
    if person is None or person.is_disabled:
        raise NotFound("There is nobody of that name.", next_step="Check the spelling.")
    return person


async def _organization(call: Call) -> Organization:
    found = await organizations.find(call.session, call.params["org"])
    if found is None:
        raise NotFound("There is no organization of that name.", next_step="Check the spelling.")
    return found


async def _visible(call: Call, where: sa.ColumnElement[bool]) -> list[Repo]:
    return await authz.visible(
        call.session,
        call.gatekeeper.policies,
        call.principal,
        None,
        instant=now(),
        where=[where],
        limit=_MOST_COUNTED,
    )


async def _counts(call: Call, where: sa.ColumnElement[bool]) -> dict[RepoKind, int]:
    found = dict.fromkeys(RepoKind, 0)
    for repo in await _visible(call, where):
        found[repo.kind] += 1
    return found


async def _opened(call: Call, person: Person) -> int:
    """How many discussions a person opened in repositories whose discussions the caller may read."""
    counts = await discussions.counts_by_repo(call.session, person.id, limit=_MOST_COUNTED)
    instant, policies, number = now(), call.gatekeeper.policies, 0
    for repo in await _visible(call, col(Repo.id).in_(list(counts))):
        resource = await authz.load(call.session, call.principal, repo, instant=instant)
        if authz.decide(policies, call.principal, Action.DISCUSS_READ, resource, instant):
            number += counts[repo.id]
    return number


async def _stored(call: Call, where: sa.ColumnElement[bool]) -> Response:
    rows = await _visible(call, where)
    some, cursor = slice_page(call, rows, size=_PAGE)
    query = (
        sa.select(col(RepoObject.repo_id), sa.func.sum(col(StoredObject.size_bytes)))
        .join(StoredObject, col(StoredObject.sha256) == col(RepoObject.sha256))
        .where(col(RepoObject.repo_id).in_([repo.id for repo in rows]))
        .group_by(col(RepoObject.repo_id))
    )
    sizes = {repo_id: int(size) for repo_id, size in await call.session.execute(query)}
    total = sum(sizes.values())
    return page(call, [schemas.stored(repo, sizes.get(repo.id, 0), of=total) for repo in some], next_cursor=cursor)


_REPO = "/{kind:kind}/{ns}/{name}"

ROUTES = [
    api("/users/{who}/overview", overview, needs=None),
    api("/users/{who}/likes", likes, needs=None),
    api("/users/{who}/followers", nobody, needs=None),
    api("/users/{who}/following", nobody, needs=None),
    api("/organizations/{org}/overview", organization, needs=None),
    api("/organizations/{org}/members", members, needs=Action.USE_ACCOUNT),
    api("/organizations/{org}/followers", nobody, needs=None),
    api("/settings/repositories", own_repositories, needs=Action.USE_ACCOUNT),
    # Decides about the organization itself.
    api("/organizations/{org}/settings/repositories", organization_repositories, needs=Action.USE_ACCOUNT),
    api(f"{_REPO}/likers", likers, needs=Action.KNOW),
    api(f"{_REPO}/like", like, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    api(f"{_REPO}/like", unlike, needs=Action.KNOW, methods=("DELETE",)),
]
