"""Webhooks, what was delivered to them, and notices to people.

Why: events of the ledger are told to programs and to people. The ledger is read from where it stands when the server
next starts: what happened before is told to nobody. No decision reads these tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_notices"
down_revision = "2026_11_22_applications"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("owner_id", sa.String(length=26), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("secret_sealed", sa.String(length=1000), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("disabled_at", instant, nullable=True),
        sa.Column("disabled_because", sa.String(length=200), nullable=False),
        sa.Column("failing_since", instant, nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["person.id"], name="fk_webhook_owner_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
    )
    op.create_index("ix_webhook_owner_id", "webhook", ["owner_id"])
    op.create_table(
        "webhook_watch",
        sa.Column("webhook_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("key", sa.String(length=180), nullable=False),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name="fk_webhook_watch_webhook_id_webhook"),
        sa.PrimaryKeyConstraint("webhook_id", "position", name="pk_webhook_watch"),
    )
    op.create_index("ix_webhook_watch_key", "webhook_watch", ["key"])
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("webhook_id", sa.String(length=26), nullable=False),
        sa.Column("event_id", sa.String(length=26), nullable=True),
        sa.Column("domain", sa.String(length=20), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("subject_key", sa.String(length=80), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("next_at", instant, nullable=False),
        sa.Column("claimed_until", instant, nullable=True),
        sa.Column("finished_at", instant, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("response_bytes", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name="fk_webhook_delivery_webhook_id_webhook"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_delivery"),
    )
    op.create_index("ix_webhook_delivery_webhook_id", "webhook_delivery", ["webhook_id"])
    op.create_index("ix_webhook_delivery_due", "webhook_delivery", ["state", "next_at"])
    op.create_table(
        "notice",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("event_key", sa.String(length=80), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("read_at", instant, nullable=True),
        sa.Column("mailed_at", instant, nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_notice_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("person_id", "kind", "event_key", name="uq_notice_person_id_kind_event_key"),
    )
    op.create_table(
        "notice_preference",
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("by_mail", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_notice_preference_person_id_person"),
        sa.PrimaryKeyConstraint("person_id", "kind", name="pk_notice_preference"),
    )
    op.create_table(
        "notice_cursor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notice_cursor"),
    )


def downgrade() -> None:
    for table in ("notice_cursor", "notice_preference", "notice", "webhook_delivery", "webhook_watch", "webhook"):
        op.drop_table(table)
