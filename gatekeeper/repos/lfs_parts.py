"""Git LFS in parts: a large file in pieces that are sent, and sent again, one by one; joined and verified as a whole.

Parts lie in the store, each named by upload, number and its own digest, so that parts sent twice at once cannot be
mixed up: the row tells which one counts. A part proves nothing. Only `finish` lets a repository refer to a file, after
`join` found that the whole has the announced size and SHA-256.

As with whole files, no database transaction is open while bytes travel.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import lfs, links
from gatekeeper.repos.lfs import ADDRESS_SECONDS, Claim, Planned
from gatekeeper.repos.storage import Key, Store, part_key
from gatekeeper.repos.tables import Repo, Upload, UploadPart

MAX_PARTS = 5_000  # of all the files in one answer: each is an address
KEPT_DAYS = 2  # since the last part arrived; addresses last one
_PART = "lfs-part"
_COMPLETION = "lfs-completion"


@dataclass(frozen=True, slots=True)
class Offer:
    """How to send a file in parts.

    part_bytes  length of each but the last
    parts       the signed part of an address for each, in order
    completion  the same for what is told when all were sent
    """

    part_bytes: int
    parts: tuple[str, ...]
    completion: str


@dataclass(frozen=True, slots=True)
class PartClaim:
    """What the address of a part allows: `length` bytes as part `number` (from 1) of the upload of `whole`."""

    upload_id: str
    number: int
    length: int
    whole: Claim


def count(size: int, part_bytes: int) -> int:
    """How many parts a file of `size` bytes has."""
    return -(-size // part_bytes)


async def offer(
    s: AsyncSession, key: bytes, repo: Repo, planned: Planned, *, by: Principal, part_bytes: int, instant: datetime
) -> Offer:
    """Addresses for all parts of a file that `lfs.plan_upload` found to be missing.

    Parts that arrived already keep their place, and their length, while the same person sends the same file again.
    """
    if by.person_id is None:
        raise NotAllowed("Only somebody who is signed in can upload.", next_step="Sign in or send a token.")
    query = sa.select(Upload).where(
        col(Upload.repo_id) == repo.id, col(Upload.sha256) == planned.sha256, col(Upload.person_id) == by.person_id
    )
    upload = (await s.scalars(query)).one()
    if upload.part_bytes is None or upload.finished_at is not None:
        upload.part_bytes = part_bytes
    upload.started_at, upload.finished_at = instant, None
    s.add(upload)
    expires_at = int(instant.timestamp()) + ADDRESS_SECONDS
    whole = Claim(repo.id, planned.sha256, planned.size, by.person_id, expires_at, by.token_id)
    parts = []
    for number in range(1, count(planned.size, upload.part_bytes) + 1):
        length = min(upload.part_bytes, planned.size - (number - 1) * upload.part_bytes)
        parts.append(links.seal(key, _PART, asdict(PartClaim(upload.id, number, length, whole))))
    completion = links.seal(key, _COMPLETION, {"upload_id": upload.id, "whole": asdict(whole)})
    return Offer(upload.part_bytes, tuple(parts), completion)


def verify_part(key: bytes, signed: str, *, instant: datetime) -> PartClaim:
    """What the address of a part allows at `instant`; raises NotAllowed."""
    payload = links.unseal(key, _PART, signed)
    if payload is None:
        raise lfs.invalid_address()
    return PartClaim(payload["upload_id"], payload["number"], payload["length"], _whole(payload, instant))


def verify_completion(key: bytes, signed: str, *, instant: datetime) -> tuple[str, Claim]:
    """The upload that an address completes, and what that allows; raises NotAllowed."""
    payload = links.unseal(key, _COMPLETION, signed)
    if payload is None:
        raise lfs.invalid_address()
    return payload["upload_id"], _whole(payload, instant)


async def known(s: AsyncSession, claim: PartClaim) -> str | None:
    """The digest of this part if it arrived before. Raises NotFound when the upload is over."""
    await _require_upload(s, claim.upload_id)
    part = await s.get(UploadPart, (claim.upload_id, claim.number))
    return None if part is None else part.sha256


async def receive(store: Store, claim: PartClaim, pieces: AsyncIterator[bytes]) -> str:
    """Put a request's body into the store as a part; returns its digest. Raises Invalid unless its length is right."""
    async with store.stage(limit=claim.length) as staged:
        async for piece in pieces:
            await staged.write(piece)
        if staged.size != claim.length:
            raise Invalid(
                f"{staged.size} bytes arrived, this part has {claim.length}.", status=422, next_step="Send it again."
            )
        digest = await staged.digest()
        await staged.keep_as(part_key(claim.upload_id, claim.number, digest))
    return digest


