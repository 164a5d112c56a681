"""Indexes in the order in which long lists are read, and discussions that are locked or pinned.

Why: a page of the log, of requests in one state or of repositories was found by its condition and then sorted as a whole,
so it took longer the more there were. With the order in the index a page is read from where it begins.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_list_indexes"
down_revision = "2026_11_22_transparency"
branch_labels = None
depends_on = None

_ORDERED = (
    ("ledger_event", "kind", "id"),
    ("ledger_event", "actor_id", "id"),
    ("ledger_event", "repo_id", "id"),
    ("access_request", "state", "id"),
)


def upgrade() -> None:
    for table, column, order in _ORDERED:
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
        op.create_index(op.f(f"ix_{table}_{column}_{order}"), table, [column, order], unique=False)
    op.create_index("ix_repo_kind_updated_at_id", "repo", ["kind", "updated_at", "id"], unique=False)
    op.add_column("discussion", sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("discussion", sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("discussion", "pinned_at")
    op.drop_column("discussion", "locked_at")
    op.drop_index("ix_repo_kind_updated_at_id", table_name="repo")
    for table, column, order in _ORDERED:
        op.drop_index(op.f(f"ix_{table}_{column}_{order}"), table_name=table)
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)
