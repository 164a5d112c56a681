"""Discussions, pull requests, their comments, and the commits that are proposals.

Why: decisions read which commits are proposals, so changes of that table are counted like those of releases. What people
write decides nothing and is not counted.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_community"
down_revision = "2026_11_22_device_login"
branch_labels = None
depends_on = None

COUNTED = ("proposed_commit",)


def upgrade() -> None:
    op.create_table(
        "discussion",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("num", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("is_pull_request", sa.Boolean(), nullable=False),
        sa.Column("author_id", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("target_ref", sa.String(length=250), nullable=False),
        sa.Column("base_commit", sa.String(length=40), nullable=False),
        sa.Column("merge_commit", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_discussion_author_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_discussion_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discussion")),
        sa.UniqueConstraint("repo_id", "num", name=op.f("uq_discussion_repo_id_num")),
    )
    op.create_index(op.f("ix_discussion_author_id"), "discussion", ["author_id"], unique=False)
    op.create_table(
        "discussion_event",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("discussion_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("author_id", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_discussion_event_author_id_person")),
        sa.ForeignKeyConstraint(
            ["discussion_id"], ["discussion.id"], name=op.f("fk_discussion_event_discussion_id_discussion")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discussion_event")),
        sa.UniqueConstraint("discussion_id", "position", name=op.f("uq_discussion_event_discussion_id_position")),
    )
    op.create_index(op.f("ix_discussion_event_author_id"), "discussion_event", ["author_id"], unique=False)
    op.create_index(op.f("ix_discussion_event_created_at"), "discussion_event", ["created_at"], unique=False)
    op.create_table(
        "comment_text",
        sa.Column("event_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author_id", sa.String(length=26), nullable=True),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_comment_text_author_id_person")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["discussion_event.id"], name=op.f("fk_comment_text_event_id_discussion_event")
        ),
        sa.PrimaryKeyConstraint("event_id", "version", name=op.f("pk_comment_text")),
    )
    op.create_table(
        "proposed_commit",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("discussion_id", sa.String(length=26), nullable=False),
        sa.Column("base_commit", sa.String(length=40), nullable=False),
        sa.Column("author_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_proposed_commit_author_id_person")),
        sa.ForeignKeyConstraint(
            ["discussion_id"], ["discussion.id"], name=op.f("fk_proposed_commit_discussion_id_discussion")
        ),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_proposed_commit_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "commit_id", name=op.f("pk_proposed_commit")),
    )
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))
    op.drop_table("proposed_commit")
    op.drop_table("comment_text")
    op.drop_index(op.f("ix_discussion_event_created_at"), table_name="discussion_event")
    op.drop_index(op.f("ix_discussion_event_author_id"), table_name="discussion_event")
    op.drop_table("discussion_event")
    op.drop_index(op.f("ix_discussion_author_id"), table_name="discussion")
    op.drop_table("discussion")
