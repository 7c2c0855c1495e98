"""Rules, pins and uses: what shall be kept of the copies of data, and where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only for a column of exactly this type; PostgreSQL needs the wide one.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """The tables of what is kept."""
    op.create_table(
        "rules",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=True),
        sa.Column("at", sa.JSON(), nullable=True),
        sa.Column("keep_s", sa.Float(), nullable=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "uses",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "site"),
    )
    op.create_table(
        "pins",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("dataset_id", _ROW_ID, nullable=False),
        sa.Column("file_id", _ROW_ID, nullable=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_pins_dataset_id", "pins", ["dataset_id"])
    op.create_index("ix_pins_file_id", "pins", ["file_id"])


def downgrade() -> None:
    """Nothing is known of what is kept."""
    for table in ("pins", "uses", "rules"):
        op.drop_table(table)
