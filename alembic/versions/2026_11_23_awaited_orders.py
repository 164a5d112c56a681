"""An order says whether its caller waits for it on the line.

Why: such an order was made again, and charged, after a restart, when nobody could collect it. Going back, orders that are
being made go on as the others do.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_awaited_orders"
down_revision = "2026_11_23_offered_safety"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generation", sa.Column("is_awaited", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("generation", "is_awaited")
