"""What a token may be used for. A scope narrows its owner's rights and never adds to them."""

from enum import StrEnum

from gatekeeper.errors import Invalid


class Scope(StrEnum):
    """The narrowings there are. The values are stored for good; new ones are added."""

    READ = "read"  # know, list, read cards
    DOWNLOAD = "download"
    GENERATE = "generate"
    WRITE = "write"  # create and change repositories, move releases, discuss, ask for access
    REVIEW = "review"  # decide on other people's requests
    ADMIN = "admin"  # the rights of a hub's administrator


ROLES: dict[str, frozenset[Scope]] = {
    "read": frozenset({Scope.READ, Scope.DOWNLOAD, Scope.GENERATE}),
    "write": frozenset({Scope.READ, Scope.DOWNLOAD, Scope.GENERATE, Scope.WRITE}),
}
_NEED_WRITE = frozenset({Scope.WRITE, Scope.REVIEW, Scope.ADMIN})


def scopes_for(role: str, scopes: list[str] | None) -> frozenset[Scope]:
    """The scopes of a new token: the role's own, or exactly those named.

    Raises Invalid for an unknown role or scope, and for a scope that changes things in a token that says "read".
    """
    if role not in ROLES:
        raise Invalid("A token's role is read or write.", next_step="Choose one of the two.")
    if scopes is None:
        return ROLES[role]
    known = {scope.value for scope in Scope}
    if unknown := sorted(set(scopes) - known):
        raise Invalid(f"There is no scope {unknown[0][:40]!r}.", next_step=f"Scopes are: {', '.join(sorted(known))}.")
    chosen = frozenset(Scope(scope) for scope in scopes)
    if not chosen:
        raise Invalid("A token without any scope would be of no use.", next_step="Choose at least one scope.")
    if role == "read" and chosen & _NEED_WRITE:
        raise Invalid(
            f"A token with the role read cannot have the scope {sorted(chosen & _NEED_WRITE)[0]}.",
            next_step="Choose the role write.",
        )
    return chosen
