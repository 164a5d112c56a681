"""Guards: what is evidence cannot be changed, and every change that a decision reads is counted.

Why: a fault in our own code, or a hand in the database, must not quietly rewrite what people accepted or what was done.
The guards refuse it; the ledger's signatures reveal whoever removes them first. The counter is what caches of decisions
are checked against on every request.

- ledger_event: nothing is deleted; a pending event only gets its number and hash, a sealed one never changes.
- ledger_node, ledger_checkpoint, license_text, terms_bundle, presentation: never change. Subtrees and checkpoints are
  not deleted either, nor is a text as long as any bundle names it; a bundle in its turn is held by the foreign keys of
  whatever was presented, accepted or put in force.
- acceptance: only `withdrawn_at` is ever set.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_revision_ddl, revision_ddl

revision = "2026_11_22_guards"
down_revision = "2026_11_22_first_tables"
branch_labels = None
depends_on = None

COUNTED = (
    "person",
    "organization",
    "membership",
    "namespace",
    "browser_session",
    "access_token",
    "repo",
    "git_ref",
    "repo_terms",
    "acceptance",
    "access_request",
    "access_grant",
    "release",
    "proposal",
)

SEALED = "evidence: a sealed event never changes"
PENDING = "evidence: a pending event only gets its number and hash"
KEPT = "evidence: this is never changed or deleted"
NAMED = "evidence: a bundle of terms names this text"

# (name, table, event, condition on the old row, message)
GUARDS = (
    ("ledger_event_sealed", "ledger_event", "UPDATE", "OLD.number IS NOT NULL", SEALED),
    (
        "ledger_event_pending",
        "ledger_event",
        "UPDATE OF id, kind, occurred_at, actor_id, token_id, repo_id, subject_id, policy_sha256, body",
        "",
        PENDING,
    ),
    ("ledger_event_kept", "ledger_event", "DELETE", "", KEPT),
    ("ledger_node_fixed", "ledger_node", "UPDATE", "", KEPT),
    ("ledger_node_kept", "ledger_node", "DELETE", "", KEPT),
    ("ledger_checkpoint_fixed", "ledger_checkpoint", "UPDATE", "", KEPT),
    ("ledger_checkpoint_kept", "ledger_checkpoint", "DELETE", "", KEPT),
    ("license_text_fixed", "license_text", "UPDATE", "", KEPT),
    ("terms_bundle_fixed", "terms_bundle", "UPDATE", "", KEPT),
    ("presentation_fixed", "presentation", "UPDATE", "", KEPT),
    (
        "acceptance_fixed",
        "acceptance",
        "UPDATE OF id, person_id, repo_id, bundle_sha256, presentation_id, method, accepted_at, receipt",
        "",
        KEPT,
    ),
)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    statements = _sqlite_guards() if dialect == "sqlite" else _postgres_guards()
    for statement in [*statements, *revision_ddl(dialect, COUNTED)]:
        op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    on = (lambda table: "") if dialect == "sqlite" else (lambda table: f" ON {table}")
    names = [(name, table) for name, table, *_ in GUARDS] + [("license_text_kept", "license_text")]
    statements = [f"DROP TRIGGER guard_{name}{on(table)}" for name, table in names]
    if dialect != "sqlite":
        statements += ["DROP FUNCTION guard_refuse()", "DROP FUNCTION guard_text_is_named()"]
    for statement in [*statements, *drop_revision_ddl(dialect, COUNTED)]:
        op.execute(sa.text(statement))


def _sqlite_guards() -> list[str]:
    guards = [
        f"CREATE TRIGGER guard_{name} BEFORE {event} ON {table} FOR EACH ROW {f'WHEN {when}' if when else ''}"
        f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
        for name, table, event, when, message in GUARDS
    ]
    named = "EXISTS (SELECT 1 FROM terms_bundle, json_each(terms_bundle.texts) AS t WHERE t.value = OLD.sha256)"
    return [
        *guards,
        f"CREATE TRIGGER guard_license_text_kept BEFORE DELETE ON license_text FOR EACH ROW WHEN {named}"
        f" BEGIN SELECT RAISE(ABORT, '{NAMED}'); END",
    ]


def _postgres_guards() -> list[str]:
    refuse = """CREATE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation';
    END $$"""
    named = f"""CREATE FUNCTION guard_text_is_named() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM terms_bundle, json_array_elements_text(texts) AS t WHERE t = OLD.sha256) THEN
            RAISE EXCEPTION USING MESSAGE = '{NAMED}', ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END $$"""
    guards = [
        f"CREATE TRIGGER guard_{name} BEFORE {event} ON {table} FOR EACH ROW {f'WHEN ({when})' if when else ''}"
        f" EXECUTE FUNCTION guard_refuse('{message}')"
        for name, table, event, when, message in GUARDS
    ]
    return [
        refuse,
        named,
        *guards,
        "CREATE TRIGGER guard_license_text_kept BEFORE DELETE ON license_text FOR EACH ROW"
        " EXECUTE FUNCTION guard_text_is_named()",
    ]
