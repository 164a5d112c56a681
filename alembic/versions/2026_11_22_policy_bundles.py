"""Policy bundles: every file of what was in force, and since when.

Why: an event names the policies that stood behind it by their digest alone; to ask them again, or to take a change
back, the bundle itself must still be there. What was in force is evidence, so it is never changed or deleted. Putting
a bundle in force changes every decision, so it is counted like any change that a decision reads.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_policy_bundles"
down_revision = "2026_11_22_collections"
branch_labels = None
depends_on = None

TABLES = ("policy_bundle", "policy_activation")
COUNTED = ("policy_activation",)
KEPT = "evidence: this is never changed or deleted"


def upgrade() -> None:
    op.create_table(
        "policy_bundle",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_policy_bundle"),
    )
    op.create_table(
        "policy_activation",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["policy_bundle.sha256"], name="fk_policy_activation_bundle_sha256_policy_bundle"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_policy_activation_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_policy_activation"),
        sa.UniqueConstraint("number", name="uq_policy_activation_number"),
    )
    dialect = op.get_bind().dialect.name
    for statement in [*_guards(dialect), *trigger_ddl(dialect, COUNTED)]:
        op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in drop_trigger_ddl(dialect, COUNTED):
        op.execute(sa.text(statement))
    op.drop_table("policy_activation")
    op.drop_table("policy_bundle")


def _guards(dialect: str) -> list[str]:
    refusal = (
        f"BEGIN SELECT RAISE(ABORT, '{KEPT}'); END"
        if dialect == "sqlite"
        else f"EXECUTE FUNCTION guard_refuse('{KEPT}')"
    )
    return [
        f"CREATE TRIGGER guard_{table}_{event.lower()} BEFORE {event} ON {table} FOR EACH ROW {refusal}"
        for table in TABLES
        for event in ("UPDATE", "DELETE")
    ]
