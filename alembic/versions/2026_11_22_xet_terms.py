"""What a Xet file is made of, where its chunks can be found, and since when nobody needed what is stored.

Why: without its terms (which chunks of which xorbs, in order) a file cannot be downloaded through Xet, and without an
index the question "who holds this chunk" would read every xorb's table. Files registered before have no terms: they go
on as plain downloads until somebody sends them again. What was told to be there already must outlive the upload that relies
on it, so cleaning up goes by when that was last.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_xet_terms"
down_revision = "2026_11_22_names_and_likes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("xorb", "repo_object"):
        op.add_column(table, sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("xet_file", sa.Column("terms", sa.LargeBinary(), nullable=True))
    op.create_table(
        "xet_chunk",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("chunk_hash", sa.String(length=64), nullable=False),
        sa.Column("xorb_hash", sa.String(length=64), nullable=False),
        sa.Column("file_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_xet_chunk_repo_id_repo"),
        sa.PrimaryKeyConstraint("repo_id", "chunk_hash", name="pk_xet_chunk"),
    )


def downgrade() -> None:
    op.drop_table("xet_chunk")
    op.drop_column("xet_file", "terms")
    for table in ("repo_object", "xorb"):
        op.drop_column(table, "renewed_at")
