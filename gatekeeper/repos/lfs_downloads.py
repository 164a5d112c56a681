"""Addresses that Git LFS downloads from: they say whose right to which file is to be decided, and give none."""

from dataclasses import asdict, dataclass
from datetime import datetime

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import NotAllowed
from gatekeeper.repos import links
from gatekeeper.repos.tables import Repo

ADDRESS_SECONDS = 3600
_PURPOSE = "lfs-download"


@dataclass(frozen=True, slots=True)
class Claim:
    """One file of one commit, asked for by one person (None: by nobody in particular), until `expires_at` (Unix)."""

    repo_id: str
    commit: str
    sha256: str
    person_id: str | None
    token_id: str | None
    expires_at: int


def sign(key: bytes, repo: Repo, commit: str, sha256: str, *, by: Principal, instant: datetime) -> str:
    """The signed part of a download address. Whoever opens it is decided about again, as `by`."""
    expires_at = int(instant.timestamp()) + ADDRESS_SECONDS
    return links.seal(key, _PURPOSE, asdict(Claim(repo.id, commit, sha256, by.person_id, by.token_id, expires_at)))


def verify(key: bytes, signed: str, *, instant: datetime) -> Claim:
    """What a signed download address names; raises NotAllowed."""
    payload = links.unseal(key, _PURPOSE, signed)
    claim = Claim(**payload) if payload is not None else None
    if claim is None or claim.expires_at <= instant.timestamp():
        raise NotAllowed(
            "This download address is not valid, or no longer.",
            code="InvalidDownloadAddress",
            next_step="Run git lfs pull again; it asks for a new address.",
        )
    return claim
