"""Incidents: what went wrong or was reported, what each is linked to, and what was done about it.

Why: a hold, a suspension and the notices about them belong together, with a note for everybody at the end. No decision
reads these tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_incidents"
down_revision = "2026_11_22_shares"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("reporter_id", sa.String(length=26), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("public_note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_incident_repo_id_repo"),
        sa.ForeignKeyConstraint(["reporter_id"], ["person.id"], name="fk_incident_reporter_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_incident"),
    )
    op.create_index("ix_incident_repo_id", "incident", ["repo_id"])
    op.create_index("ix_incident_reporter_id", "incident", ["reporter_id"])
    op.create_index("ix_incident_state_id", "incident", ["state", "id"])
    op.create_table(
        "incident_link",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("incident_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=True),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name="fk_incident_link_incident_id_incident"),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_incident_link_repo_id_repo"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_incident_link_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_incident_link"),
        sa.UniqueConstraint("incident_id", "kind", "target", name="uq_incident_link_incident_id_kind_target"),
    )
    op.create_index("ix_incident_link_repo_id", "incident_link", ["repo_id"])
    op.create_table(
        "incident_step",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("incident_id", sa.String(length=26), nullable=False),
        sa.Column("act", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.String(length=26), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name="fk_incident_step_incident_id_incident"),
        sa.ForeignKeyConstraint(["actor_id"], ["person.id"], name="fk_incident_step_actor_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_incident_step"),
    )
    op.create_index("ix_incident_step_incident_id", "incident_step", ["incident_id"])


def downgrade() -> None:
    for table in ("incident_step", "incident_link", "incident"):
        op.drop_table(table)
