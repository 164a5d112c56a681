"""Facts for tests: state only what the test is about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gatekeeper.accounts.principal import ANONYMOUS, Principal, Reach
from gatekeeper.accounts.tables import Role
from gatekeeper.authz import Grant, Resource, Revision, Standing
from gatekeeper.authz.resource import Text
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate, RepoKind

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ADA = Principal(person_id="ada", name="ada")
SITE_ADMIN = Principal(person_id="root", name="root", is_admin=True)
TERMS = (Text("t" * 64, "creativeml-openrail-m"),)
ACCEPTED = (frozenset({"t" * 64}),)
GRANT = Grant("grant")

__all__ = ["ACCEPTED", "ADA", "ANONYMOUS", "GRANT", "NOW", "SITE_ADMIN", "TERMS", "limited", "repo", "staged", "token"]


def token(principal: Principal, *scopes: str) -> Principal:
    return replace(principal, token_id="token", scopes=frozenset(scopes))


def limited(principal: Principal, reach: Reach, *scopes: str) -> Principal:
    return replace(token(principal, *scopes), reach=reach)


def repo(principal: Principal, *, gate: Gate = Gate.NONE, is_private: bool = False, **standing: Any) -> Resource:
    """A repository without stages, under RAIL terms."""
    return Resource(
        repo_id="repo",
        name="acme/demo",
        kind=RepoKind.MODEL,
        person_id=principal.person_id,
        owner_id="acme",
        gate=gate,
        is_private=is_private,
        revision=Revision("c" * 40, texts=TERMS, bundle="b" * 64),
        standing=Standing(**standing),
    )


def staged(principal: Principal, stage: Stage, *, commit: str | None = None, **changes: Any) -> Resource:
    """A staged repository with one release; `changes` are of the release or of the standing."""
    facts = {name: changes.pop(name) for name in tuple(changes) if name in Standing.__dataclass_fields__}
    release = replace(Revision("c" * 40, stage=stage, release_id="release", texts=TERMS, bundle="b" * 64), **changes)
    return Resource(
        repo_id="repo",
        name="acme/demo",
        kind=RepoKind.MODEL,
        person_id=principal.person_id,
        owner_id="acme",
        is_staged=True,
        commit=commit,
        revision=None if commit is None else release,
        releases=(release,),
        standing=Standing(**facts),
    )


MAINTAINER = {"role": Role.ADMIN}
