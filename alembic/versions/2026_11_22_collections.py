"""Collections: lists of repositories, and of other collections, that somebody put together.

Why: the public clients make and read them. An item follows what it stands for by id; whether a reader may know that is
decided when the list is read, so these tables are no part of any decision.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_collections"
down_revision = "2026_11_22_shared_xorbs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collection",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("namespace_key", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column("title_key", sa.String(length=120), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("theme", sa.String(length=20), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace_key"], ["namespace.key"], name="fk_collection_namespace_key_namespace"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name="fk_collection_created_by_person"),
        sa.PrimaryKeyConstraint("id", name="pk_collection"),
        sa.UniqueConstraint("namespace_key", "title_key", name="uq_collection_namespace_key_title_key"),
    )
    op.create_index("ix_collection_updated_at", "collection", ["updated_at"])
    op.create_table(
        "collection_item",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("collection_id", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("repo_id", sa.String(length=26), nullable=True),
        sa.Column("other_id", sa.String(length=24), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(repo_id IS NULL) <> (other_id IS NULL)", name="ck_collection_item_one_thing"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name="fk_collection_item_collection_id_collection"
        ),
        sa.ForeignKeyConstraint(["repo_id"], ["repo.id"], name="fk_collection_item_repo_id_repo"),
        sa.ForeignKeyConstraint(["other_id"], ["collection.id"], name="fk_collection_item_other_id_collection"),
        sa.PrimaryKeyConstraint("id", name="pk_collection_item"),
        sa.UniqueConstraint("collection_id", "repo_id", name="uq_collection_item_collection_id_repo_id"),
        sa.UniqueConstraint("collection_id", "other_id", name="uq_collection_item_collection_id_other_id"),
    )
    op.create_index("ix_collection_item_repo_id", "collection_item", ["repo_id"])
    op.create_index("ix_collection_item_other_id", "collection_item", ["other_id"])


def downgrade() -> None:
    op.drop_table("collection_item")
    op.drop_table("collection")
