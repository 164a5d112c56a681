"""Legal holds, who was erased, and which requests were cleared at the end of their time.

Why: people may ask to be forgotten, and what is personal is kept no longer than its class allows. Going back, holds are
lost, and cleared requests count as not yet cleared; they hold nothing that could be cleared again.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_privacy"
down_revision = "2026_11_22_identities"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("placed_by", sa.String(length=26), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_legal_hold_person_id_person"),
        sa.PrimaryKeyConstraint("person_id", name="pk_legal_hold"),
    )
    op.create_table(
        "erasure",
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_erasure_person_id_person"),
        sa.PrimaryKeyConstraint("person_id", name="pk_erasure"),
    )
    op.create_table(
        "cleared",
        sa.Column("request_id", sa.String(length=26), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["access_request.id"], name="fk_cleared_request_id_access_request"),
        sa.PrimaryKeyConstraint("request_id", name="pk_cleared"),
    )


def downgrade() -> None:
    for table in ("cleared", "erasure", "legal_hold"):
        op.drop_table(table)
