"""Organizations that were deleted.

Why: the row stays, for evidence means its id, and so does its name, which nobody gets again.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_organization_ends"
down_revision = "2026_11_22_stage_terms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organization", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("organization", "deleted_at")
