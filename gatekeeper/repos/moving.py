"""Moving a repository: another name, perhaps another owner; all that hangs on its id stays."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization, Person
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.repos import catalogue, names, team_rights
from gatekeeper.repos.paths import check_repo_name
from gatekeeper.repos.tables import Repo


async def follow(s: AsyncSession, owner: Person | Organization, *, by: Principal) -> None:
    """Call every repository of `owner` after the name that it has now; the old names lead to them."""
    theirs = sa.or_(col(Repo.owner_person_id) == owner.id, col(Repo.owner_organization_id) == owner.id)
    own = sa.select(Repo).where(theirs, col(Repo.key).is_not(None))
    for repo in (await s.scalars(own.order_by(col(Repo.id)))).all():
        old_key, repo.namespace = repo.key, owner.name
        repo.key = names.key_of(repo.kind, repo.full_name)
        s.add(repo)
        if old_key is None or old_key == repo.key:
            continue
        await names.reuse(s, repo)
        await names.leave(s, repo, old_key)
        await _record(s, repo, owner.id, owner.id, by=by)


async def move(s: AsyncSession, repo: Repo, namespace: str, name: str, *, by: Principal) -> Repo:
    """Call the repository `namespace/name` from now on; its old name leads to it until another repository has that.

    Grants, acceptances, releases and evidence hang on the repository's id and stay. Its owner is the new namespace's:
    a role in the old one, or in a team there, gives no right any more. The caller must own the new namespace, or write
    in it; that is checked before anything is said about what lies there. Raises NotAllowed, Invalid, and Conflict for a
    taken name.
    """
    owner = await catalogue.own_namespace(s, repo.kind, namespace, by=by)
    check_repo_name(name)
    full_name = f"{owner.name}/{name}"
    if full_name == repo.full_name:
        raise Invalid(f"The repository is called {full_name} already.", next_step="Choose another name.")
    old_key, key = repo.key, names.key_of(repo.kind, full_name)
    before = repo.owner_person_id or repo.owner_organization_id
    try:
        async with s.begin_nested():
            repo.namespace, repo.name, repo.key = owner.name, name, key
            repo.owner_person_id, repo.owner_organization_id = owner.person_id, owner.organization_id
            s.add(repo)
            await s.flush()
    except IntegrityError:
        await s.refresh(repo)
        raise Conflict(
            f"A {names.NOUNS[repo.kind]} repository called {full_name} already exists",
            next_step="Choose another name.",
        ) from None
    if before != (owner.person_id or owner.organization_id):
        await team_rights.forget(s, repo)
    await names.reuse(s, repo)
    if old_key is not None and old_key != key:
        await names.leave(s, repo, old_key)
    await _record(s, repo, before, owner.person_id or owner.organization_id, by=by)
    return repo


async def _record(s: AsyncSession, repo: Repo, before: str | None, after: str | None, *, by: Principal) -> None:
    # Owners by id, never by name: names of people stay out of the log.
    body = {"before": {"owner": before}, "after": {"owner": after}}
    await ledger.record(
        s, "repos:repo:move", actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body=body
    )
