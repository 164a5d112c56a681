"""Short-lived Xet tokens: what a client shows at the content-addressed endpoint, bound to person and repository."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import NotAllowed, NotSignedIn
from gatekeeper.repos import links
from gatekeeper.repos.tables import Repo

# Clients ask for a new token when less than a minute is left; shorter ones cost a call at nearly every request.
TOKEN_SECONDS = 15 * 60
_PURPOSE = "xet-token"

Scope = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class XetGrant:
    """What a Xet token allows until `expires_at` (Unix).

    commit  the one revision whose files a read token may ask for; None in a write token
    """

    repo_id: str
    epoch: int
    scope: Scope
    person_id: str | None
    token_id: str | None
    expires_at: int
    commit: str | None = None


def cas_path(repo: Repo) -> str:
    """Path of the repository's content-addressed endpoint.

    Clients remember per address what they sent and never send it again, so the address is the scope of deduplication:
    one repository, one epoch. The epoch is raised when xorbs are deleted, and all clients start afresh.
    """
    return f"/cas/e/{repo.xet_epoch}/{repo.id}"


def is_in_use(repo: Repo, epoch: int) -> bool:
    """Whether the endpoint of this epoch is served: the present one, and the last for transfers that began under it."""
    return epoch in (repo.xet_epoch, repo.xet_epoch - 1)


def issue(
    key: bytes, repo: Repo, *, by: Principal, scope: Scope, instant: datetime, commit: str | None = None
) -> tuple[str, int]:
    """A token for `by`, who was allowed this a moment ago, and when it ends (Unix seconds).

    commit  the revision that a read token is for
    """
    if scope == "write" and by.person_id is None:
        raise NotAllowed("Only somebody who is signed in can upload.", next_step="Sign in or send a token.")
    expires_at = int(instant.timestamp()) + TOKEN_SECONDS
    payload = {
        "repo": repo.id,
        "epoch": repo.xet_epoch,
        "scope": scope,
        "person": by.person_id,
        "token": by.token_id,
        "commit": commit,
        "exp": expires_at,
    }
    return links.seal(key, _PURPOSE, payload), expires_at


def check(key: bytes, text: str, *, repo_id: str, epoch: int, scope: Scope, instant: datetime) -> XetGrant:
    """What the token allows, if it is for this endpoint and scope now; raises NotSignedIn or NotAllowed."""
    payload = links.unseal(key, _PURPOSE, text)
    if payload is None or payload["exp"] <= instant.timestamp():
        raise NotSignedIn("The Xet token is not valid, or no longer.", next_step="Start the transfer again.")
    grant = XetGrant(
        payload["repo"],
        payload["epoch"],
        payload["scope"],
        payload["person"],
        payload["token"],
        payload["exp"],
        payload["commit"],
    )
    # A transfer goes on at the address it began with, also with a token of the epoch that came meanwhile.
    is_here = grant.repo_id == repo_id and grant.epoch in (epoch, epoch + 1)
    if not is_here or (scope == "write" and grant.scope != "write"):
        raise NotAllowed("The Xet token is for something else.", next_step="Start the transfer again.")
    return grant
