"""The ways that data took: directions, streams and credentials of transfers; inodes of copies."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ADDED: dict[str, tuple[tuple[str, sa.types.TypeEngine[Any], str], ...]] = {
    "transfers": (("direction", sa.String(), ""), ("streams", sa.Integer(), "1"), ("credential", sa.String(), "")),
    "link_measurements": (("direction", sa.String(), ""),),
}


def upgrade() -> None:
    """Rows that are there get the values of a time when nobody noted ways."""
    with op.batch_alter_table("replicas") as batch:
        batch.add_column(sa.Column("inode", sa.BigInteger(), nullable=True))
    for table, columns in _ADDED.items():
        with op.batch_alter_table(table) as batch:
            for name, kind, value in columns:
                batch.add_column(sa.Column(name, kind, nullable=False, server_default=value))
        with op.batch_alter_table(table) as batch:
            for name, kind, _ in columns:
                batch.alter_column(name, existing_type=kind, server_default=None)


def downgrade() -> None:
    """As before."""
    for table, columns in _ADDED.items():
        with op.batch_alter_table(table) as batch:
            for name, _, _ in columns:
                batch.drop_column(name)
    with op.batch_alter_table("replicas") as batch:
        batch.drop_column("inode")
