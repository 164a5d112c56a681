"""What people wrote is stored under a key of their own.

Why: a person is erased by destroying one key, wherever their words lie: in requests that were handed on, in replicas, in
free pages of the database. What is there already is sealed here, with the server's key, so this needs the hub's `keys/`.
Each column becomes a text: what is sealed is longer, and is no JSON.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

from gatekeeper.kit.clock import now
from gatekeeper.kit.personal import PersonKey, box_of

revision = "2026_11_22_personal_keys"
down_revision = "2026_11_22_orders_that_last"
branch_labels = None
depends_on = None

_BY_REQUEST = "(SELECT person_id FROM access_request WHERE id = access_{}.request_id)"
_BY_ACCEPTANCE = "(SELECT person_id FROM acceptance WHERE id = acceptance_source.acceptance_id)"
# table -> SQL for whose key it is, and the columns with the types they had
COLUMNS: dict[str, tuple[str, dict[str, sa.types.TypeEngine[Any]]]] = {
    "access_request": (
        "person_id",
        {"fields": sa.JSON(), "reason": sa.String(2000), "conditions": sa.String(2000)},
    ),
    "access_step": (_BY_REQUEST.format("step"), {"note": sa.String(2000), "data": sa.JSON()}),
    "access_voice": (_BY_REQUEST.format("voice"), {"note": sa.String(2000)}),
    "access_grant": ("person_id", {"revoke_reason": sa.String(2000)}),
    "access_block": ("person_id", {"reason": sa.String(2000)}),
    "prerequisite": ("person_id", {"evidence": sa.String(2000)}),
    "presentation": ("person_id", {"shown": sa.Text()}),
    "acceptance": ("person_id", {"receipt": sa.JSON()}),
    "acceptance_source": (_BY_ACCEPTANCE, {"network": sa.String(60), "user_agent": sa.String(200)}),
}
_KEYS = {"acceptance_source": "acceptance_id"}  # primary keys that are not called id
_GUARDED = {"presentation": "guard_presentation_fixed", "acceptance": "guard_acceptance_fixed"}
_MOST = 500


def upgrade() -> None:
    op.create_table(
        "personal_key",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("person_id", sa.String(26), nullable=False),
        sa.Column("sealed", sa.String(200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_personal_key_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_key")),
        sa.UniqueConstraint("person_id", name=op.f("uq_personal_key_person_id")),
    )
    keys = _Keys(op.get_bind())
    for table, (whose, columns) in COLUMNS.items():
        for name, type_ in columns.items():
            _retype(table, whose, name, type_, sa.Text(), lambda value, person: keys.of(person).seal(_as_text(value)))


def downgrade() -> None:
    keys = _Keys(op.get_bind())
    for table, (whose, columns) in COLUMNS.items():
        for name, type_ in columns.items():
            _retype(table, whose, name, sa.Text(), type_, lambda value, _, type_=type_: keys.opened(value, type_))
    op.drop_table("personal_key")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _retype(table: str, whose: str, name: str, before: Any, after: Any, change: Any) -> None:
    """Give a column another type and its values another form; guards of the table rest meanwhile."""
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":  # a table with triggers that still wait for the commit cannot be altered
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    guard = _lifted(bind, table)
    fresh, blank = f"{name}_fresh", {} if isinstance(after, sa.JSON) else ""
    default = "{}" if blank == {} else ""
    op.add_column(table, sa.Column(fresh, after, nullable=False, server_default=default))
    key = _KEYS.get(table, "id")
    rows = sa.table(table, sa.column(key), sa.column(name, before), sa.column(fresh, after))
    person = sa.literal_column(whose).label("person")
    last: Any = ""
    while batch := bind.execute(
        sa.select(rows.c[key], rows.c[name], person).where(rows.c[key] > last).order_by(rows.c[key]).limit(_MOST)
    ).all():
        for id, value, owner in batch:
            if value:
                bind.execute(sa.update(rows).where(rows.c[key] == id).values({fresh: change(value, owner)}))
            last = id
    op.drop_column(table, name)
    op.alter_column(table, fresh, new_column_name=name)
    if bind.dialect.name != "sqlite":
        op.alter_column(table, name, server_default=None)
    for statement in guard:
        bind.exec_driver_sql(statement)


def _lifted(bind: Connection, table: str) -> list[str]:
    """Take the guard of a table away; returns how to put it back."""
    guard = _GUARDED.get(table)
    if guard is None:
        return []
    if bind.dialect.name == "sqlite":
        made = bind.execute(sa.text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": guard}).scalar_one()
        bind.exec_driver_sql(f"DROP TRIGGER {guard}")
    else:
        made = bind.execute(
            sa.text("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = :name"), {"name": guard}
        ).scalar_one()
        bind.exec_driver_sql(f"DROP TRIGGER {guard} ON {table}")
    return [made]


class _Keys:
    """Keys of people, made as they are needed."""

    def __init__(self, bind: Connection) -> None:
        self._bind = bind
        self._known: dict[str, PersonKey] = {}

    def of(self, person: str) -> PersonKey:
        if person not in self._known:
            key, sealed = PersonKey.make(box_of(self._bind.dialect))
            row = {"id": key.id, "person": person, "sealed": sealed, "made": now()}
            statement = sa.text(
                "INSERT INTO personal_key (id, person_id, sealed, made_at) VALUES (:id, :person, :sealed, :made)"
            ).bindparams(sa.bindparam("made", type_=sa.DateTime(timezone=True)))
            self._bind.execute(statement, row)
            self._known[person] = key
        return self._known[person]

    def opened(self, stored: str, type_: Any) -> Any:
        """A value as it was; blank where its key is gone."""
        id = stored.partition(".")[0]
        if id not in self._known:
            find = sa.text("SELECT sealed FROM personal_key WHERE id = :id")
            sealed = self._bind.execute(find, {"id": id}).scalar_one_or_none()
            if sealed is None:
                return {} if isinstance(type_, sa.JSON) else ""
            self._known[id] = PersonKey.opened(id, sealed, box_of(self._bind.dialect))
        text = self._known[id].open(stored)
        return json.loads(text) if isinstance(type_, sa.JSON) else text
