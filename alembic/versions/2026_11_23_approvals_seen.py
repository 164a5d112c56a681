"""Approvals know what they were given to.

Why: an approval of a promotion must not outlive a demotion, a hold or a waiver that its giver never saw. What was seen when
those that are there were given is not known, so open promotions are approved anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_approvals_seen"
down_revision = "2026_11_23_safety_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("release_version", "proposal_version"):
        op.add_column("approval", sa.Column(column, sa.Integer(), nullable=False, server_default="-1"))


def downgrade() -> None:
    op.drop_column("approval", "proposal_version")
    op.drop_column("approval", "release_version")
