"""By which door an event came, and with what its actor had proved who they are.

Why: the two belong to what every event says. Earlier events have none and keep their bytes and their hashes. On the way
down they are lost, so events that were sealed in between are called changed by whoever checks them then.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_doors"
down_revision = "2026_11_23_approvals_seen"
branch_labels = None
depends_on = None

_MESSAGE = "evidence: a pending event only gets its number and hash"
_TRIGGER = "CREATE TRIGGER guard_ledger_event_door BEFORE UPDATE OF door, credential ON ledger_event FOR EACH ROW"


def upgrade() -> None:
    op.add_column("ledger_event", sa.Column("door", sa.String(length=20), nullable=True))
    op.add_column("ledger_event", sa.Column("credential", sa.String(length=20), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"{_TRIGGER} BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END")
    else:
        op.execute(f"{_TRIGGER} EXECUTE FUNCTION guard_refuse('{_MESSAGE}')")


def downgrade() -> None:
    on = "" if op.get_bind().dialect.name == "sqlite" else " ON ledger_event"
    op.execute(f"DROP TRIGGER guard_ledger_event_door{on}")
    op.drop_column("ledger_event", "credential")
    op.drop_column("ledger_event", "door")
