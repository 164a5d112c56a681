"""The parts in which a large file is sent, and how long those of each upload are.

Why: an upload of many gigabytes that breaks off must not begin anew. `upload.part_bytes` is set while parts of it count;
a part is a row that goes with its upload. Going back, parts on their way are forgotten and their files cleaned up.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_upload_parts"
down_revision = "2026_11_22_release_changes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("upload", sa.Column("part_bytes", sa.BigInteger(), nullable=True))
    op.create_table(
        "upload_part",
        sa.Column("upload_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["upload.id"], name="fk_upload_part_upload_id_upload", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upload_id", "number", name="pk_upload_part"),
    )


def downgrade() -> None:
    op.drop_table("upload_part")
    op.drop_column("upload", "part_bytes")
