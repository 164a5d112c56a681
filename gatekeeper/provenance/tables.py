"""The index of what was given out: from the number in a mark, or the digest of a file, to a receipt."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime


class ImageRecord(SQLModel, table=True):
    """One image that was given out. It names nobody, and it is kept after the image is deleted.

    is_preview  a look at it was, and the finished image was not (yet)
    """

    __tablename__ = "image_record"

    number: int = Field(sa_type=sa.BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    receipt_id: str = Field(max_length=40, unique=True)
    image_sha256: str = Field(max_length=64, index=True)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    commit_id: str = Field(max_length=40)
    is_preview: bool = Field(default=False)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
