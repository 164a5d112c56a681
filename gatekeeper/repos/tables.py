"""The catalogue, true Git objects, references, and the content-addressed store's index."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class RepoKind(StrEnum):
    """The Hub's repository types, by their name in the API's paths."""

    MODEL = "models"
    DATASET = "datasets"
    SPACE = "spaces"


class Gate(StrEnum):
    """The Hub's `gated` setting of an unstaged repository."""

    NONE = "none"
    AUTO = "auto"
    MANUAL = "manual"


class Repo(SQLModel, table=True):
    """A repository. `key` is `<kind>/<namespace>/<name>` in lower case; NULL once deleted, so that the name
    can be used again, and for what has no name (see `shadows`).
    """

    __tablename__ = "repo"
    __table_args__ = (sa.Index("ix_repo_kind_updated_at_id", "kind", "updated_at", "id"),)  # in the order of lists

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: RepoKind = Field(default=RepoKind.MODEL, sa_type=EnumText(RepoKind))
    namespace: str = Field(max_length=40)
    name: str = Field(max_length=100)
    key: str | None = Field(max_length=160, unique=True)
    owner_person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    owner_organization_id: str | None = Field(default=None, foreign_key="organization.id", max_length=26, index=True)
    is_private: bool = Field(default=False)
    gate: Gate = Field(default=Gate.NONE, sa_type=EnumText(Gate))
    is_staged: bool = Field(default=False)  # releases decide, `is_private` and `gate` no longer do
    download_count: int = Field(default=0)
    xet_epoch: int = Field(default=1)  # part of the address clients deduplicate under; raised when xorbs are deleted
    created_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    @property
    def full_name(self) -> str:
        """`namespace/name`, in its canonical case."""
        return f"{self.namespace}/{self.name}"


class RepoRedirect(SQLModel, table=True):
    """A name that a moved repository had, in the form of `Repo.key`; gone as soon as another repository has it."""

    __tablename__ = "repo_redirect"

    key: str = Field(primary_key=True, max_length=160)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    moved_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class RepoLike(SQLModel, table=True):
    """This person likes this repository. Decides nothing."""

    __tablename__ = "repo_like"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26, index=True)
    liked_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DownloadCount(SQLModel, table=True):
    """How often a repository was downloaded, counted from the evidence up to the event `counted_to`."""

    __tablename__ = "download_count"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    total: int = Field(default=0, sa_type=sa.BigInteger)
    counted_to: str = Field(default="", max_length=26)


class GitObject(SQLModel, table=True):
    """A blob, tree, commit or tag of one repository, by its true Git id. `content` is without Git's header."""

    __tablename__ = "git_object"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    object_id: str = Field(primary_key=True, max_length=40)
    kind: str = Field(max_length=6)
    content: bytes = Field(sa_type=sa.LargeBinary)


class GitRef(SQLModel, table=True):
    """`refs/heads/main` and the like. Changed only by compare-and-set."""

    __tablename__ = "git_ref"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    name: str = Field(primary_key=True, max_length=250)
    object_id: str = Field(max_length=40)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class StoredObject(SQLModel, table=True):
    """Bytes that lie in the store under their SHA-256, verified before this row was written."""

    __tablename__ = "stored_object"

    sha256: str = Field(primary_key=True, max_length=64)
    size_bytes: int = Field(sa_type=sa.BigInteger)
    stored_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class RepoObject(SQLModel, table=True):
    """This repository may refer to these bytes: somebody proved to have them by uploading them here.

    Knowing a digest proves nothing (listings show it), so an LFS file is accepted only with this row.

    renewed_at  when somebody was told last that the bytes need not be sent again
    """

    __tablename__ = "repo_object"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    sha256: str = Field(primary_key=True, foreign_key="stored_object.sha256", max_length=64)
    uploaded_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    uploaded_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    renewed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ContentScan(SQLModel, table=True):
    """What a scan found in a content, whoever has it. Shown only through a repository's `FileScan`.

    scanner  version of the scanner; a newer one looks again
    result   findings, imports and facts, as `scanning.Verdict` writes them
    """

    __tablename__ = "content_scan"

    sha256: str = Field(primary_key=True, max_length=64)
    scanner: int = Field(primary_key=True)
    format: str = Field(max_length=20)
    status: str = Field(max_length=12)
    result: dict[str, Any] = Field(sa_type=sa.JSON)
    scanned_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class FileScan(SQLModel, table=True):
    """The content behind a file of this repository was scanned. By SHA-256: two contents may share a Git id.

    object_id  the file's Git blob, which for a large file is its pointer
    """

    __tablename__ = "file_scan"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    object_id: str = Field(primary_key=True, max_length=40)
    sha256: str = Field(max_length=64)


