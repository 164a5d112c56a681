"""Images for their owner, for a limited time: files in a private folder, deleted with their prompts."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now

_BATCH = 500


class ImageFolder:
    """Where images lie: `<root>/<generation id>-<index>.png`. Ids are ours, so a path is never made of foreign text."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, generation_id: str, index: int) -> Path:
        """The file of one image."""
        return self.root / f"{generation_id}-{index}.png"

    async def write(self, generation_id: str, index: int, png: bytes) -> None:
        """Keep an image; it is on disk when this returns."""
        await asyncio.to_thread(self._write, self.path(generation_id, index), png)

    async def delete(self, generation_ids: list[str]) -> int:
        """Delete every image of these generations; returns how many files there were."""
        return await asyncio.to_thread(self._delete, frozenset(generation_ids))

    def _write(self, path: Path, png: bytes) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(".part")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(png)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def _delete(self, generation_ids: frozenset[str]) -> int:
        if not self.root.is_dir():
            return 0
        found = [path for path in self.root.iterdir() if path.name.rpartition("-")[0] in generation_ids]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)


async def own(session: AsyncSession, principal: Principal, generation_id: str) -> Generation:
    """One of the principal's own generations. Raises NotFound, also for somebody else's."""
    found = await session.get(Generation, generation_id)
    if found is None or principal.person_id is None or found.person_id != principal.person_id:
        raise errors.NotFound("There is no such image.", next_step="Your images are listed on your images page.")
    return found


async def list_own(
    session: AsyncSession, principal: Principal, *, after: str | None = None, limit: int = 50
) -> list[Generation]:
    """The principal's generations, newest first; `after` is the last id of the part before."""
    if principal.person_id is None:
        return []
    query = sa.select(Generation).where(col(Generation.person_id) == principal.person_id)
    if after:
        query = query.where(col(Generation.id) < after)
    return list(await session.scalars(query.order_by(col(Generation.id).desc()).limit(limit)))


async def own_image(
    session: AsyncSession, principal: Principal, folder: ImageFolder, generation_id: str, index: int
) -> Path:
    """The file of one's own image. Raises NotFound; the end of its time is compared now, whether or not a job ran."""
    generation = await own(session, principal, generation_id)
    path = folder.path(generation.id, index)
    if is_over(generation, now()):
        raise errors.NotFound(
            "This image was kept for a limited time, which is over.",
            next_step="Order it again: the receipt names model, seed and settings.",
        )
    if generation.state is not GenerationState.DONE or not path.is_file():
        raise errors.NotFound("There is no such image.", next_step="Your images are listed on your images page.")
    return path


def is_over(generation: Generation, instant: datetime) -> bool:
    """Whether images and prompt are not given out any more."""
    return generation.expires_at is not None and instant >= generation.expires_at


async def clean_up(session: AsyncSession, folder: ImageFolder, *, instant: datetime | None = None) -> int:
    """Delete images and prompts whose time is over; returns how many generations were cleaned. Safe to repeat."""
    at = instant or now()
    ids = list(
        await session.scalars(
            sa.select(col(Generation.id))
            .where(col(Generation.expires_at) <= at, col(Generation.prompt).is_not(None))
            .limit(_BATCH)
        )
    )
    if not ids:
        return 0
    await folder.delete(ids)
    await session.execute(
        sa.update(Generation)
        .where(col(Generation.id).in_(ids))
        .values(prompt=None)
        .execution_options(synchronize_session="fetch")
    )
    return len(ids)
