"""Organizations that ask their members for a second factor.

Why: whose account falls to a stolen password must not take the organization with it. A decision reads whether a member
has one, so factors are counted.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_23_members_factors"
down_revision = "2026_11_23_former_names"
branch_labels = None
depends_on = None

COUNTED = ("totp", "passkey")


def upgrade() -> None:
    op.add_column("organization", sa.Column("asks_factor", sa.Boolean(), nullable=False, server_default=sa.false()))
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(statement)
    op.drop_column("organization", "asks_factor")
