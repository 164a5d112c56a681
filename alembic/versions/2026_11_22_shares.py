"""What share of the engine somebody gets where there is not enough for all.

Why: shares are weighted by stage in the policy, and by person here, beside the quotas that were changed for them.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_shares"
down_revision = "2026_11_22_evaluations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quota_change", sa.Column("weight", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("quota_change", "weight")
