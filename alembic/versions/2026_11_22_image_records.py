"""Records of images that were given out, found by the number in their mark or by the digest of the file.

Why: anybody may ask what an image is, also when its signed metadata was stripped. The table names nobody; no decision
reads it, so it is not counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_image_records"
down_revision = "2026_11_22_strikes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_record",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("receipt_id", sa.String(length=40), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_image_record_repo_id_repo"),
        sa.PrimaryKeyConstraint("number", name="pk_image_record"),
        sa.UniqueConstraint("receipt_id", name="uq_image_record_receipt_id"),
    )
    op.create_index("ix_image_record_image_sha256", "image_record", ["image_sha256"])
    op.create_index("ix_image_record_repo_id", "image_record", ["repo_id"])


def downgrade() -> None:
    op.drop_table("image_record")
