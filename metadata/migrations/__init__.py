"""How the tables came to be as they are, one change a file; run by alembic from `metadata.database`."""
