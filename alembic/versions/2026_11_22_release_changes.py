"""Changes of releases that take several people, holds by the hub, and what an organization asks for beyond the ladder.

Why: taking a release back or changing an announced embargo is agreed by as many as its stage demands, as a promotion is,
so a proposal now says what it would do. Every proposal there is would promote, and every hold is a maintainer's.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_release_changes"
down_revision = "2026_11_22_scans"
branch_labels = None
depends_on = None

COUNTED = ("organization_rule",)


def upgrade() -> None:
    op.add_column("proposal", sa.Column("act", sa.String(length=40), nullable=False, server_default="promote"))
    op.add_column("proposal", sa.Column("until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("release", sa.Column("is_hub_hold", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "organization_rule",
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("stage", sa.String(length=40), nullable=False),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.Column("sole_maintainer", sa.Boolean(), nullable=False),
        sa.Column("soak_days", sa.Integer(), nullable=False),
        sa.Column("testers", sa.Integer(), nullable=False),
        sa.Column("criteria", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_organization_rule_organization_id_organization"
        ),
        sa.PrimaryKeyConstraint("organization_id", "stage", name="pk_organization_rule"),
    )
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))
    op.drop_table("organization_rule")
    op.drop_column("release", "is_hub_hold")
    op.drop_column("proposal", "until")
    op.drop_column("proposal", "act")
