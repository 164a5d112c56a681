"""The newest transparency report, and refusals of the decision by day.

Why: a page for everybody must not sum up the whole database each time, and refusals were not kept at all. No decision
reads these tables. Going back, the sums are lost; the evidence is not touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_transparency"
down_revision = "2026_11_22_teams"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refusal_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "code", "rule", name="pk_refusal_count"),
    )
    op.create_table(
        "transparency_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transparency_report"),
    )


def downgrade() -> None:
    op.drop_table("transparency_report")
    op.drop_table("refusal_count")