class CardTag(SQLModel, table=True):
    """Some commit of this repository has, or had, a card with this tag: where a search by tag looks.

    INVARIANT: rows are added and never taken away, so that none is missing for any revision that somebody may see. A
    row proves nothing: the card that the searcher may read decides.
    """

    __tablename__ = "card_tag"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    tag: str = Field(primary_key=True, max_length=200, index=True)


class Upload(SQLModel, table=True):
    """An LFS upload that was announced and authorized. `part_bytes` is set while parts of it count."""

    __tablename__ = "upload"
    __table_args__ = (UniqueConstraint("repo_id", "sha256", "person_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    sha256: str = Field(max_length=64)
    size_bytes: int = Field(sa_type=sa.BigInteger)
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    part_bytes: int | None = Field(default=None, sa_type=sa.BigInteger)


class UploadPart(SQLModel, table=True):
    """A part of an upload that arrived, by its number from 1. It lies in the store under a name of its own digest."""

    __tablename__ = "upload_part"

    upload_id: str = Field(primary_key=True, foreign_key="upload.id", ondelete="CASCADE", max_length=26)
    number: int = Field(primary_key=True)
    sha256: str = Field(max_length=64)
    size_bytes: int = Field(sa_type=sa.BigInteger)
    received_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class StoredXorb(SQLModel, table=True):
    """A Xet xorb that lies in the store, once for all repositories, verified before this row was written.

    place       the folder of the store it lies in
    chunks      packs (hash 32, raw length u32, end offset u32) for each chunk
    renewed_at  when somebody sent or named it last: nothing removes it on that day
    """

    __tablename__ = "stored_xorb"

    xorb_hash: str = Field(primary_key=True, max_length=64)
    place: str = Field(max_length=26)
    size_bytes: int = Field(sa_type=sa.BigInteger)
    chunks: bytes = Field(sa_type=sa.LargeBinary)
    received_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    renewed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class RepoXorb(SQLModel, table=True):
    """Somebody sent this xorb to this repository, so uploads to it may name all of its chunks.

    renewed_at  when somebody sent or named it here last; None where that was before this was noted
    """

    __tablename__ = "repo_xorb"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    xorb_hash: str = Field(primary_key=True, foreign_key="stored_xorb.xorb_hash", max_length=64)
    received_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    renewed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class XetFile(SQLModel, table=True):
    """A file registered by a shard: its Xet hash and the SHA-256 of the rebuilt bytes.

    terms  packs (xorb hash 32, first chunk u32, end chunk u32, raw bytes u32) for each run of chunks, in order; None
           for a file registered before terms were kept, which is downloaded plainly
    """

    __tablename__ = "xet_file"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    file_hash: str = Field(primary_key=True, max_length=64)
    sha256: str = Field(max_length=64, index=True)
    size_bytes: int = Field(sa_type=sa.BigInteger)
    registered_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    terms: bytes | None = Field(default=None, sa_type=sa.LargeBinary)


class XetChunk(SQLModel, table=True):
    """Where a chunk that clients ask about lies: in which xorb, as a part of which registered file."""

    __tablename__ = "xet_chunk"

    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26)
    chunk_hash: str = Field(primary_key=True, max_length=64, index=True)
    xorb_hash: str = Field(max_length=64)
    file_hash: str = Field(max_length=64)


class XetPart(SQLModel, table=True):
    """A registered file is made of chunks of this xorb, whichever repository that was sent to. Goes with its file."""

    __tablename__ = "xet_part"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["repo_id", "file_hash"],
            ["xet_file.repo_id", "xet_file.file_hash"],
            name="fk_xet_part_repo_id_xet_file",
            ondelete="CASCADE",
        ),
    )

    repo_id: str = Field(primary_key=True, max_length=26)
    file_hash: str = Field(primary_key=True, max_length=64)
    xorb_hash: str = Field(primary_key=True, foreign_key="stored_xorb.xorb_hash", max_length=64, index=True)
