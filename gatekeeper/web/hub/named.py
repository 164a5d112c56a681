"""Repositories that a request names in its body instead of its path: found and decided here."""

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, catalogue
from gatekeeper.web.finding import missing_repo
from gatekeeper.web.guard import Call


async def require_named(call: Call, kind: RepoKind, full_name: str, needs: Action) -> Repo:
    """The repository, once the caller may do `needs` to it. Raises RepoNotFound and what the decision raises."""
    repo = await catalogue.find(call.session, kind, full_name)
    if repo is None:
        raise await missing_repo(call.session, call.gatekeeper.policies, call.principal)
    instant = now()
    resource = await authz.load(call.session, call.principal, repo, instant=instant)
    authz.require(call.gatekeeper.policies, call.principal, needs, resource, instant)
    return repo


def in_namespace(call: Call, name: str, organization: str | None) -> tuple[str, str]:
    """Namespace and name, where no organization means the caller's own namespace."""
    namespace = organization or call.principal.name
    if "/" in name:
        raise Invalid("A repository's name holds no '/'.", next_step="Send the namespace as `organization`.")
    return namespace, name
