"""Answers of a returned request that its applicant has saved and not sent yet.

Why: they must not stand where reviewers read what was sent. Going back, what was saved and not sent is lost. No
decision reads this column.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_returned_drafts"
down_revision = "2026_11_23_refusals_of_repos"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("access_request", sa.Column("draft", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("access_request", "draft")
