"""Orders that survive a restart, what they reserve of the quotas, and quotas that were changed for somebody.

Why: an order is claimed by the process that makes it, so that another one can take it over, and a caller's key finds it
again. Images, compute seconds and orders at once are counted for people and organizations; an administrator may let
other numbers hold. No decision reads any of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_orders_that_last"
down_revision = "2026_11_22_privacy"
branch_labels = None
depends_on = None

_KEY = "ix_generation_person_id_idempotency_key"


def upgrade() -> None:
    op.add_column("generation", sa.Column("charged_seconds", sa.Float(), nullable=False, server_default="0"))
    op.add_column("generation", sa.Column("negative_prompt", sa.Text(), nullable=True))
    op.add_column("generation", sa.Column("stage", sa.String(length=20), nullable=False, server_default=""))
    op.add_column("generation", sa.Column("token_id", sa.String(length=26), nullable=True))
    op.add_column("generation", sa.Column("request_sha256", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("generation", sa.Column("idempotency_key", sa.String(length=64), nullable=True))
    op.add_column("generation", sa.Column("claimed_by", sa.String(length=26), nullable=True))
    op.add_column("generation", sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("generation", sa.Column("is_unwanted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("generation", sa.Column("losses", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(_KEY, "generation", ["person_id", "idempotency_key"], unique=True)
    op.create_index("ix_generation_claimed_until", "generation", ["claimed_until"], unique=False)
    op.execute(sa.text("UPDATE generation SET claimed_until = started_at WHERE state = 'running'"))
    op.create_table(
        "quota_change",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("organization_id", sa.String(length=26), nullable=True),
        sa.Column("images_per_day", sa.Integer(), nullable=True),
        sa.Column("compute_seconds_per_day", sa.Integer(), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_quota_change_person_id_person"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_quota_change_organization_id_organization"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_quota_change"),
        sa.UniqueConstraint("person_id", name="uq_quota_change_person_id"),
        sa.UniqueConstraint("organization_id", name="uq_quota_change_organization_id"),
    )


def downgrade() -> None:
    op.drop_table("quota_change")
    op.drop_index("ix_generation_claimed_until", table_name="generation")
    op.drop_index(_KEY, table_name="generation")
    for column in (
        "losses",
        "is_unwanted",
        "claimed_until",
        "claimed_by",
        "idempotency_key",
        "request_sha256",
        "token_id",
        "stage",
        "negative_prompt",
        "charged_seconds",
    ):
        op.drop_column("generation", column)
