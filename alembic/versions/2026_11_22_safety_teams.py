"""Who is in the safety team of an organization.

Why: people who look behind the safety system of a release need not be able to administrate the organization. A decision
reads it, and memberships are counted already.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_safety_teams"
down_revision = "2026_11_22_limited_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("membership", sa.Column("is_safety", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("membership", "is_safety")
