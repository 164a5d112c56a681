"""Safety reports stand beside bias reports: a report says which it is.

Why: a stage may demand a signed report on what a model does with harm, as on what it does with people. Going back,
safety reports are lost; their events stay in the log.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_safety_reports"
down_revision = "2026_11_22_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "evaluation_report", sa.Column("kind", sa.String(length=40), nullable=False, server_default="bias")
    )


def downgrade() -> None:
    safety = "SELECT id FROM evaluation_report WHERE kind = 'safety'"
    op.execute(f"DELETE FROM evaluation_talk WHERE report_id IN ({safety})")
    op.execute("DELETE FROM evaluation_report WHERE kind = 'safety'")
    op.drop_column("evaluation_report", "kind")
