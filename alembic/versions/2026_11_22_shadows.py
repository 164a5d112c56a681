"""Shadows: where people who may not write to a repository send the large files of their pull requests.

Why: what they send must not tell what the repository holds, nor lend it. A shadow is a row of `repo` without a name, and
this says what it is the shadow of and whose. Going back, it is a deleted repository, and cleaned up as one.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_shadows"
down_revision = "2026_11_22_safety_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "repo_shadow",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("target_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_repo_shadow_repo_id_repo"),
        sa.ForeignKeyConstraint(["target_id"], ["repo.id"], name="fk_repo_shadow_target_id_repo"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_repo_shadow_person_id_person"),
        sa.PrimaryKeyConstraint("repo_id", name="pk_repo_shadow"),
        sa.UniqueConstraint("target_id", "person_id", name="uq_repo_shadow_target_id_person_id"),
    )
    op.create_index("ix_repo_shadow_person_id", "repo_shadow", ["person_id"])


def downgrade() -> None:
    op.execute(
        "UPDATE repo SET deleted_at = CURRENT_TIMESTAMP "
        "WHERE deleted_at IS NULL AND id IN (SELECT repo_id FROM repo_shadow)"
    )
    op.drop_index("ix_repo_shadow_person_id", table_name="repo_shadow")
    op.drop_table("repo_shadow")