async def register(s: AsyncSession, claim: PartClaim, digest: str) -> Key | None:
    """Let this part count from now on; returns the one that no longer does. Raises NotFound when the upload is over."""
    await _require_upload(s, claim.upload_id, locks=True)
    part = await s.get(UploadPart, (claim.upload_id, claim.number))
    before = part.sha256 if part is not None else None
    part = part or UploadPart(upload_id=claim.upload_id, number=claim.number, sha256=digest, size_bytes=claim.length)
    part.sha256, part.received_at = digest, now()
    s.add(part)
    return part_key(claim.upload_id, claim.number, before) if before is not None and before != digest else None


async def told(s: AsyncSession, upload_id: str, whole: Claim, etags: Mapping[int, str]) -> Sequence[Key]:
    """The parts of an upload in order, if they are the ones the client tells of by number. Raises Invalid, NotFound."""
    upload = await _require_upload(s, upload_id)
    query = sa.select(UploadPart).where(col(UploadPart.upload_id) == upload_id).order_by(col(UploadPart.number))
    parts = (await s.scalars(query)).all()
    wanted = count(whole.size, upload.part_bytes or 1)
    if len(parts) != wanted or {part.number: part.sha256 for part in parts} != dict(etags):
        raise Invalid(
            f"{len(parts)} of {wanted} parts arrived, or others than those that were named.",
            status=422,
            code="PartsMissing",
            next_step="Start the upload again; parts that arrived are not stored twice.",
        )
    return [part_key(upload_id, part.number, part.sha256) for part in parts]


async def join(store: Store, whole: Claim, parts: Sequence[Key]) -> None:
    """Put the parts together in the store. Raises Invalid if the whole is not what was announced."""
    async with store.stage(limit=whole.size) as staged:
        try:
            for key in parts:
                async for piece in store.read(key):
                    await staged.write(piece)
        except FileNotFoundError:
            raise NotFound("A part was cleaned up meanwhile.", next_step="Start the upload again.") from None
        await staged.keep(sha256=whole.sha256, size=whole.size)


async def finish(s: AsyncSession, upload_id: str, whole: Claim) -> Sequence[Key]:
    """Let the repository refer to the file that `join` verified; returns its parts, to be removed after the commit."""
    await lfs.register(s, whole)
    return await forget(s, upload_id)


async def forget(s: AsyncSession, upload_id: str) -> Sequence[Key]:
    """Let no part count any more: all were joined, or are not what was announced, or nobody came back.

    Returns them, to be removed from the store after the commit. What is missed then is found by cleaning up.
    """
    gone = sa.delete(UploadPart).where(col(UploadPart.upload_id) == upload_id)
    rows = await s.execute(gone.returning(col(UploadPart.number), col(UploadPart.sha256)))
    await s.execute(sa.update(Upload).where(col(Upload.id) == upload_id).values(part_bytes=None))
    return [part_key(upload_id, number, sha256) for number, sha256 in rows]


async def remove(store: Store, parts: Sequence[Key]) -> None:
    """Take parts that do not count any more out of the store."""
    for key in parts:
        await store.remove(key)


async def clean_up(db: Database, store: Store, *, instant: datetime | None = None) -> int:
    """Remove the parts of uploads that nobody goes on with; returns how many uploads these were.

    Each is forgotten in a transaction of its own, after which no address of it works.
    """
    before = (instant or now()) - timedelta(days=KEPT_DAYS)
    is_alive = sa.exists().where(col(UploadPart.upload_id) == col(Upload.id), col(UploadPart.received_at) >= before)
    is_stale = sa.and_(col(Upload.part_bytes).is_not(None), col(Upload.started_at) < before, ~is_alive)
    async with db.read() as s:
        stale = list(await s.scalars(sa.select(col(Upload.id)).where(is_stale)))
    for upload_id in stale:
        async with db.write() as s:
            found = await s.scalar(sa.select(Upload).where(col(Upload.id) == upload_id, is_stale).with_for_update())
            if found is None:
                continue
            body = {"size": found.size_bytes, "started_at": found.started_at.isoformat()}
            gone = await forget(s, upload_id)
            await ledger.record(s, "repos:upload:expire", repo=found.repo_id, subject=found.sha256, body=body)
        await remove(store, gone)
    return len(stale)


async def _require_upload(s: AsyncSession, upload_id: str, *, locks: bool = False) -> Upload:
    query = sa.select(Upload).where(col(Upload.id) == upload_id)
    upload = await s.scalar(query.with_for_update() if locks else query)
    if upload is None or upload.part_bytes is None or upload.finished_at is not None:
        raise NotFound("This upload is over.", next_step="Start it again; a file that has arrived is not asked for.")
    return upload


def _whole(payload: Mapping[str, object], instant: datetime) -> Claim:
    whole = payload["whole"]
    assert isinstance(whole, dict)
    claim = Claim(**whole)
    if claim.expires_at <= instant.timestamp():
        raise lfs.invalid_address()
    return claim
