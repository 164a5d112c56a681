"""Second factors, what a sign-in under way has done so far, and how a session was begun.

Why: a password alone is guessed, reused and stolen. Of this a decision reads only the session, which is counted already.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_second_factors"
down_revision = "2026_11_22_terms_changes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "browser_session", sa.Column("strength", sa.String(length=40), nullable=False, server_default="password")
    )
    op.create_table(
        "totp",
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("sealed", sa.String(length=200), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_totp_person_id_person"),
        sa.PrimaryKeyConstraint("person_id", name="pk_totp"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_recovery_code_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_code"),
        sa.UniqueConstraint("code_hash", name="uq_recovery_code_code_hash"),
    )
    op.create_index("ix_recovery_code_person_id", "recovery_code", ["person_id"], unique=False)
    op.create_table(
        "passkey",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("credential_sha256", sa.String(length=64), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_passkey_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_passkey"),
        sa.UniqueConstraint("credential_sha256", name="uq_passkey_credential_sha256"),
    )
    op.create_index("ix_passkey_person_id", "passkey", ["person_id"], unique=False)
    op.create_table(
        "sign_in_step",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_sign_in_step_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_step"),
        sa.UniqueConstraint("secret_hash", name="uq_sign_in_step_secret_hash"),
    )
    op.create_index("ix_sign_in_step_person_id", "sign_in_step", ["person_id"], unique=False)
    op.create_index("ix_sign_in_step_expires_at", "sign_in_step", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("sign_in_step")
    op.drop_table("passkey")
    op.drop_table("recovery_code")
    op.drop_table("totp")
    op.drop_column("browser_session", "strength")
