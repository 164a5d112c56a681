"""Git LFS: planning transfers, signed upload addresses, and receiving what is sent to them.

Receiving is done in three steps, so that no database transaction is open while bytes travel: `verify_address`, then
`receive` (the store only), then `register` (one short transaction).
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid, NotAllowed, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, links
from gatekeeper.repos.paths import is_sha256
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.storage import Store
from gatekeeper.repos.tables import Repo, RepoObject, StoredObject, Upload

MAX_OBJECTS = 1_000
ADDRESS_SECONDS = 24 * 3600  # a large file over a slow line; the address gives nothing but this one upload
_PURPOSE = "lfs-upload"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file by SHA-256 and size in bytes, as a client names it."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done about a wanted file.

    is_stored  the repository has it: nothing to upload, or there to download
    code       HTTP-like code of `problem`, 0 when there is none
    """

    sha256: str
    size: int
    is_stored: bool
    code: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an upload address allows: these bytes, from this person, for this repository, until `expires_at` (Unix).

    token_id  of the access token that asked for it; None where a browser did
    """

    repo_id: str
    sha256: str
    size: int
    person_id: str
    expires_at: int
    token_id: str | None = None


async def plan_upload(
    s: AsyncSession, repo: Repo, wanted: Sequence[Wanted], *, by: Principal, limit_bytes: int
) -> list[Planned]:
    """Which of `wanted` must be sent. Only what this repository has counts as stored, whatever else the store holds."""
    known = await _known(s, repo, wanted)
    planned: list[Planned] = []
    for file in wanted:
        size = known.get(file.sha256)
        match file:
            case Wanted(sha256) if not is_sha256(sha256):
                planned.append(Planned(sha256, file.size, False, 422, "The oid is not a SHA-256 in lower-case hex."))
            case Wanted(sha256, claimed) if claimed < 0 or claimed > limit_bytes:
                problem = f"A file may have at most {limit_bytes} bytes."
                planned.append(Planned(sha256, claimed, False, 413, problem))
            case Wanted(sha256, claimed) if size is not None and size != claimed:
                planned.append(Planned(sha256, claimed, False, 422, f"This file has {size} bytes, not {claimed}."))
            case Wanted(sha256, claimed):
                planned.append(Planned(sha256, claimed, size is not None))
    await renew(s, repo, [plan.sha256 for plan in planned if plan.is_stored])
    starting = [plan for plan in planned if not plan.is_stored and not plan.code]
    if by.person_id is not None:
        await insert_missing(
            s,
            Upload,
            [
                Upload(repo_id=repo.id, person_id=by.person_id, sha256=plan.sha256, size_bytes=plan.size).model_dump()
                for plan in starting
            ],
        )
    return planned


async def plan_download(s: AsyncSession, repo: Repo, wanted: Sequence[Wanted]) -> list[Planned]:
    """Which of `wanted` the repository has. What only other repositories have is answered like what nobody has."""
    known = await _known(s, repo, wanted)
    return [
        Planned(file.sha256, known[file.sha256], True)
        if file.sha256 in known
        else Planned(file.sha256, file.size, False, 404, "Object does not exist")
        for file in wanted
    ]


def sign_address(key: bytes, repo: Repo, planned: Planned, *, by: Principal, instant: datetime) -> str:
    """The signed part of an upload address for `planned`."""
    if by.person_id is None:
        raise NotAllowed("Only somebody who is signed in can upload.", next_step="Sign in or send a token.")
    expires_at = int(instant.timestamp()) + ADDRESS_SECONDS
    claim = Claim(repo.id, planned.sha256, planned.size, by.person_id, expires_at, by.token_id)
    return links.seal(key, _PURPOSE, asdict(claim))


def verify_address(key: bytes, signed: str, *, instant: datetime) -> Claim:
    """What a signed upload address allows at `instant`; raises NotAllowed."""
    payload = links.unseal(key, _PURPOSE, signed)
    claim = Claim(**payload) if payload is not None else None
    if claim is None or claim.expires_at <= instant.timestamp():
        raise invalid_address()
    return claim


def invalid_address() -> NotAllowed:
    """The one refusal for an upload address that was altered, made for something else, or is over."""
    return NotAllowed(
        "This upload address is not valid, or no longer.",
        code="InvalidUploadAddress",
        next_step="Start the upload again; the client asks for a new address.",
    )


async def receive(store: Store, claim: Claim, pieces: AsyncIterator[bytes]) -> None:
    """Put a request's body into the store. Nothing is kept unless it is exactly what `claim` announces."""
    async with store.stage(limit=claim.size) as staged:
        async for piece in pieces:
            await staged.write(piece)
        await staged.keep(sha256=claim.sha256, size=claim.size)


async def register(s: AsyncSession, claim: Claim) -> None:
    """Let the claim's repository refer to the bytes that `receive` verified. Raises RepoNotFound if it was deleted."""
    repo = await catalogue.by_id(s, claim.repo_id)
    if repo is None:
        raise RepoNotFound("Repository not found", next_step="It was deleted during the upload.")
    await possess(s, repo, claim.sha256, claim.size, person_id=claim.person_id)
    await s.execute(
        sa.update(Upload)
        .where(
            col(Upload.repo_id) == claim.repo_id,
            col(Upload.sha256) == claim.sha256,
            col(Upload.person_id) == claim.person_id,
        )
        .values(finished_at=now())
    )


async def possess(s: AsyncSession, repo: Repo, sha256: str, size: int, *, person_id: str | None) -> None:
    """Record that `repo` may refer to these bytes.

    INVARIANT: called only for bytes that somebody sent to this repository and that were verified as they came.
    """
    await insert_missing(s, StoredObject, [{"sha256": sha256, "size_bytes": size, "stored_at": now()}])
    row = {"repo_id": repo.id, "sha256": sha256, "uploaded_by": person_id, "uploaded_at": now()}
    if await insert_missing(s, RepoObject, [row]) == 0:
        await renew(s, repo, [sha256])
    body = {"sha256": sha256, "size": size}
    await ledger.record(s, "repos:file:receive", actor=person_id, repo=repo.id, subject=sha256, body=body)


async def renew(s: AsyncSession, repo: Repo, digests: Sequence[str]) -> None:
    """Keep bytes that somebody is about to commit from being cleaned up before that."""
    if digests:
        query = sa.update(RepoObject).where(col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256).in_(digests))
        await s.execute(query.values(renewed_at=now()))


async def has(s: AsyncSession, repo: Repo, sha256: str) -> bool:
    """Whether the repository may refer to these bytes."""
    return await s.get(RepoObject, (repo.id, sha256)) is not None


async def possessed(s: AsyncSession, repo: Repo, digests: Collection[str]) -> set[str]:
    """Those of `digests` that the repository may refer to."""
    found: set[str] = set()
    wanted = sorted(digests)
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        query = sa.select(col(RepoObject.sha256)).where(
            col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256).in_(some)
        )
        found.update(await s.scalars(query))
    return found


async def _known(s: AsyncSession, repo: Repo, wanted: Sequence[Wanted]) -> dict[str, int]:
    if len(wanted) > MAX_OBJECTS:
        raise Invalid(f"At most {MAX_OBJECTS} objects may be named at once.", status=422, next_step="Ask in parts.")
    digests = {file.sha256 for file in wanted if is_sha256(file.sha256)}
    query = (
        sa.select(col(RepoObject.sha256), col(StoredObject.size_bytes))
        .join(StoredObject, col(StoredObject.sha256) == col(RepoObject.sha256))
        .where(col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256).in_(digests))
    )
    return {row.sha256: row.size_bytes for row in await s.execute(query)}
