"""Applications that people sign in to with this hub, their codes, and what people said yes to.

Why: "Sign in with Gatekeeper" needs registered addresses to send people back to, codes that are used once, and a memory of
consent. None of it is read by a decision: tokens are, and are counted already.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_applications"
down_revision = "2026_11_22_community"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "oauth_application",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("owner_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.Column("needs_pkce", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["person.id"], name="fk_oauth_application_owner_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_application"),
    )
    op.create_index("ix_oauth_application_owner_id", "oauth_application", ["owner_id"], unique=False)
    op.create_table(
        "oauth_code",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("redirect_uri", sa.String(length=500), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("nonce", sa.String(length=200), nullable=True),
        sa.Column("challenge", sa.String(length=128), nullable=True),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("grant_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_oauth_code_person_id_person"),
        sa.ForeignKeyConstraint(["grant_id"], ["oauth_grant.id"], name="fk_oauth_code_grant_id_oauth_grant"),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_code"),
        sa.UniqueConstraint("secret_hash", name="uq_oauth_code_secret_hash"),
    )
    op.create_index("ix_oauth_code_expires_at", "oauth_code", ["expires_at"], unique=False)
    op.create_table(
        "oauth_consent",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_oauth_consent_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_consent"),
        sa.UniqueConstraint("person_id", "client_id", name="uq_oauth_consent_person_id_client_id"),
    )


def downgrade() -> None:
    op.drop_table("oauth_consent")
    op.drop_index("ix_oauth_code_expires_at", table_name="oauth_code")
    op.drop_table("oauth_code")
    op.drop_index("ix_oauth_application_owner_id", table_name="oauth_application")
    op.drop_table("oauth_application")
