"""Records of images that were given out."""

import re
import secrets
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.provenance.payload import NUMBER_BITS
from gatekeeper.provenance.tables import ImageRecord


async def fresh_numbers(session: AsyncSession, count: int) -> list[int]:
    """Numbers that no image has yet. They say nothing about how many there are."""
    chosen: set[int] = set()
    while len(chosen) < count:
        tried = {secrets.randbits(NUMBER_BITS) for _ in range(count - len(chosen))}
        taken = await session.scalars(sa.select(col(ImageRecord.number)).where(col(ImageRecord.number).in_(tried)))
        chosen |= tried - set(taken)
    return list(chosen)


async def by_number(session: AsyncSession, numbers: Collection[int]) -> list[ImageRecord]:
    """The records of these numbers, as far as there are any."""
    return list(await session.scalars(sa.select(ImageRecord).where(col(ImageRecord.number).in_(numbers))))


async def by_digest(session: AsyncSession, image_sha256: str) -> ImageRecord | None:
    """The record of exactly this file."""
    found: ImageRecord | None = await session.scalar(
        sa.select(ImageRecord).where(col(ImageRecord.image_sha256) == image_sha256).limit(1)
    )
    return found


async def of_receipts(session: AsyncSession, receipt_ids: Collection[str]) -> list[ImageRecord]:
    """The records of the images with these receipts, as far as there are any."""
    return list(await session.scalars(sa.select(ImageRecord).where(col(ImageRecord.receipt_id).in_(receipt_ids))))


async def find_record(session: AsyncSession, text: str) -> ImageRecord | None:
    """The record that a person names: by its number as people write it, or by the SHA-256 of the file."""
    text = text.strip().lower()
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return await by_digest(session, text)
    if not re.fullmatch(r"[0-9a-f]{10}", text):
        return None
    return next(iter(await by_number(session, [int(text, 16)])), None)


def number_text(number: int) -> str:
    """A record's number as people and manifests write it: ten hex digits."""
    return f"{number:010x}"
