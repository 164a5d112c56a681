"""Strikes: orders that safety stopped, for people to review and to appeal.

Why: an account's history makes safety stricter and leads to a review instead of a silent ban. No decision reads it.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_strikes"
down_revision = "2026_11_22_list_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "strike",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("generation_id", sa.String(length=26), nullable=True),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("fired", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("struck_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("appeal", sa.Text(), nullable=False),
        sa.Column("shows_prompt", sa.Boolean(), nullable=False),
        sa.Column("appealed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("reviewed_by", sa.String(length=26), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_strike_person_id_person"),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_strike_repo_id_repo"),
        sa.ForeignKeyConstraint(["generation_id"], ["generation.id"], name="fk_strike_generation_id_generation"),
        sa.ForeignKeyConstraint(["reviewed_by"], ["person.id"], name="fk_strike_reviewed_by_person"),
        sa.PrimaryKeyConstraint("id", name="pk_strike"),
        sa.UniqueConstraint("generation_id", name="uq_strike_generation_id"),
    )
    op.create_index("ix_strike_person_id", "strike", ["person_id"])
    op.create_index("ix_strike_repo_id", "strike", ["repo_id"])
    op.create_index("ix_strike_struck_at", "strike", ["struck_at"])


def downgrade() -> None:
    op.drop_table("strike")
