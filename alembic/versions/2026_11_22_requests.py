"""The whole machine of requests: drafts, returns, referrals, votes, conditions, appeals, renewals, suspension, blocks,
and prerequisites with an end.

Why: more states are open than review alone, so the index that allows one open request for a person and a repository
names them all; what people say to each other gets a table of its own, since evidence holds digests only. Prerequisites
and what repositories demand are read by the decision, so their changes are counted.

Columns are added in place and with a default: making the table anew would lose its triggers.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_requests"
down_revision = "2026_11_22_upload_parts"
branch_labels = None
depends_on = None

COUNTED = ("prerequisite", "repo_requirement")
OPEN = "state IN ('draft', 'in_review', 'returned', 'referred', 'awaiting_terms')"
WAS_OPEN = "state = 'in_review'"
# What the machine had no word for before becomes, going down, the nearest state that it had.
NEAREST = {
    "draft": "withdrawn",
    "returned": "withdrawn",
    "referred": "withdrawn",
    "awaiting_terms": "rejected",
    "suspended": "revoked",
}
TO_PEOPLE = ("claimed_by", "referred_to", "barred_id")
INSTANTS = ("waiting_since", "reapply_at", "approved_ends_at", "conditions_accepted_at", "appealed_at")
EPOCH = sa.text("'1970-01-01 00:00:00+00:00'")


def _columns() -> list[sa.Column]:
    return [
        sa.Column("form_sha256", sa.String(length=64), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=EPOCH),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in INSTANTS),
        sa.Column("reason_code", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("queue", sa.String(length=40), nullable=False, server_default="general"),
        sa.Column("is_flagged", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("screened", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("round", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("approvals_needed", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("required", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("grant_days", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("is_tester", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("conditions", sa.String(length=2000), nullable=False, server_default=""),
        sa.Column("close_out", sa.String(length=40), nullable=True),
    ]


def upgrade() -> None:
    op.drop_index("uq_access_request_open", table_name="access_request")
    for column in _columns():
        op.add_column("access_request", column)
    for name, table in [*((name, "person") for name in TO_PEOPLE), ("predecessor_id", "access_request")]:
        # In one statement: SQLite adds no constraint afterwards.
        op.execute(
            f"ALTER TABLE access_request ADD COLUMN {name} VARCHAR(26)"
            f" CONSTRAINT fk_access_request_{name}_{table} REFERENCES {table} (id)"
        )
    op.execute("UPDATE access_request SET changed_at = COALESCE(decided_at, submitted_at), waiting_since = submitted_at")
    _settle()
    _index(OPEN)
    op.add_column("access_grant", sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True))
    _create_tables()
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(sa.text(statement))
    for table in ("repo_requirement", "prerequisite", "access_block", "access_voice", "access_step"):
        op.drop_table(table)
    # Suspended access must not come back to life in a schema that cannot say so.
    op.execute("UPDATE access_grant SET revoked_at = suspended_at WHERE suspended_at IS NOT NULL AND revoked_at IS NULL")
    _settle()
    op.drop_column("access_grant", "suspended_at")
    op.drop_index("uq_access_request_open", table_name="access_request")
    for state, nearest in NEAREST.items():
        op.execute(f"UPDATE access_request SET state = '{nearest}' WHERE state = '{state}'")  # noqa: S608 - constants
    _settle()
    for name in ("predecessor_id", *reversed(TO_PEOPLE)):
        op.drop_column("access_request", name)
    for column in reversed(_columns()):
        op.drop_column("access_request", column.name)
    _index(WAS_OPEN)


def _settle() -> None:
    """PostgreSQL changes no table while its deferred triggers wait."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.execute("SET CONSTRAINTS ALL DEFERRED")


def _index(condition: str) -> None:
    op.create_index(
        "uq_access_request_open",
        "access_request",
        ["repo_id", "person_id"],
        unique=True,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )


def _id(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.String(length=26), nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}_{target}"))


def _create_tables() -> None:
    op.create_table(
        "access_step",
        _id("id"),
        _id("request_id"),
        sa.Column("act", sa.String(length=40), nullable=False),
        _instant("at"),
        _id("actor_id", nullable=True),
        sa.Column("before", sa.String(length=40), nullable=True),
        sa.Column("after", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("is_shown", sa.Boolean(), nullable=False),
        _to("access_step", "actor_id", "person"),
        _to("access_step", "request_id", "access_request"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_step")),
    )
    op.create_index(op.f("ix_access_step_request_id"), "access_step", ["request_id"], unique=False)
    op.create_table(
        "access_voice",
        _id("id"),
        _id("request_id"),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("speaker", sa.String(length=26), nullable=False),
        sa.Column("value", sa.String(length=10), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        _instant("at"),
        _to("access_voice", "request_id", "access_request"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_voice")),
        sa.UniqueConstraint(
            "request_id", "round", "kind", "speaker", name=op.f("uq_access_voice_request_id_round_kind_speaker")
        ),
    )
    op.create_table(
        "access_block",
        _id("id"),
        _id("person_id"),
        _id("repo_id", nullable=True),
        _id("organization_id", nullable=True),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        _instant("blocked_at"),
        _id("blocked_by", nullable=True),
        _instant("lifted_at", nullable=True),
        _id("lifted_by", nullable=True),
        _to("access_block", "person_id", "person"),
        _to("access_block", "repo_id", "repo"),
        _to("access_block", "organization_id", "organization"),
        _to("access_block", "blocked_by", "person"),
        _to("access_block", "lifted_by", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_block")),
    )
    op.create_index(op.f("ix_access_block_person_id"), "access_block", ["person_id"], unique=False)
    op.create_table(
        "prerequisite",
        _id("id"),
        _id("person_id"),
        _id("repo_id", nullable=True),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("evidence", sa.String(length=2000), nullable=False),
        _instant("set_at"),
        _id("set_by", nullable=True),
        _instant("ends_at", nullable=True),
        _instant("withdrawn_at", nullable=True),
        _to("prerequisite", "person_id", "person"),
        _to("prerequisite", "repo_id", "repo"),
        _to("prerequisite", "set_by", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prerequisite")),
    )
    op.create_index(op.f("ix_prerequisite_person_id"), "prerequisite", ["person_id"], unique=False)
    op.create_table(
        "repo_requirement",
        _id("repo_id"),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("accepted", sa.JSON(), nullable=False),
        _to("repo_requirement", "repo_id", "repo"),
        sa.PrimaryKeyConstraint("repo_id", "kind", name=op.f("pk_repo_requirement")),
    )
