"""Xorbs are stored once for all repositories; which repository was sent one, and which file is made of it, are rows.

Why: deduplication across repositories needs a xorb that outlives the repository it was sent to first, and the question
"which files, of any repository, are made of this xorb" both to decide who may name it and to know when nobody needs it.

A xorb that lay under several repositories keeps the bytes and the table of one of them: each table is true for its own
bytes alone. The bytes of the others are found and removed by the next cleaning up.

Going back, only xorbs that lie in the folder of their repository keep their row. Files made of others lose their terms
and go on as plain downloads.
"""

import struct

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_shared_xorbs"
down_revision = "2026_11_22_mirrors"
branch_labels = None
depends_on = None

_ROW = struct.Struct("<4Q12x")  # the hash of a term as the four words it is printed in, and what else a term says
_BATCH = 200


def upgrade() -> None:
    op.create_table(
        "stored_xorb",
        sa.Column("xorb_hash", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=26), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("xorb_hash", name="pk_stored_xorb"),
    )
    op.create_table(
        "repo_xorb",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("xorb_hash", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_repo_xorb_repo_id_repo"),
        sa.ForeignKeyConstraint(
            ["xorb_hash"], ["stored_xorb.xorb_hash"], name="fk_repo_xorb_xorb_hash_stored_xorb"
        ),
        sa.PrimaryKeyConstraint("repo_id", "xorb_hash", name="pk_repo_xorb"),
    )
    op.create_table(
        "xet_part",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("file_hash", sa.String(length=64), nullable=False),
        sa.Column("xorb_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo_id", "file_hash"],
            ["xet_file.repo_id", "xet_file.file_hash"],
            name="fk_xet_part_repo_id_xet_file",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["xorb_hash"], ["stored_xorb.xorb_hash"], name="fk_xet_part_xorb_hash_stored_xorb"),
        sa.PrimaryKeyConstraint("repo_id", "file_hash", "xorb_hash", name="pk_xet_part"),
    )
    op.create_index("ix_xet_part_xorb_hash", "xet_part", ["xorb_hash"], unique=False)
    op.create_index("ix_xet_chunk_chunk_hash", "xet_chunk", ["chunk_hash"], unique=False)
    op.execute(
        sa.text(
            "INSERT INTO stored_xorb (xorb_hash, place, size_bytes, chunks, received_at, renewed_at)"
            " SELECT xorb_hash, repo_id, size_bytes, chunks, received_at, coalesce(renewed_at, received_at) FROM xorb"
            " WHERE repo_id = (SELECT min(other.repo_id) FROM xorb AS other WHERE other.xorb_hash = xorb.xorb_hash)"
        )
    )
    op.execute(
        sa.text(
            "INSERT INTO repo_xorb (repo_id, xorb_hash, received_at, renewed_at)"
            " SELECT repo_id, xorb_hash, received_at, renewed_at FROM xorb"
        )
    )
    _fill_parts(op.get_bind())
    op.drop_table("xorb")


def downgrade() -> None:
    op.create_table(
        "xorb",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("xorb_hash", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_xorb_repo_id_repo"),
        sa.PrimaryKeyConstraint("repo_id", "xorb_hash", name="pk_xorb"),
    )
    op.execute(
        sa.text(
            "INSERT INTO xorb (repo_id, xorb_hash, size_bytes, chunks, received_at, renewed_at)"
            " SELECT r.repo_id, x.xorb_hash, x.size_bytes, x.chunks, r.received_at, r.renewed_at"
            " FROM repo_xorb AS r JOIN stored_xorb AS x ON x.xorb_hash = r.xorb_hash WHERE x.place = r.repo_id"
        )
    )
    op.execute(
        sa.text(
            "UPDATE xet_file SET terms = NULL WHERE EXISTS (SELECT 1 FROM xet_part AS p"
            " WHERE p.repo_id = xet_file.repo_id AND p.file_hash = xet_file.file_hash AND NOT EXISTS"
            " (SELECT 1 FROM xorb WHERE xorb.repo_id = p.repo_id AND xorb.xorb_hash = p.xorb_hash))"
        )
    )
    op.drop_index("ix_xet_chunk_chunk_hash", table_name="xet_chunk")
    op.drop_index("ix_xet_part_xorb_hash", table_name="xet_part")
    op.drop_table("xet_part")
    op.drop_table("repo_xorb")
    op.drop_table("stored_xorb")


def _fill_parts(connection: sa.Connection) -> None:
    """A row for each xorb that a file's terms name, where the xorb is there."""
    known = set(connection.scalars(sa.text("SELECT xorb_hash FROM stored_xorb")))
    some = sa.text(
        "SELECT repo_id, file_hash, terms FROM xet_file WHERE terms IS NOT NULL"
        " AND (repo_id > :repo OR (repo_id = :repo AND file_hash > :file)) ORDER BY repo_id, file_hash LIMIT :most"
    )
    insert = sa.text("INSERT INTO xet_part (repo_id, file_hash, xorb_hash) VALUES (:repo, :file, :xorb)")
    repo, file = "", ""
    while rows := connection.execute(some, {"repo": repo, "file": file, "most": _BATCH}).all():
        parts = [
            {"repo": row.repo_id, "file": row.file_hash, "xorb": name}
            for row in rows
            if len(row.terms) % _ROW.size == 0
            for name in {"".join(f"{word:016x}" for word in words) for words in _ROW.iter_unpack(row.terms)} & known
        ]
        if parts:
            connection.execute(insert, parts)
        repo, file = rows[-1].repo_id, rows[-1].file_hash
