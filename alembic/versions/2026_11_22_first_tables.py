"""First tables: people, tokens, repositories, terms, releases, access, generations, jobs, and the evidence log.

Why: everything that the first version keeps. Generated from the models, with plain types.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_first_tables"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_kind"), "job", ["kind"], unique=False)
    op.create_index(op.f("ix_job_run_at"), "job", ["run_at"], unique=False)

    op.create_table(
        "ledger_checkpoint",
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root_sha256", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_ledger_checkpoint")),
    )
    op.create_table(
        "ledger_event",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.String(length=26), nullable=True),
        sa.Column("token_id", sa.String(length=26), nullable=True),
        sa.Column("repo_id", sa.String(length=26), nullable=True),
        sa.Column("subject_id", sa.String(length=80), nullable=True),
        sa.Column("policy_sha256", sa.String(length=64), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("leaf_sha256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_event")),
        sa.UniqueConstraint("number", name=op.f("uq_ledger_event_number")),
    )
    op.create_index(op.f("ix_ledger_event_actor_id"), "ledger_event", ["actor_id"], unique=False)
    op.create_index(op.f("ix_ledger_event_kind"), "ledger_event", ["kind"], unique=False)
    op.create_index(op.f("ix_ledger_event_repo_id"), "ledger_event", ["repo_id"], unique=False)
    op.create_index(op.f("ix_ledger_event_subject_id"), "ledger_event", ["subject_id"], unique=False)

    op.create_table(
        "ledger_node",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_ledger_node")),
    )
    op.create_table(
        "license_text",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("canonical_sha256", sa.String(length=64), nullable=False),
        sa.Column("license_id", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_license_text")),
    )
    op.create_index(op.f("ix_license_text_canonical_sha256"), "license_text", ["canonical_sha256"], unique=False)

    op.create_table(
        "organization",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("name_key", sa.String(length=40), nullable=False),
        sa.Column("fullname", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
        sa.UniqueConstraint("name_key", name=op.f("uq_organization_name_key")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("name_key", sa.String(length=40), nullable=False),
        sa.Column("fullname", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("email_key", name=op.f("uq_person_email_key")),
        sa.UniqueConstraint("name_key", name=op.f("uq_person_name_key")),
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name_hash", sa.String(length=64), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempt")),
    )
    op.create_index(op.f("ix_sign_in_attempt_address_hash"), "sign_in_attempt", ["address_hash"], unique=False)
    op.create_index(op.f("ix_sign_in_attempt_at"), "sign_in_attempt", ["at"], unique=False)
    op.create_index(op.f("ix_sign_in_attempt_name_hash"), "sign_in_attempt", ["name_hash"], unique=False)

    op.create_table(
        "stored_object",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_stored_object")),
    )
    op.create_table(
        "terms_bundle",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.Column("form", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_terms_bundle")),
    )
    op.create_table(
        "access_token",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=8), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_access_token_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_token")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_access_token_secret_hash")),
    )
    op.create_index(op.f("ix_access_token_person_id"), "access_token", ["person_id"], unique=False)

    op.create_table(
        "browser_session",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_browser_session_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_session")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_browser_session_secret_hash")),
    )
    op.create_index(op.f("ix_browser_session_person_id"), "browser_session", ["person_id"], unique=False)

    op.create_table(
        "catalogue_license",
        sa.Column("license_id", sa.String(length=80), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["text_sha256"], ["license_text.sha256"], name=op.f("fk_catalogue_license_text_sha256_license_text")
        ),
        sa.PrimaryKeyConstraint("license_id", "text_sha256", name=op.f("pk_catalogue_license")),
    )
    op.create_table(
        "membership",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_membership_organization_id_organization")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_membership_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_membership")),
        sa.UniqueConstraint("organization_id", "person_id", name=op.f("uq_membership_organization_id_person_id")),
    )
    op.create_index(op.f("ix_membership_person_id"), "membership", ["person_id"], unique=False)

    op.create_table(
        "namespace",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("skeleton", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("organization_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_namespace_organization_id_organization")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_namespace_person_id_person")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_namespace")),
    )
    op.create_index(op.f("ix_namespace_skeleton"), "namespace", ["skeleton"], unique=False)

    op.create_table(
        "repo",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("namespace", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=True),
        sa.Column("owner_person_id", sa.String(length=26), nullable=True),
        sa.Column("owner_organization_id", sa.String(length=26), nullable=True),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("gate", sa.String(length=40), nullable=False),
        sa.Column("is_staged", sa.Boolean(), nullable=False),
        sa.Column("download_count", sa.Integer(), nullable=False),
        sa.Column("xet_epoch", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name=op.f("fk_repo_created_by_person")),
        sa.ForeignKeyConstraint(
            ["owner_organization_id"], ["organization.id"], name=op.f("fk_repo_owner_organization_id_organization")
        ),
        sa.ForeignKeyConstraint(["owner_person_id"], ["person.id"], name=op.f("fk_repo_owner_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repo")),
        sa.UniqueConstraint("key", name=op.f("uq_repo_key")),
    )
    op.create_index(op.f("ix_repo_owner_organization_id"), "repo", ["owner_organization_id"], unique=False)
    op.create_index(op.f("ix_repo_owner_person_id"), "repo", ["owner_person_id"], unique=False)

    op.create_table(
        "access_request",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=26), nullable=True),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("is_direct", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["decided_by"], ["person.id"], name=op.f("fk_access_request_decided_by_person")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_access_request_person_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_access_request_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_request")),
    )
    op.create_index(op.f("ix_access_request_person_id"), "access_request", ["person_id"], unique=False)
    op.create_index(op.f("ix_access_request_repo_id"), "access_request", ["repo_id"], unique=False)
    op.create_index(op.f("ix_access_request_state"), "access_request", ["state"], unique=False)
    op.create_index(
        "uq_access_request_open",
        "access_request",
        ["repo_id", "person_id"],
        unique=True,
        sqlite_where=sa.text("state = 'in_review'"),
        postgresql_where=sa.text("state = 'in_review'"),
    )

    op.create_table(
        "generation",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("prompt_sha256", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("receipt", sa.JSON(), nullable=True),
        sa.Column("image_sha256", sa.JSON(), nullable=False),
        sa.Column("charged_images", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_generation_person_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_generation_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation")),
    )
    op.create_index(op.f("ix_generation_expires_at"), "generation", ["expires_at"], unique=False)
    op.create_index(op.f("ix_generation_person_id"), "generation", ["person_id"], unique=False)
    op.create_index(op.f("ix_generation_repo_id"), "generation", ["repo_id"], unique=False)
    op.create_index(op.f("ix_generation_started_at"), "generation", ["started_at"], unique=False)

    op.create_table(
        "git_object",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("object_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=6), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_git_object_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "object_id", name=op.f("pk_git_object")),
    )
    op.create_table(
        "git_ref",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("object_id", sa.String(length=40), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_git_ref_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "name", name=op.f("pk_git_ref")),
    )
    op.create_table(
        "presentation",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("shown_sha256", sa.String(length=64), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("locale", sa.String(length=20), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["terms_bundle.sha256"], name=op.f("fk_presentation_bundle_sha256_terms_bundle")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_presentation_person_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_presentation_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presentation")),
    )
    op.create_index(op.f("ix_presentation_person_id"), "presentation", ["person_id"], unique=False)

    op.create_table(
        "release",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=True),
        sa.Column("stage", sa.String(length=40), nullable=False),
        sa.Column("staged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("embargoed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_reason", sa.String(length=2000), nullable=False),
        sa.Column("deprecated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_release_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release")),
        sa.UniqueConstraint("repo_id", "commit_id", name=op.f("uq_release_repo_id_commit_id")),
    )
    op.create_index(op.f("ix_release_repo_id"), "release", ["repo_id"], unique=False)

    op.create_table(
        "repo_object",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("uploaded_by", sa.String(length=26), nullable=True),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_repo_object_repo_id_repo")),
        sa.ForeignKeyConstraint(["sha256"], ["stored_object.sha256"], name=op.f("fk_repo_object_sha256_stored_object")),
        sa.ForeignKeyConstraint(["uploaded_by"], ["person.id"], name=op.f("fk_repo_object_uploaded_by_person")),
        sa.PrimaryKeyConstraint("repo_id", "sha256", name=op.f("pk_repo_object")),
    )
    op.create_table(
        "repo_terms",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("commit_id", sa.String(length=40), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["terms_bundle.sha256"], name=op.f("fk_repo_terms_bundle_sha256_terms_bundle")
        ),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_repo_terms_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "commit_id", name=op.f("pk_repo_terms")),
    )
    op.create_table(
        "token_use",
        sa.Column("token_id", sa.String(length=26), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["access_token.id"], name=op.f("fk_token_use_token_id_access_token")),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_token_use")),
    )
    op.create_table(
        "upload",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_upload_person_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_upload_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("repo_id", "sha256", "person_id", name=op.f("uq_upload_repo_id_sha256_person_id")),
    )
    op.create_table(
        "xet_file",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("file_hash", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_xet_file_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "file_hash", name=op.f("pk_xet_file")),
    )
    op.create_index(op.f("ix_xet_file_sha256"), "xet_file", ["sha256"], unique=False)

    op.create_table(
        "xorb",
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("xorb_hash", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_xorb_repo_id_repo")),
        sa.PrimaryKeyConstraint("repo_id", "xorb_hash", name=op.f("pk_xorb")),
    )
    op.create_table(
        "acceptance",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("presentation_id", sa.String(length=26), nullable=True),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("receipt", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_sha256"], ["terms_bundle.sha256"], name=op.f("fk_acceptance_bundle_sha256_terms_bundle")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_acceptance_person_id_person")),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.id"], name=op.f("fk_acceptance_presentation_id_presentation")
        ),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_acceptance_repo_id_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptance")),
    )
    op.create_index(op.f("ix_acceptance_bundle_sha256"), "acceptance", ["bundle_sha256"], unique=False)
    op.create_index(op.f("ix_acceptance_person_id"), "acceptance", ["person_id"], unique=False)
    op.create_index(op.f("ix_acceptance_repo_id"), "acceptance", ["repo_id"], unique=False)

    op.create_table(
        "access_grant",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("request_id", sa.String(length=26), nullable=True),
        sa.Column("is_tester", sa.Boolean(), nullable=False),
        sa.Column("granted_by", sa.String(length=26), nullable=True),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoke_reason", sa.String(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["granted_by"], ["person.id"], name=op.f("fk_access_grant_granted_by_person")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_access_grant_person_id_person")),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name=op.f("fk_access_grant_repo_id_repo")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["access_request.id"], name=op.f("fk_access_grant_request_id_access_request")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_grant")),
    )
    op.create_index(op.f("ix_access_grant_person_id"), "access_grant", ["person_id"], unique=False)
    op.create_index(op.f("ix_access_grant_repo_id"), "access_grant", ["repo_id"], unique=False)

    op.create_table(
        "proposal",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("release_id", sa.String(length=26), nullable=False),
        sa.Column("target", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("criteria", sa.JSON(), nullable=False),
        sa.Column("proposed_by", sa.String(length=26), nullable=True),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["proposed_by"], ["person.id"], name=op.f("fk_proposal_proposed_by_person")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_proposal_release_id_release")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    op.create_index(op.f("ix_proposal_release_id"), "proposal", ["release_id"], unique=False)

    op.create_table(
        "approval",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("proposal_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_approval_person_id_person")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name=op.f("fk_approval_proposal_id_proposal")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
        sa.UniqueConstraint("proposal_id", "person_id", name=op.f("uq_approval_proposal_id_person_id")),
    )
    op.create_index(op.f("ix_approval_proposal_id"), "approval", ["proposal_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_approval_proposal_id"), table_name="approval")

    op.drop_table("approval")
    op.drop_index(op.f("ix_proposal_release_id"), table_name="proposal")

    op.drop_table("proposal")
    op.drop_index(op.f("ix_access_grant_repo_id"), table_name="access_grant")
    op.drop_index(op.f("ix_access_grant_person_id"), table_name="access_grant")

    op.drop_table("access_grant")
    op.drop_index(op.f("ix_acceptance_repo_id"), table_name="acceptance")
    op.drop_index(op.f("ix_acceptance_person_id"), table_name="acceptance")
    op.drop_index(op.f("ix_acceptance_bundle_sha256"), table_name="acceptance")

    op.drop_table("acceptance")
    op.drop_table("xorb")
    op.drop_index(op.f("ix_xet_file_sha256"), table_name="xet_file")

    op.drop_table("xet_file")
    op.drop_table("upload")
    op.drop_table("token_use")
    op.drop_table("repo_terms")
    op.drop_table("repo_object")
    op.drop_index(op.f("ix_release_repo_id"), table_name="release")

    op.drop_table("release")
    op.drop_index(op.f("ix_presentation_person_id"), table_name="presentation")

    op.drop_table("presentation")
    op.drop_table("git_ref")
    op.drop_table("git_object")
    op.drop_index(op.f("ix_generation_started_at"), table_name="generation")
    op.drop_index(op.f("ix_generation_repo_id"), table_name="generation")
    op.drop_index(op.f("ix_generation_person_id"), table_name="generation")
    op.drop_index(op.f("ix_generation_expires_at"), table_name="generation")

    op.drop_table("generation")
    op.drop_index(
        "uq_access_request_open",
        table_name="access_request",
        sqlite_where=sa.text("state = 'in_review'"),
        postgresql_where=sa.text("state = 'in_review'"),
    )
    op.drop_index(op.f("ix_access_request_state"), table_name="access_request")
    op.drop_index(op.f("ix_access_request_repo_id"), table_name="access_request")
    op.drop_index(op.f("ix_access_request_person_id"), table_name="access_request")

    op.drop_table("access_request")
    op.drop_index(op.f("ix_repo_owner_person_id"), table_name="repo")
    op.drop_index(op.f("ix_repo_owner_organization_id"), table_name="repo")

    op.drop_table("repo")
    op.drop_index(op.f("ix_namespace_skeleton"), table_name="namespace")

    op.drop_table("namespace")
    op.drop_index(op.f("ix_membership_person_id"), table_name="membership")

    op.drop_table("membership")
    op.drop_table("catalogue_license")
    op.drop_index(op.f("ix_browser_session_person_id"), table_name="browser_session")

    op.drop_table("browser_session")
    op.drop_index(op.f("ix_access_token_person_id"), table_name="access_token")

    op.drop_table("access_token")
    op.drop_table("terms_bundle")
    op.drop_table("stored_object")
    op.drop_index(op.f("ix_sign_in_attempt_name_hash"), table_name="sign_in_attempt")
    op.drop_index(op.f("ix_sign_in_attempt_at"), table_name="sign_in_attempt")
    op.drop_index(op.f("ix_sign_in_attempt_address_hash"), table_name="sign_in_attempt")

    op.drop_table("sign_in_attempt")
    op.drop_table("person")
    op.drop_table("organization")
    op.drop_index(op.f("ix_license_text_canonical_sha256"), table_name="license_text")

    op.drop_table("license_text")
    op.drop_table("ledger_node")
    op.drop_index(op.f("ix_ledger_event_subject_id"), table_name="ledger_event")
    op.drop_index(op.f("ix_ledger_event_repo_id"), table_name="ledger_event")
    op.drop_index(op.f("ix_ledger_event_kind"), table_name="ledger_event")
    op.drop_index(op.f("ix_ledger_event_actor_id"), table_name="ledger_event")

    op.drop_table("ledger_event")
    op.drop_table("ledger_checkpoint")
    op.drop_index(op.f("ix_job_run_at"), table_name="job")
    op.drop_index(op.f("ix_job_kind"), table_name="job")

    op.drop_table("job")
