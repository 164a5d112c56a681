"""Names that people and organizations had.

Why: a name that was given up stays reserved, and only whoever had it may have it again.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_former_names"
down_revision = "2026_11_22_shadows"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("namespace", sa.Column("former_owner_id", sa.String(length=26), nullable=True))
    op.create_index("ix_namespace_former_owner_id", "namespace", ["former_owner_id"])


def downgrade() -> None:
    op.drop_index("ix_namespace_former_owner_id", table_name="namespace")
    op.drop_column("namespace", "former_owner_id")
