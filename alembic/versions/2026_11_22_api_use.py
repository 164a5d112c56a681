"""What callers have used up of the API's limit, told between processes.

Why: behind several processes a limit that each counts for itself is several limits. No decision reads it.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_api_use"
down_revision = "2026_11_22_safety_teams"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_use",
        sa.Column("window", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("process", sa.String(length=26), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("window", "caller", "process", name="pk_api_use"),
    )


def downgrade() -> None:
    op.drop_table("api_use")
