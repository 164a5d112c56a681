"""Signing in through other providers: identities, sign-ins on their way, what came with them, and an operator's way in.

Why: people sign in as they are used to, and somebody is (issuer, subject) and nothing else. Decisions read none of it:
they read memberships, administrators and sessions, whose changes are counted already.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_identities"
down_revision = "2026_11_22_api_use"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("provider", sa.String(length=30), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("label", sa.String(length=254), nullable=False),
        sa.Column("made_admin", sa.Boolean(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_identity_person_id_person", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
        sa.UniqueConstraint("issuer", "subject", name="uq_identity_issuer_subject"),
    )
    op.create_index("ix_identity_person_id", "identity", ["person_id"], unique=False)
    op.create_table(
        "oidc_trip",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("provider", sa.String(length=30), nullable=False),
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.String(length=1000), nullable=False),
        sa.Column("return_to", sa.String(length=2000), nullable=False),
        sa.Column("links_session_id", sa.String(length=26), nullable=True),
        sa.Column("is_fresh", sa.Boolean(), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_oidc_trip"),
        sa.UniqueConstraint("state_hash", name="uq_oidc_trip_state_hash"),
    )
    op.create_index("ix_oidc_trip_address_hash", "oidc_trip", ["address_hash"], unique=False)
    op.create_index("ix_oidc_trip_expires_at", "oidc_trip", ["expires_at"], unique=False)
    op.create_table(
        "oidc_newcomer",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("provider", sa.String(length=30), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("return_to", sa.String(length=2000), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_oidc_newcomer"),
    )
    op.create_index("ix_oidc_newcomer_browser_hash", "oidc_newcomer", ["browser_hash"], unique=False)
    op.create_index("ix_oidc_newcomer_expires_at", "oidc_newcomer", ["expires_at"], unique=False)
    op.create_table(
        "oidc_session",
        sa.Column("session_id", sa.String(length=26), nullable=False),
        sa.Column("identity_id", sa.String(length=26), nullable=False),
        sa.Column("provider", sa.String(length=30), nullable=False),
        sa.Column("sid", sa.String(length=255), nullable=True),
        sa.Column("acr", sa.String(length=200), nullable=False),
        sa.Column("amr", sa.JSON(), nullable=False),
        sa.Column("sealed_id_token", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["identity_id"], ["identity.id"], name="fk_oidc_session_identity_id_identity", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["session_id"], ["browser_session.id"], name="fk_oidc_session_session_id_browser_session", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", name="pk_oidc_session"),
    )
    op.create_index("ix_oidc_session_identity_id", "oidc_session", ["identity_id"], unique=False)
    op.create_table(
        "oidc_seen_logout",
        sa.Column("jti_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("jti_hash", name="pk_oidc_seen_logout"),
    )
    op.create_index("ix_oidc_seen_logout_expires_at", "oidc_seen_logout", ["expires_at"], unique=False)
    op.create_table(
        "mapped_membership",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("identity_id", sa.String(length=26), nullable=False),
        sa.Column("membership_id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["identity_id"], ["identity.id"], name="fk_mapped_membership_identity_id_identity", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["membership_id"], ["membership.id"], name="fk_mapped_membership_membership_id_membership", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name="fk_mapped_membership_organization_id_organization", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_mapped_membership"),
        sa.UniqueConstraint("identity_id", "organization_id", name="uq_mapped_membership_identity_id_organization_id"),
    )
    op.create_index("ix_mapped_membership_membership_id", "mapped_membership", ["membership_id"], unique=False)
    op.create_table(
        "oidc_invitation",
        sa.Column("email_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("email_hash", name="pk_oidc_invitation"),
    )
    op.create_table(
        "sign_in_link",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_sign_in_link_person_id_person", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_link"),
        sa.UniqueConstraint("secret_hash", name="uq_sign_in_link_secret_hash"),
    )


def downgrade() -> None:
    op.drop_table("sign_in_link")
    op.drop_table("oidc_invitation")
    op.drop_index("ix_mapped_membership_membership_id", table_name="mapped_membership")
    op.drop_table("mapped_membership")
    op.drop_index("ix_oidc_seen_logout_expires_at", table_name="oidc_seen_logout")
    op.drop_table("oidc_seen_logout")
    op.drop_index("ix_oidc_session_identity_id", table_name="oidc_session")
    op.drop_table("oidc_session")
    op.drop_index("ix_oidc_newcomer_expires_at", table_name="oidc_newcomer")
    op.drop_index("ix_oidc_newcomer_browser_hash", table_name="oidc_newcomer")
    op.drop_table("oidc_newcomer")
    op.drop_index("ix_oidc_trip_expires_at", table_name="oidc_trip")
    op.drop_index("ix_oidc_trip_address_hash", table_name="oidc_trip")
    op.drop_table("oidc_trip")
    op.drop_index("ix_identity_person_id", table_name="identity")
    op.drop_table("identity")
