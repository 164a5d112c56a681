"""A row that counts changes of some tables, kept by triggers: caches ask it instead of guessing by time.

Triggers see every change, also one made by hand or by an old process, and count in its own transaction: whoever can see
the change can see the new number.

Compatibility: migrations call these functions, so what they make of given arguments stays as it is.
"""

from collections.abc import Sequence

TABLE = "access_revision"
_RAISE = f"UPDATE {TABLE} SET value = value + 1"  # noqa: S608 - a constant


def revision_ddl(dialect: str, tables: Sequence[str]) -> list[str]:
    """Statements that make the counter and its triggers on `tables`.

    dialect  `sqlite` or `postgresql`
    """
    create = [
        f"CREATE TABLE {TABLE} (id INTEGER NOT NULL CONSTRAINT pk_{TABLE} PRIMARY KEY"
        f" CONSTRAINT ck_{TABLE}_single CHECK (id = 1), value BIGINT NOT NULL)",
        f"INSERT INTO {TABLE} (id, value) VALUES (1, 1)",  # noqa: S608 - a constant
    ]
    if dialect == "sqlite":
        return create + trigger_ddl(dialect, tables)
    # Deferred to the commit and done once in a transaction: the row is locked last and briefly, so that it makes no
    # deadlock with the rows that were really changed, and writers hardly wait for each other.
    return [
        *create,
        f"""CREATE FUNCTION {TABLE}_rises() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('gatekeeper.raised_in', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
                {_RAISE};
                PERFORM set_config('gatekeeper.raised_in', pg_current_xact_id()::text, true);
            END IF;
            RETURN NULL;
        END $$""",
        *trigger_ddl(dialect, tables),
    ]


def trigger_ddl(dialect: str, tables: Sequence[str]) -> list[str]:
    """Statements that let changes of further `tables` be counted by the counter there is."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {TABLE}_{table}_{event} AFTER {event.upper()} ON {table} BEGIN {_RAISE}; END"
            for table in tables
            for event in ("insert", "update", "delete")
        ]
    return [
        f"CREATE CONSTRAINT TRIGGER {TABLE}_{table} AFTER INSERT OR UPDATE OR DELETE ON {table}"
        f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {TABLE}_rises()"
        for table in tables
    ]


def drop_revision_ddl(dialect: str, tables: Sequence[str]) -> list[str]:
    """Statements that undo `revision_ddl`."""
    function = [] if dialect == "sqlite" else [f"DROP FUNCTION {TABLE}_rises()"]
    return [*drop_trigger_ddl(dialect, tables), *function, f"DROP TABLE {TABLE}"]


def drop_trigger_ddl(dialect: str, tables: Sequence[str]) -> list[str]:
    """Statements that undo `trigger_ddl`."""
    if dialect == "sqlite":
        events = ("insert", "update", "delete")
        return [f"DROP TRIGGER {TABLE}_{table}_{event}" for table in tables for event in events]
    return [f"DROP TRIGGER {TABLE}_{table} ON {table}" for table in tables]
