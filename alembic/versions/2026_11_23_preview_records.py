"""Previews have a record from the moment at which they are given out.

Why: a preview carries the number of a record, and its order may end without an image.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_preview_records"
down_revision = "2026_11_23_doors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("image_record", sa.Column("is_preview", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("image_record", "is_preview")
