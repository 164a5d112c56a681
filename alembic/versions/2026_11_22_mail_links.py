"""Links in mails, confirmed addresses, and when sessions were last seen.

Why: people choose a new password, confirm an address and sign up by mail. When a session was last seen lies apart from it,
for changes of sessions are counted and would empty the caches of decisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_mail_links"
down_revision = "2026_11_22_second_factors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "mail_link",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_mail_link_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_mail_link"),
        sa.UniqueConstraint("secret_hash", name="uq_mail_link_secret_hash"),
    )
    for column in ("email_key", "expires_at", "person_id"):
        op.create_index(f"ix_mail_link_{column}", "mail_link", [column], unique=False)
    op.create_table(
        "session_use",
        sa.Column("session_id", sa.String(length=26), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("network", sa.String(length=50), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["browser_session.id"],
            name="fk_session_use_session_id_browser_session",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name="pk_session_use"),
    )


def downgrade() -> None:
    op.drop_table("session_use")
    op.drop_table("mail_link")
    op.drop_column("person", "email_verified_at")
