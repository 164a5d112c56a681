"""Changes of terms, and texts that a person recognized.

Why: who accepted earlier terms is warned before a material change asks them to accept again, and is not troubled by
a corrected typing mistake; which acceptances count, and until when, is data that a decision reads. A text whose words are
those of a known license is that license once a person has said so; that changes decisions too, and is evidence.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_terms_changes"
down_revision = "2026_11_22_requests"
branch_labels = None
depends_on = None

COUNTED = ("terms_change", "recognition", "catalogue_license")
KEPT = "evidence: this is never changed or deleted"


def upgrade() -> None:
    op.create_table(
        "recognition",
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("license_id", sa.String(length=80), nullable=False),
        sa.Column("confirmed_by", sa.String(length=26), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["confirmed_by"], ["person.id"], name="fk_recognition_confirmed_by_person"),
        sa.ForeignKeyConstraint(["text_sha256"], ["license_text.sha256"], name="fk_recognition_text_sha256_license_text"),
        sa.PrimaryKeyConstraint("text_sha256", name="pk_recognition"),
    )
    op.create_table(
        "terms_change",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("old_sha256", sa.String(length=64), nullable=True),
        sa.Column("new_sha256", sa.String(length=64), nullable=False),
        sa.Column("change_class", sa.String(length=40), nullable=True),
        sa.Column("in_force_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("classified_by", sa.String(length=26), nullable=True),
        sa.Column("classified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["classified_by"], ["person.id"], name="fk_terms_change_classified_by_person"),
        sa.ForeignKeyConstraint(["new_sha256"], ["terms_bundle.sha256"], name="fk_terms_change_new_sha256_terms_bundle"),
        sa.ForeignKeyConstraint(["old_sha256"], ["terms_bundle.sha256"], name="fk_terms_change_old_sha256_terms_bundle"),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_terms_change_repo_id_repo"),
        sa.PrimaryKeyConstraint("id", name="pk_terms_change"),
    )
    op.create_index("ix_terms_change_repo_id", "terms_change", ["repo_id"])
    dialect = op.get_bind().dialect.name
    for statement in [*_guards(dialect), *trigger_ddl(dialect, COUNTED)]:
        op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in drop_trigger_ddl(dialect, COUNTED):
        op.execute(sa.text(statement))
    op.drop_index("ix_terms_change_repo_id", table_name="terms_change")
    op.drop_table("terms_change")
    op.drop_table("recognition")


def _guards(dialect: str) -> list[str]:
    """What changed into what, and when it came into force, stays as it was; only what a person says of it is set."""
    refusal = (
        f"BEGIN SELECT RAISE(ABORT, '{KEPT}'); END"
        if dialect == "sqlite"
        else f"EXECUTE FUNCTION guard_refuse('{KEPT}')"
    )
    columns = "id, repo_id, old_sha256, new_sha256, in_force_at"
    return [
        f"CREATE TRIGGER guard_terms_change_fixed BEFORE UPDATE OF {columns} ON terms_change FOR EACH ROW {refusal}",
        f"CREATE TRIGGER guard_terms_change_kept BEFORE DELETE ON terms_change FOR EACH ROW {refusal}",
    ]
