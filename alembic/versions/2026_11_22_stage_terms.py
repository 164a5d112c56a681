"""Terms of their own for single stages of a commit.

Why: a model may be tested under one text and opened under another. What a commit states for a stage is remembered beside
what binds at all others, so that a later change of the catalogue changes neither.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_stage_terms"
down_revision = "2026_11_22_incidents"
branch_labels = None
depends_on = None

TABLE = "repo_terms"
KEY = ["repo_id", "commit_id"]


def upgrade() -> None:
    _change_triggers(drop_trigger_ddl)
    with op.batch_alter_table(TABLE) as table:
        table.add_column(sa.Column("stage", sa.String(length=40), nullable=True))
    op.execute(sa.text("UPDATE repo_terms SET stage = ''"))
    with op.batch_alter_table(TABLE) as table:
        table.alter_column("stage", existing_type=sa.String(length=40), nullable=False)
        table.drop_constraint("pk_repo_terms", type_="primary")
        table.create_primary_key("pk_repo_terms", [*KEY, "stage"])
    _change_triggers(trigger_ddl)


def downgrade() -> None:
    _change_triggers(drop_trigger_ddl)
    op.execute(sa.text("DELETE FROM repo_terms WHERE stage <> ''"))
    with op.batch_alter_table(TABLE) as table:
        table.drop_constraint("pk_repo_terms", type_="primary")
        table.create_primary_key("pk_repo_terms", KEY)
        table.drop_column("stage")
    _change_triggers(trigger_ddl)


def _change_triggers(ddl: Callable[[str, Sequence[str]], list[str]]) -> None:
    """SQLite makes the table anew, and its triggers with it."""
    for statement in ddl(op.get_bind().dialect.name, [TABLE]):
        op.execute(sa.text(statement))
