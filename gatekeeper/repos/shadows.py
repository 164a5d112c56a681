"""Shadows: where people who may not write to a repository send the large files of their pull requests.

What they send must not land in the repository itself: what it holds already would be told by what need not be sent, and
could be named without being had. So each of them has a shadow beside it, a repository without name, history or readers,
where possession, Xet and cleaning up are as everywhere. A commit to a pull request takes from it what that names; the
rest goes as all uploads go that nobody commits.
"""

from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, UniqueConstraint, col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.repos import large_files, lfs
from gatekeeper.repos.paths import is_sha256
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import (
    Repo,
    RepoObject,
    RepoXorb,
    StoredObject,
    StoredXorb,
    Upload,
    UploadPart,
    XetPart,
)

COUNTED_DAYS = 7  # as long as `garbage` keeps what nobody commits


class Shadow(SQLModel, table=True):
    """What one person sends for pull requests to one repository, `target_id`, comes to the repository `repo_id`."""

    __tablename__ = "repo_shadow"
    __table_args__ = (UniqueConstraint("target_id", "person_id"),)

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    target_id: str = Field(foreign_key="repo.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)


async def of(s: AsyncSession, repo: Repo) -> Shadow | None:
    """What `repo` is the shadow of and whose; None for a repository like others."""
    return await s.get(Shadow, repo.id)


async def find(s: AsyncSession, target: Repo, *, by: Principal) -> Repo | None:
    """The shadow of `target` that is this person's, if they ever sent something."""
    query = (
        sa.select(Repo)
        .join(Shadow, col(Shadow.repo_id) == col(Repo.id))
        .where(col(Shadow.target_id) == target.id, col(Shadow.person_id) == by.person_id)
    )
    found: Repo | None = await s.scalar(query)
    return found


async def ensure(s: AsyncSession, target: Repo, *, by: Principal) -> Repo:
    """The same, made where there is none. Nobody owns it and it has no name, so nothing but uploads finds it."""
    if by.person_id is None:
        raise NotAllowed("Only somebody who is signed in can upload.", next_step="Sign in or send a token.")
    if found := await find(s, target, by=by):
        return found
    made = Repo(kind=target.kind, namespace=target.namespace, name=target.name, key=None, is_private=True)
    s.add(made)
    await s.flush()  # the row below refers to it
    row = {"repo_id": made.id, "target_id": target.id, "person_id": by.person_id}
    if await insert_missing(s, Shadow, [row]) == 0:
        made.deleted_at = now()  # they asked twice at once, and the other one was faster
        s.add(made)
    else:
        await ledger.record(
            s, "repos:shadow:create", actor=by.person_id, token=by.token_id, repo=target.id, subject=made.id, body={}
        )
    found = await find(s, target, by=by)
    assert found is not None
    return found


async def take(s: AsyncSession, target: Repo, digests: Collection[str], *, by: Principal) -> set[str]:
    """Let `target` refer to those of `digests` that this person sent to their shadow of it; returns them."""
    shadow = await find(s, target, by=by)
    if shadow is None or not digests:
        return set()
    sent = await lfs.possessed(s, shadow, [digest for digest in digests if is_sha256(digest)])
    await large_files.share(s, shadow, target, sent, by=by)
    return sent


async def sent_bytes(s: AsyncSession, person_id: str | None, *, as_piece: bool) -> int:
    """How much a person sent to shadows within `COUNTED_DAYS`.

    as_piece  the next bytes are no file yet: then other pieces count as well, parts and xorbs of which no file was made
    """
    since = now() - timedelta(days=COUNTED_DAYS)
    mine = sa.select(col(Shadow.repo_id)).where(col(Shadow.person_id) == person_id)
    files = (
        sa.select(sa.func.sum(col(StoredObject.size_bytes)))
        .join(RepoObject, col(RepoObject.sha256) == col(StoredObject.sha256))
        .where(col(RepoObject.repo_id).in_(mine), col(RepoObject.uploaded_at) >= since)
    )
    is_used = sa.exists().where(
        col(XetPart.repo_id) == col(RepoXorb.repo_id), col(XetPart.xorb_hash) == col(RepoXorb.xorb_hash)
    )
    xorbs = (
        sa.select(sa.func.sum(col(StoredXorb.size_bytes)))
        .join(RepoXorb, col(RepoXorb.xorb_hash) == col(StoredXorb.xorb_hash))
        .where(col(RepoXorb.repo_id).in_(mine), col(RepoXorb.received_at) >= since, ~is_used)
    )
    parts = (
        sa.select(sa.func.sum(col(UploadPart.size_bytes)))
        .join(Upload, col(Upload.id) == col(UploadPart.upload_id))
        .where(col(Upload.repo_id).in_(mine))
    )
    sums = [int(await s.scalar(query) or 0) for query in ((files, xorbs, parts) if as_piece else (files,))]
    return sum(sums)
