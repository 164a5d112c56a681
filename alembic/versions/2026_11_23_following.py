"""What people follow.

Why: who wants to hear of a repository or a discussion need not take part in it, and who takes part may want to be left in
peace.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_following"
down_revision = "2026_11_23_members_factors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "following",
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("num", sa.Integer(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_following_person_id_person"),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_following_repo_id_repo"),
        sa.PrimaryKeyConstraint("person_id", "repo_id", "num", name="pk_following"),
    )
    op.create_index("ix_following_repo_id", "following", ["repo_id"])


def downgrade() -> None:
    op.drop_index("ix_following_repo_id", table_name="following")
    op.drop_table("following")
