"""Mirrors: which repositories are brought from another hub, and how far they have come.

Why: an operator who brings a repository again wants what changed, not everything. No decision reads this table, so its
changes are not counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_mirrors"
down_revision = "2026_11_22_xet_terms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mirror",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("endpoint", sa.String(length=200), nullable=False),
        sa.Column("upstream", sa.String(length=150), nullable=False),
        sa.Column("revisions", sa.JSON(), nullable=False),
        sa.Column("heads", sa.JSON(), nullable=False),
        sa.Column("first", sa.String(length=40), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("brought_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_mirror_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", name=op.f("pk_mirror")),
    )


def downgrade() -> None:
    op.drop_table("mirror")
