"""What limits tokens, what organizations say to them, accounts of programs, and jobs elsewhere that are trusted.

Why: a token can be made for some repositories or organizations only, an organization can ask to approve it, and a CI job
gets one for its own signed identity, with no secret stored anywhere. What a decision reads of this is counted; a token
that came of a trusted job ends with its row, which is counted already.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_limited_tokens"
down_revision = "2026_11_22_acceptance_sources"
branch_labels = None
depends_on = None

COUNTED = ("token_policy", "token_verdict", "service_account")


def upgrade() -> None:
    op.add_column(
        "access_token", sa.Column("kind", sa.String(length=40), nullable=False, server_default="personal")
    )
    op.execute(sa.text("UPDATE access_token SET kind = 'application' WHERE grant_id IS NOT NULL"))
    op.add_column("access_token", sa.Column("reach", sa.JSON(), nullable=True))
    op.add_column("access_token", sa.Column("parent_id", sa.String(length=26), nullable=True))
    op.create_index("ix_access_token_parent_id", "access_token", ["parent_id"], unique=False)
    op.add_column("token_use", sa.Column("place", sa.String(length=50), nullable=True))
    op.add_column("token_use", sa.Column("client", sa.String(length=40), nullable=True))
    op.create_table(
        "token_policy",
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("max_days", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name="fk_token_policy_organization_id_organization"),
        sa.PrimaryKeyConstraint("organization_id", name="pk_token_policy"),
    )
    op.create_table(
        "token_verdict",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("token_id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("verdict", sa.String(length=40), nullable=False),
        sa.Column("by_id", sa.String(length=26), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["access_token.id"], name="fk_token_verdict_token_id_access_token"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_token_verdict_organization_id_organization"
        ),
        sa.ForeignKeyConstraint(["by_id"], ["person.id"], name="fk_token_verdict_by_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_token_verdict"),
        sa.UniqueConstraint("token_id", "organization_id", name="uq_token_verdict_token_id_organization_id"),
    )
    op.create_index("ix_token_verdict_organization_id", "token_verdict", ["organization_id"], unique=False)
    op.create_table(
        "service_account",
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_service_account_person_id_person"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_service_account_organization_id_organization"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name="fk_service_account_created_by_person"),
        sa.PrimaryKeyConstraint("person_id", name="pk_service_account"),
    )
    op.create_index("ix_service_account_organization_id", "service_account", ["organization_id"], unique=False)
    op.create_table(
        "trusted_publisher",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("claims", sa.JSON(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_trusted_publisher_repo_id_repo"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_trusted_publisher_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_trusted_publisher"),
    )
    op.create_index("ix_trusted_publisher_repo_id", "trusted_publisher", ["repo_id"], unique=False)
    op.create_table(
        "seen_statement",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_seen_statement"),
    )
    op.create_index("ix_seen_statement_expires_at", "seen_statement", ["expires_at"], unique=False)
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))
    op.drop_index("ix_seen_statement_expires_at", table_name="seen_statement")
    op.drop_table("seen_statement")
    op.drop_index("ix_trusted_publisher_repo_id", table_name="trusted_publisher")
    op.drop_table("trusted_publisher")
    op.drop_index("ix_service_account_organization_id", table_name="service_account")
    op.drop_table("service_account")
    op.drop_index("ix_token_verdict_organization_id", table_name="token_verdict")
    op.drop_table("token_verdict")
    op.drop_table("token_policy")
    op.drop_column("token_use", "client")
    op.drop_column("token_use", "place")
    op.drop_index("ix_access_token_parent_id", table_name="access_token")
    for column in ("parent_id", "reach", "kind"):
        op.drop_column("access_token", column)
