"""What alembic runs to carry out migrations on the connection that `metadata.database` opened."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import metadata.tables  # noqa: F401 - registers every table with SQLModel.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    # SQLite changes few things in place; alembic then copies the table.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
