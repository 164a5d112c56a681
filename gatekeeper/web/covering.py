"""What a limited token covers, between names that people write and the ids that are kept."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import authz, repos
from gatekeeper.accounts import Organization, Person, Reach
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind
from gatekeeper.web.guard import Call

_MOST_LINES = 200


@dataclass(frozen=True)
class Covered:
    """A repository or namespace that a token covers. `kind` is a word of the public hub: model, org, user."""

    id: str
    kind: str
    name: str


async def repositories_named(call: Call, lines: str, *, field: str = "repositories") -> list[Repo]:
    """The repositories that a person wrote down, one a line: `ns/name`, or `datasets/ns/name`.

    Raises Invalid, in the same words for one that is not there and one that they may not know.
    """
    found = []
    written = dict.fromkeys(line.strip().strip("/") for line in lines.split("\n") if line.strip())
    for line in list(written)[:_MOST_LINES]:
        repo = await _repository(call, line)
        if repo is None:
            raise Invalid(
                f"There is no repository {line[:100]!r} that you may see.",
                next_step="Write one a line, as in ada/model or datasets/ada/pictures.",
                details={"field": field},
            )
        found.append(repo)
    return found


async def describe(call: Call, reach: Reach) -> list[Covered]:
    """What a token covers, by name. Repositories that are gone, or that its person may not know now, are left out."""
    rows = (
        await call.session.scalars(
            sa.select(Repo).where(col(Repo.id).in_(reach.repositories), col(Repo.deleted_at).is_(None))
        )
    ).all()
    known = await authz.filter_known(call.session, call.gatekeeper.policies, call.principal, rows, now())
    covered = [Covered(repo.id, repo.kind.value.removesuffix("s"), repo.full_name) for repo in known]
    people = await call.session.scalars(sa.select(Person).where(col(Person.id).in_(reach.owners)))
    covered += [Covered(person.id, "user", person.name) for person in people]
    organizations = await call.session.scalars(sa.select(Organization).where(col(Organization.id).in_(reach.owners)))
    covered += [Covered(organization.id, "org", organization.name) for organization in organizations]
    return sorted(covered, key=lambda one: (one.kind, one.name))


async def _repository(call: Call, line: str) -> Repo | None:
    kind, name = RepoKind.MODEL, line
    first, _, rest = line.partition("/")
    if first in set(RepoKind) and rest.count("/") == 1:
        kind, name = RepoKind(first), rest
    if name.count("/") != 1:
        return None
    repo = await repos.find_by_any_name(call.session, kind, name)
    if repo is None:
        return None
    instant = now()
    resource = await authz.load(call.session, call.principal, repo, instant=instant)
    allowed = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant)
    return repo if allowed else None
