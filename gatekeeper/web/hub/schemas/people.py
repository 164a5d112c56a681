"""People and organizations as the Hub's clients read them. Only what anybody may know: no address, no e-mail."""

from collections.abc import Iterable, Mapping

from gatekeeper.accounts import Organization, Person, Role
from gatekeeper.kit.canonical import instant_text
from gatekeeper.repos import Repo, RepoKind
from gatekeeper.web.hub.schemas.answers import Json

_NUMBERS = {RepoKind.MODEL: "numModels", RepoKind.DATASET: "numDatasets", RepoKind.SPACE: "numSpaces"}
_TYPES = {RepoKind.MODEL: "model", RepoKind.DATASET: "dataset", RepoKind.SPACE: "space"}


def user(person: Person) -> Json:
    """One row of a list of people."""
    return {
        "user": person.name,
        "fullname": person.fullname or person.name,
        "type": "user",
        "avatarUrl": "",
        "isPro": False,
    }


def overview(
    person: Person,
    organizations: Iterable[tuple[Organization, Role]],
    counts: Mapping[RepoKind, int],
    *,
    likes: int,
    discussions: int,
) -> Json:
    """`GET /api/users/{name}/overview`. Numbers count what the reader may know."""
    return user(person) | {
        **{field: counts.get(kind, 0) for kind, field in _NUMBERS.items()},
        "numLikes": likes,
        "numDiscussions": discussions,
        "numPapers": 0,
        "numUpvotes": 0,
        "numFollowing": 0,
        "numFollowers": 0,
        "isFollowing": False,
        "orgs": [_organization(organization) for organization, _ in organizations],
    }


def organization(found: Organization, counts: Mapping[RepoKind, int], *, members: int) -> Json:
    """`GET /api/organizations/{name}/overview`."""
    return _organization(found) | {
        **{field: counts.get(kind, 0) for kind, field in _NUMBERS.items()},
        "numUsers": members,
        "numPapers": 0,
        "numFollowers": 0,
        "isFollowing": False,
        "isVerified": False,
    }


def liked(repo: Repo) -> Json:
    """One row of `GET /api/users/{name}/likes`."""
    return {"repo": {"name": repo.full_name, "type": _TYPES[repo.kind]}}


def stored(repo: Repo, size: int, *, of: int) -> Json:
    """One row of `GET /api/settings/repositories`; `storage` in bytes, and as percentage of the `of` bytes of all."""
    return {
        "id": repo.full_name,
        "type": _TYPES[repo.kind],
        "updatedAt": instant_text(repo.updated_at),
        "visibility": "private" if repo.is_private else "public",
        "storage": size,
        "storagePercent": round(100 * size / of, 2) if of else 0,
    }


def _organization(found: Organization) -> Json:
    return {"type": "org", "name": found.name, "fullname": found.fullname or found.name, "avatarUrl": ""}
