"""From where an acceptance came, for a short time.

Why: a network and a program's name help to show that somebody did accept, and are personal data that must not be kept
as long as the acceptance. So they lie apart, with an end; the receipt holds a salted digest, and the salt goes with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_acceptance_sources"
down_revision = "2026_11_22_mail_links"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acceptance_source",
        sa.Column("acceptance_id", sa.String(length=26), nullable=False),
        sa.Column("network", sa.String(length=60), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("kept_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["acceptance_id"],
            ["acceptance.id"],
            name="fk_acceptance_source_acceptance_id_acceptance",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("acceptance_id", name="pk_acceptance_source"),
    )
    op.create_index("ix_acceptance_source_kept_until", "acceptance_source", ["kept_until"])


def downgrade() -> None:
    op.drop_index("ix_acceptance_source_kept_until", table_name="acceptance_source")
    op.drop_table("acceptance_source")
