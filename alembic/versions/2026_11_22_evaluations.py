"""Evaluations: runs, their images, what readers saw in these, signed reports, and the discussions that speak of them.

Why: a release may be asked for a report on exactly its files. Orders of an evaluation are told from a person's own, which
they neither charge nor hold up. Going back, reports are lost; their events stay in the log.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_evaluations"
down_revision = "2026_11_22_image_records"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generation", sa.Column("is_evaluation", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "evaluation_run",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("grid_id", sa.String(length=40), nullable=False),
        sa.Column("grid_sha256", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("started_by", sa.String(length=26), nullable=True),
        sa.Column("contests", sa.String(length=26), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("images_total", sa.Integer(), nullable=False),
        sa.Column("images_done", sa.Integer(), nullable=False),
        sa.Column("troubles", sa.Integer(), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_evaluation_run_repo_id_repo"),
        sa.ForeignKeyConstraint(["started_by"], ["person.id"], name="fk_evaluation_run_started_by_person"),
        sa.PrimaryKeyConstraint("id", name="pk_evaluation_run"),
    )
    op.create_index("ix_evaluation_run_repo_id", "evaluation_run", ["repo_id"])
    op.create_index("ix_evaluation_run_started_by", "evaluation_run", ["started_by"])
    op.create_table(
        "evaluation_image",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("prompt_sha256", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("settings_sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_evaluation_image_repo_id_repo"),
        sa.PrimaryKeyConstraint(
            "repo_id", "commit_id", "prompt_sha256", "seed", "settings_sha256", name="pk_evaluation_image"
        ),
    )
    op.create_index("ix_evaluation_image_image_sha256", "evaluation_image", ["image_sha256"])
    op.create_table(
        "evaluation_reading",
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("reader_sha256", sa.String(length=64), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("image_sha256", "reader_sha256", name="pk_evaluation_reading"),
    )
    op.create_table(
        "evaluation_report",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("grid_id", sa.String(length=40), nullable=False),
        sa.Column("grid_sha256", sa.String(length=64), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("receipt", sa.JSON(), nullable=False),
        sa.Column("contests", sa.String(length=26), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["evaluation_run.id"], name="fk_evaluation_report_run_id_evaluation_run"),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_evaluation_report_repo_id_repo"),
        sa.ForeignKeyConstraint(
            ["contests"], ["evaluation_report.id"], name="fk_evaluation_report_contests_evaluation_report"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_evaluation_report"),
        sa.UniqueConstraint("run_id", name="uq_evaluation_report_run_id"),
    )
    op.create_index("ix_evaluation_report_repo_id", "evaluation_report", ["repo_id"])
    op.create_index("ix_evaluation_report_manifest_sha256", "evaluation_report", ["manifest_sha256"])
    op.create_table(
        "evaluation_talk",
        sa.Column("report_id", sa.String(length=26), nullable=False),
        sa.Column("discussion_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["evaluation_report.id"], name="fk_evaluation_talk_report_id_evaluation_report"
        ),
        sa.ForeignKeyConstraint(["discussion_id"], ["discussion.id"], name="fk_evaluation_talk_discussion_id_discussion"),
        sa.PrimaryKeyConstraint("report_id", "discussion_id", name="pk_evaluation_talk"),
    )
    op.create_index("ix_evaluation_talk_discussion_id", "evaluation_talk", ["discussion_id"])


def downgrade() -> None:
    for table in ("talk", "report", "reading", "image", "run"):
        op.drop_table(f"evaluation_{table}")
    op.drop_column("generation", "is_evaluation")
