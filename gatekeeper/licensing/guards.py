"""What the database itself refuses: changing a license text or a bundle, deleting a text that a bundle names.

The statements run when the tables are created; migrations execute `GUARDS[dialect]` and `UNGUARDS[dialect]`.
"""

import sqlalchemy as sa
from sqlmodel import SQLModel

from gatekeeper.licensing import tables

assert tables  # imported for what it adds to the metadata

_TEXT = {
    "sqlite": (
        "CREATE TRIGGER IF NOT EXISTS license_text_is_fixed BEFORE UPDATE ON license_text "
        "WHEN NEW.sha256 IS NOT OLD.sha256 OR NEW.body IS NOT OLD.body "
        "OR NEW.canonical_sha256 IS NOT OLD.canonical_sha256 "
        "BEGIN SELECT RAISE(ABORT, 'a license text is never changed'); END",
        "CREATE TRIGGER IF NOT EXISTS license_text_is_kept BEFORE DELETE ON license_text "
        "WHEN EXISTS (SELECT 1 FROM terms_bundle b, json_each(b.texts) t WHERE t.value = OLD.sha256) "
        "BEGIN SELECT RAISE(ABORT, 'a license text that terms name is never deleted'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION license_text_is_fixed() RETURNS trigger AS $$ BEGIN "
        "IF NEW.sha256 IS DISTINCT FROM OLD.sha256 OR NEW.body IS DISTINCT FROM OLD.body "
        "OR NEW.canonical_sha256 IS DISTINCT FROM OLD.canonical_sha256 THEN "
        "RAISE EXCEPTION 'a license text is never changed'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER license_text_is_fixed BEFORE UPDATE ON license_text "
        "FOR EACH ROW EXECUTE FUNCTION license_text_is_fixed()",
        "CREATE OR REPLACE FUNCTION license_text_is_kept() RETURNS trigger AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM terms_bundle b WHERE b.texts::jsonb ? OLD.sha256::text) THEN "
        "RAISE EXCEPTION 'a license text that terms name is never deleted'; END IF; RETURN OLD; END $$ "
        "LANGUAGE plpgsql",
        "CREATE TRIGGER license_text_is_kept BEFORE DELETE ON license_text "
        "FOR EACH ROW EXECUTE FUNCTION license_text_is_kept()",
    ),
}
_BUNDLE = {
    "sqlite": (
        "CREATE TRIGGER IF NOT EXISTS terms_bundle_is_fixed BEFORE UPDATE ON terms_bundle "
        "BEGIN SELECT RAISE(ABORT, 'a bundle of terms is never changed'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION terms_bundle_is_fixed() RETURNS trigger AS $$ BEGIN "
        "RAISE EXCEPTION 'a bundle of terms is never changed'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER terms_bundle_is_fixed BEFORE UPDATE ON terms_bundle "
        "FOR EACH ROW EXECUTE FUNCTION terms_bundle_is_fixed()",
    ),
}
_TRIGGERS = (
    ("license_text_is_fixed", "license_text"),
    ("license_text_is_kept", "license_text"),
    ("terms_bundle_is_fixed", "terms_bundle"),
)

GUARDS = {dialect: _TEXT[dialect] + _BUNDLE[dialect] for dialect in _TEXT}
UNGUARDS = {
    "sqlite": tuple(f"DROP TRIGGER IF EXISTS {name}" for name, _ in _TRIGGERS),
    "postgresql": tuple(
        statement
        for name, table in _TRIGGERS
        for statement in (f"DROP TRIGGER IF EXISTS {name} ON {table}", f"DROP FUNCTION IF EXISTS {name}()")
    ),
}

for _table, _statements in (("license_text", _TEXT), ("terms_bundle", _BUNDLE)):
    for _dialect, _texts in _statements.items():
        for _text in _texts:
            sa.event.listen(
                SQLModel.metadata.tables[_table],
                "after_create",
                sa.DDL(_text.replace("%", "%%")).execute_if(dialect=_dialect),  # type: ignore[no-untyped-call]
            )
