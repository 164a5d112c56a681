"""Images for their owner, for a limited time: files in a private folder, deleted with their prompts."""

import asyncio
import os
from datetime import datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import after_commit
from gatekeeper.generation.encoding import format_of
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id

_BATCH = 500


class ImageFolder:
    """Where images lie: `<root>/<generation id>-<index>.<format>`. Nothing of it is foreign text."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, made: Generation, index: int) -> Path:
        """The file of one image."""
        return self.root / f"{made.id}-{index}.{format_of(made)}"

    async def write(self, made: Generation, index: int, content: bytes) -> Path:
        """Put an image on disk, under a name of its own until `keep` gives it the right one."""
        path = self.path(made, index)
        part = path.with_name(f"{path.stem}.{new_id()}.part")
        await asyncio.to_thread(self._write, part, content)
        return part

    def keep(self, made: Generation, parts: list[Path]) -> None:
        """Give an order's files their names: called while its row is held, so that no other process's are replaced."""
        for part in parts:
            part.replace(part.with_name(part.name.partition(".")[0] + f".{format_of(made)}"))

    async def delete(self, generation_ids: list[str]) -> int:
        """Delete every image of these generations; returns how many files there were."""
        return await asyncio.to_thread(self._delete, frozenset(generation_ids))

    def _write(self, path: Path, content: bytes) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

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
    query = sa.select(Generation).where(
        col(Generation.person_id) == principal.person_id, col(Generation.is_evaluation).is_(False)
    )
    if after:
        query = query.where(col(Generation.id) < after)
    return list(await session.scalars(query.order_by(col(Generation.id).desc()).limit(limit)))


async def own_image(
    session: AsyncSession, principal: Principal, folder: ImageFolder, generation_id: str, index: int
) -> Path:
    """The file of one's own image. Raises NotFound; the end of its time is compared now, whether or not a job ran."""
    generation = await own(session, principal, generation_id)
    path = folder.path(generation, index)
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


async def forget(session: AsyncSession, principal: Principal, folder: ImageFolder, generation_id: str) -> Generation:
    """Delete an order's images and prompts before their time. Record and receipts stay. Safe to repeat.

    Raises NotFound unless it is the principal's own, Conflict while it is being made.
    """
    made = await own(session, principal, generation_id)
    if made.state is GenerationState.RUNNING:
        raise errors.Conflict("This is being made.", next_step="Cancel it first.")
    if not is_over(made, now()):
        # Not None: if this process ends before the files are gone, the clean-up still sees the order and deletes them.
        made.prompt, made.negative_prompt = "", None
        made.expires_at = now()
        await ledger.record(
            session, "generation:result:delete", actor=principal.person_id, repo=made.repo_id, subject=made.id
        )
    after_commit(session, partial(folder.delete, [made.id]))  # type: ignore[arg-type]  # how many is not needed
    return made


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
        .values(prompt=None, negative_prompt=None)
        .execution_options(synchronize_session="fetch")
    )
    return len(ids)
