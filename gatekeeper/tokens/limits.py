"""What a token is limited to: repositories, and namespaces of people and organizations.

A limit only takes away. Whether it covers what is asked for is a fact of the one decision (`tokenCovers`).
"""

from typing import Any

from gatekeeper.accounts import Person, Principal, Reach
from gatekeeper.errors import Invalid
from gatekeeper.tokens.scopes import ROLES
from gatekeeper.tokens.tables import AccessToken, ServiceAccount, TokenKind

MOST_REPOSITORIES = 100


def reach_of(token: AccessToken) -> Reach | None:
    """The limits of a token as the decision reads them. What cannot be read limits it to nothing."""
    if token.reach is None:
        return None
    return Reach(
        repositories=_ids(token.reach.get("repositories")),
        owners=_ids(token.reach.get("owners")),
        is_public=token.reach.get("public") is True,
    )


def reach_of_service(account: ServiceAccount) -> Reach:
    """Where a service account's tokens are good: its organization, and what is open to everybody."""
    return Reach(owners=frozenset({account.organization_id}), is_public=True)


def stored(reach: Reach | None) -> dict[str, Any] | None:
    """The limits as a token's row keeps them."""
    if reach is None:
        return None
    return {
        "repositories": sorted(reach.repositories),
        "owners": sorted(reach.owners),
        "public": reach.is_public,
    }


def check(reach: Reach | None, person: Person, by: Principal) -> None:
    """Raise Invalid for limits that make no sense: none at all, too many, or a namespace one has no part in."""
    if reach is None:
        return
    if not (reach.repositories or reach.owners or reach.is_public):
        raise Invalid(
            "A token that covers nothing would be of no use.",
            next_step="Name a repository or an organization, or tick public repositories.",
            details={"field": "repositories"},
        )
    if len(reach.repositories) > MOST_REPOSITORIES:
        raise Invalid(
            f"A token names at most {MOST_REPOSITORIES} repositories.",
            next_step="Choose their organization instead.",
            details={"field": "repositories"},
        )
    if by.person_id == person.id and not reach.owners <= {person.id, *by.organizations}:
        raise Invalid(
            "You are no member of one of these organizations.",
            next_step="Choose among your own.",
            details={"field": "owners"},
        )


def is_fine_grained(token: AccessToken) -> bool:
    """Whether it holds fewer rights than its role says, or holds them in some places only."""
    is_plain = token.kind is TokenKind.APPLICATION or frozenset(token.scopes) >= ROLES[token.role]
    return token.reach is not None or not is_plain


def _ids(value: Any) -> frozenset[str]:
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()
