"""Teams with rights to single repositories, invitations into organizations, and steps that a provider's sign-in began.

Why: a role in an organization is one for all its repositories, and nobody is made a member without being asked. A
decision reads teams, so they are counted. Going back, teams and open invitations are lost.
"""

import sqlalchemy as sa
from alembic import op

from gatekeeper.kit.revision import drop_trigger_ddl, trigger_ddl

revision = "2026_11_22_teams"
down_revision = "2026_11_22_personal_keys"
branch_labels = None
depends_on = None

COUNTED = ("team", "team_member", "team_right")


def upgrade() -> None:
    op.add_column("sign_in_step", sa.Column("arrival", sa.JSON(), nullable=True))
    op.create_table(
        "team",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("name_key", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name="fk_team_organization_id_organization"),
        sa.PrimaryKeyConstraint("id", name="pk_team"),
        sa.UniqueConstraint("organization_id", "name_key", name="uq_team_organization_id_name_key"),
    )
    op.create_table(
        "team_member",
        sa.Column("team_id", sa.String(length=26), nullable=False),
        sa.Column("membership_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(
            ["membership_id"], ["membership.id"], name="fk_team_member_membership_id_membership", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk_team_member_team_id_team", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("team_id", "membership_id", name="pk_team_member"),
    )
    op.create_index("ix_team_member_membership_id", "team_member", ["membership_id"], unique=False)
    op.create_table(
        "team_right",
        sa.Column("team_id", sa.String(length=26), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_team_right_repo_id_repo"),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name="fk_team_right_team_id_team", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("team_id", "repo_id", name="pk_team_right"),
    )
    op.create_index("ix_team_right_repo_id", "team_right", ["repo_id"], unique=False)
    op.create_table(
        "membership_offer",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("offered_by", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["offered_by"], ["person.id"], name="fk_membership_offer_offered_by_person"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_membership_offer_organization_id_organization"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_membership_offer_person_id_person"),
        sa.PrimaryKeyConstraint("id", name="pk_membership_offer"),
        sa.UniqueConstraint("organization_id", "person_id", name="uq_membership_offer_organization_id_person_id"),
    )
    op.create_index("ix_membership_offer_person_id", "membership_offer", ["person_id"], unique=False)
    for statement in trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_trigger_ddl(op.get_bind().dialect.name, COUNTED):
        op.execute(statement)
    for table in ("membership_offer", "team_right", "team_member", "team"):
        op.drop_table(table)
    op.drop_column("sign_in_step", "arrival")
