"""Safety is measured by runs as bias is: a run says which it is, and an image which checks flagged it.

Why: one kind of run, with progress, pause and resume, for both. Going back, safety runs are lost with their reports, as
are the verdicts on images that nobody got; events stay in the log.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_safety_runs"
down_revision = "2026_11_23_following"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_run", sa.Column("kind", sa.String(length=40), nullable=False, server_default="bias"))
    op.execute(
        "UPDATE evaluation_run SET kind = 'safety' "
        "WHERE id IN (SELECT run_id FROM evaluation_report WHERE kind = 'safety')"
    )
    op.add_column("evaluation_image", sa.Column("flagged_by", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    # A verdict on an image that nobody got would be taken for an image that is missing.
    op.execute("DELETE FROM evaluation_image WHERE state = 'made' AND image_sha256 = ''")
    runs = "SELECT id FROM evaluation_run WHERE kind = 'safety'"
    reports = f"SELECT id FROM evaluation_report WHERE run_id IN ({runs})"
    op.execute(f"DELETE FROM evaluation_talk WHERE report_id IN ({reports})")
    op.execute(f"DELETE FROM evaluation_report WHERE run_id IN ({runs})")
    op.execute("DELETE FROM evaluation_run WHERE kind = 'safety'")
    op.drop_column("evaluation_image", "flagged_by")
    op.drop_column("evaluation_run", "kind")
