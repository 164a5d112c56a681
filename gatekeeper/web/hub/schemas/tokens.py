"""What a client reads about the token it came with."""

from collections.abc import Iterable

from gatekeeper.tokens import AccessToken, Scope
from gatekeeper.web.covering import Covered
from gatekeeper.web.hub.schemas.answers import Json

# Our scopes in the public hub's words, as far as it has some.
_PERMISSIONS: dict[str, tuple[str, ...]] = {
    Scope.READ: ("repo.content.read",),
    Scope.DOWNLOAD: ("repo.content.read",),
    Scope.GENERATE: ("inference.serverless.write",),
    Scope.WRITE: ("repo.write", "discussion.write"),
    Scope.REVIEW: ("repo.access.read",),
}


def fine_grained(token: AccessToken, covered: Iterable[Covered], *, is_limited: bool) -> Json:
    """`role` and `fineGrained` of an access token; `scopes` and `limited` are this hub's own."""
    permissions = list(dict.fromkeys(each for scope in token.scopes for each in _PERMISSIONS.get(scope, ())))
    return {
        "role": "fineGrained",
        "fineGrained": {
            "canReadGatedRepos": not is_limited and Scope.DOWNLOAD in token.scopes,
            "global": [],
            "scoped": [
                {"entity": {"_id": one.id, "type": one.kind, "name": one.name}, "permissions": permissions}
                for one in covered
            ],
            "scopes": list(token.scopes),
            "limited": is_limited,
        },
    }
