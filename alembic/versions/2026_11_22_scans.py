"""What scans found in contents, which file of which repository leads to which content, and tags to find cards by.

Why: results are kept by content, so that the same file is looked at once, while who may see them follows the
repository. A list by tag should not read every card. Repositories that are there already get a job for what their references point at. Decides nothing, so its
changes are not counted.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id

revision = "2026_11_22_scans"
down_revision = "2026_11_22_notices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "content_scan",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("scanner", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "scanner", name=op.f("pk_content_scan")),
    )
    op.create_table(
        "file_scan",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("object_id", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_file_scan_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "object_id", name=op.f("pk_file_scan")),
    )
    op.create_table(
        "card_tag",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("tag", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_card_tag_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "tag", name=op.f("pk_card_tag")),
    )
    op.create_index(op.f("ix_card_tag_tag"), "card_tag", ["tag"], unique=False)
    _promise_scans()


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM job WHERE kind = 'repos:scan'"))
    op.drop_index(op.f("ix_card_tag_tag"), table_name="card_tag")
    op.drop_table("card_tag")
    op.drop_table("file_scan")
    op.drop_table("content_scan")


def _promise_scans() -> None:
    """A job for each reference of each repository that was not deleted."""
    repo = sa.table("repo", sa.column("id"), sa.column("deleted_at"))
    ref = sa.table("git_ref", sa.column("repo_id"), sa.column("object_id"))
    job = sa.table(
        "job",
        sa.column("id"),
        sa.column("kind"),
        sa.column("payload", sa.JSON()),
        sa.column("run_at", sa.DateTime(timezone=True)),
        sa.column("attempts"),
        sa.column("error"),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    bind, instant = op.get_bind(), now()
    heads: dict[str, list[str]] = {}
    query = sa.select(ref.c.repo_id, ref.c.object_id).join(repo, repo.c.id == ref.c.repo_id)
    for repo_id, oid in bind.execute(query.where(repo.c.deleted_at.is_(None))).all():
        heads.setdefault(repo_id, []).append(oid)
    for repo_id, oids in heads.items():
        row = {"id": new_id(), "kind": "repos:scan", "payload": {"repo": repo_id, "commits": sorted(set(oids))}}
        bind.execute(job.insert(), row | {"run_at": instant, "created_at": instant, "attempts": 0, "error": ""})
