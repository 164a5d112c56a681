"""An invitation says whether it is into the safety team, too.

Why: what was ticked when somebody was invited was dropped. Going back, open invitations are into the organization alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_offered_safety"
down_revision = "2026_11_23_preview_records"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("membership_offer", sa.Column("is_safety", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("membership_offer", "is_safety")
