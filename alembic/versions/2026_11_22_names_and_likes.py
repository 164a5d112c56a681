"""Names that repositories had, what people like, and how often a repository was downloaded.

Why: a moved repository is still found under its old name, so that table is read to find repositories and its changes
are counted like those of the catalogue. Likes and download counts decide nothing: they are not counted, or every like
would empty the caches of decisions.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_names_and_likes"
down_revision = "2026_11_22_guards"
branch_labels = None
depends_on = None

COUNTED = ("repo_redirect",)


def upgrade() -> None:
    op.create_table(
        "repo_redirect",
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_repo_redirect_repo_id_repo")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_repo_redirect")),
    )
    op.create_index(op.f("ix_repo_redirect_repo_id"), "repo_redirect", ["repo_id"], unique=False)
    op.create_table(
        "repo_like",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("liked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_repo_like_person_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_repo_like_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "person_id", name=op.f("pk_repo_like")),
    )
    op.create_index(op.f("ix_repo_like_person_id"), "repo_like", ["person_id"], unique=False)
    op.create_table(
        "download_count",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("counted_to", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_download_count_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", name=op.f("pk_download_count")),
    )
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))
    op.drop_table("download_count")
    op.drop_index(op.f("ix_repo_like_person_id"), table_name="repo_like")
    op.drop_table("repo_like")
    op.drop_index(op.f("ix_repo_redirect_repo_id"), table_name="repo_redirect")
    op.drop_table("repo_redirect")
