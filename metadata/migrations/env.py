"""What alembic runs to carry out migrations on the connection that `metadata.database` opened."""

from __future__ import annotations

from alembic import context

from metadata.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes few things in place; alembic then copies the table.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
