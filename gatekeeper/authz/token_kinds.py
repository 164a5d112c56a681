"""Kinds of tokens: what a change of the rules does to each is seen by narrowing people as such a token would."""

from collections.abc import Iterator
from dataclasses import replace

from gatekeeper.accounts.principal import Principal, Reach
from gatekeeper.tokens import Scope


def by_token(principal: Principal, owner_id: str | None) -> Iterator[tuple[str, Principal]]:
    """The same person with each kind of token, after its name in words.

    owner_id  whose repository is looked at
    """
    whole = replace(principal, scopes=frozenset(Scope))
    yield "with every scope", whole
    yield "without a scope", replace(whole, scopes=frozenset())
    for scope in Scope:
        yield f"with the scope {scope} alone", replace(whole, scopes=frozenset({scope}))
    yield "limited to other repositories", replace(whole, reach=Reach())
    yield "limited to other repositories and what is public", replace(whole, reach=Reach(is_public=True))
    yield "that the organization has not approved", replace(whole, closed=frozenset({owner_id or ""}))
    yield "of a service account", replace(whole, is_service=True)


def scopes_of(principal: Principal) -> str:
    """What one token is, as `by_token` says it; "" for a browser."""
    if principal.scopes is None:
        return ""
    scopes = ", ".join(sorted(principal.scopes)) or "none"
    limits = " that is limited to some repositories" if principal.reach is not None else ""
    return f"of the scopes {scopes}{limits}{' of a service account' if principal.is_service else ''}"
