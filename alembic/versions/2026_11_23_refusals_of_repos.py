"""Refusals are counted by repository as well.

Why: who looks after a repository is to see what was refused of it, and the sums by day, code and rule did not tell
where. Earlier sums stay, as of no repository. Going back adds up what is kept apart. No decision reads this table.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_refusals_of_repos"
down_revision = "2026_11_23_awaited_orders"
branch_labels = None
depends_on = None

TABLE = "refusal_count"
KEY = ["day", "code", "rule"]


def upgrade() -> None:
    with op.batch_alter_table(TABLE) as table:
        table.add_column(sa.Column("repo_id", sa.String(length=26), nullable=True))
    op.execute(sa.text("UPDATE refusal_count SET repo_id = ''"))
    with op.batch_alter_table(TABLE) as table:
        table.alter_column("repo_id", existing_type=sa.String(length=26), nullable=False)
        table.drop_constraint("pk_refusal_count", type_="primary")
        table.create_primary_key("pk_refusal_count", [*KEY, "repo_id"])


def downgrade() -> None:
    rows = op.get_bind().execute(
        sa.text("SELECT day, code, rule, sum(total) AS total FROM refusal_count GROUP BY day, code, rule")
    )
    sums = [dict(row) for row in rows.mappings()]
    op.execute(sa.text("DELETE FROM refusal_count"))
    with op.batch_alter_table(TABLE) as table:
        table.drop_constraint("pk_refusal_count", type_="primary")
        table.create_primary_key("pk_refusal_count", KEY)
        table.drop_column("repo_id")
    for each in sums:
        op.get_bind().execute(sa.text("INSERT INTO refusal_count VALUES (:day, :code, :rule, :total)"), each)
