"""What people let programs do: grants, refresh tokens, and requests of devices.

Why: `hf auth login` gets its token by the device flow, and renews it. An access token that came of a grant names it, so
that ending the grant ends the token. None of the new tables is read by a decision: the tokens are, and are counted already.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_device_login"
down_revision = "2026_11_22_policy_bundles"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "oauth_grant",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_oauth_grant_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_grant"),
    )
    op.create_index("ix_oauth_grant_client_id", "oauth_grant", ["client_id"], unique=False)
    op.create_index("ix_oauth_grant_person_id", "oauth_grant", ["person_id"], unique=False)
    op.create_table(
        "oauth_refresh_token",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("grant_id", sa.String(length=26), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["grant_id"], ["oauth_grant.id"], name="fk_oauth_refresh_token_grant_id_oauth_grant"),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_refresh_token"),
        sa.UniqueConstraint("secret_hash", name="uq_oauth_refresh_token_secret_hash"),
    )
    op.create_index("ix_oauth_refresh_token_grant_id", "oauth_refresh_token", ["grant_id"], unique=False)
    op.create_table(
        "oauth_device_request",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("device_code_hash", sa.String(length=64), nullable=False),
        sa.Column("user_code_hash", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("grant_id", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["grant_id"], ["oauth_grant.id"], name="fk_oauth_device_request_grant_id_oauth_grant"),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_device_request"),
        sa.UniqueConstraint("device_code_hash", name="uq_oauth_device_request_device_code_hash"),
        sa.UniqueConstraint("user_code_hash", name="uq_oauth_device_request_user_code_hash"),
    )
    op.create_index("ix_oauth_device_request_expires_at", "oauth_device_request", ["expires_at"], unique=False)
    op.add_column("access_token", sa.Column("grant_id", sa.String(length=26), nullable=True))
    op.create_index("ix_access_token_grant_id", "access_token", ["grant_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_access_token_grant_id", table_name="access_token")
    op.drop_column("access_token", "grant_id")
    op.drop_index("ix_oauth_device_request_expires_at", table_name="oauth_device_request")
    op.drop_table("oauth_device_request")
    op.drop_index("ix_oauth_refresh_token_grant_id", table_name="oauth_refresh_token")
    op.drop_table("oauth_refresh_token")
    op.drop_index("ix_oauth_grant_person_id", table_name="oauth_grant")
    op.drop_index("ix_oauth_grant_client_id", table_name="oauth_grant")
    op.drop_table("oauth_grant")
