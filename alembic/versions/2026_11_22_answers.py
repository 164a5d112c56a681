"""Answers that reviewers start from.

Why: a repository, or an organization for all of its own, keeps words for what is answered again and again. Each change is a
new row, so that it can always be told which words were proposed when.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_answers"
down_revision = "2026_11_22_organization_ends"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_template",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=True),
        sa.Column("organization_id", sa.String(length=26), nullable=True),
        sa.Column("act", sa.String(length=10), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("text", sa.String(length=2000), nullable=False),
        sa.Column("is_retired", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["made_by"], ["person.id"], name="fk_answer_template_made_by_person"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_answer_template_organization_id_organization"
        ),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_answer_template_repo_id_repo"),
        sa.PrimaryKeyConstraint("id", "version", name="pk_answer_template"),
    )
    op.create_index("ix_answer_template_repo_id", "answer_template", ["repo_id"])
    op.create_index("ix_answer_template_organization_id", "answer_template", ["organization_id"])


def downgrade() -> None:
    op.drop_index("ix_answer_template_organization_id", table_name="answer_template")
    op.drop_index("ix_answer_template_repo_id", table_name="answer_template")
    op.drop_table("answer_template")
