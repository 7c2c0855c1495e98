"""What opening and migrating must do on every database. The tests of each database subclass this."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, create_engine, inspect, text

from metadata import database
from metadata.catalogue import Catalogue, NewFile
from metadata.errors import ConflictError
from metadata.sessions import AlchemySessions
from metadata.tables import METADATA

# A later change that no database carries out in place: SQLite must rebuild the table that files refer to.
SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("datasets", recreate="auto") as batch:
        batch.alter_column("description", existing_type=sa.Text(), nullable=True)
        batch.add_column(sa.Column("owner", sa.String(), nullable=False, server_default="nobody"))


def downgrade():
    pass
"""


class MigrationTests:
    def test_the_newest_migration_is_the_one_that_fresh_databases_are_marked_with(self):
        scripts = ScriptDirectory(str(database.MIGRATIONS))
        assert scripts.get_heads() == [database.HEAD]

    def test_the_migrations_make_the_tables_that_the_code_declares(self, empty_url: str):
        engine = database._connect(empty_url)
        database.upgrade(engine)
        with engine.connect() as connection:
            # Constraints without a name have none to compare by; `test_..._alike` looks at them.
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            difference = compare_metadata(context, METADATA)
            missing = render_python_code(produce_migrations(context, METADATA).upgrade_ops)
        engine.dispose()
        assert not difference, f"metadata/tables.py changed; the migrations lack:\n{missing}"

    def test_migrated_and_fresh_databases_are_alike(self, empty_url: str):
        engine = database._connect(empty_url)
        database.upgrade(engine)
        migrated = _structure(inspect(engine))
        with database.migrating(engine) as settings:
            command.downgrade(settings, "base")
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
        database._bring_up_to_date(engine)
        fresh = _structure(inspect(engine))
        engine.dispose()
        assert migrated == fresh

    def test_a_migration_back_to_the_beginning_leaves_no_table_and_can_be_repeated(self, empty_url: str):
        engine = database.open_database(empty_url)
        with database.migrating(engine) as settings:
            command.downgrade(settings, "base")
        assert inspect(engine).get_table_names() == ["alembic_version"]
        engine.dispose()
        engine = database.open_database(empty_url)
        assert Catalogue(AlchemySessions(engine)).datasets() == []
        engine.dispose()

    @pytest.mark.usefixtures("second")
    def test_an_older_database_is_brought_up_to_date_and_keeps_its_rows(self, empty_url: str):
        engine = database.open_database(empty_url)
        assert inspect(engine).get_columns("datasets")[-1]["name"] == "owner"
        assert [file.path for file in Catalogue(AlchemySessions(engine)).files("slides")] == ["1"]
        with engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9000"
            if engine.dialect.name == "sqlite":
                assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        engine.dispose()

    @pytest.fixture
    def second(self, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database of today with a file in it, and then a Convoy of tomorrow."""
        engine = database.open_database(empty_url)
        Catalogue(AlchemySessions(engine)).add_files("slides", [NewFile(path="1", size_bytes=1, sha256="0" * 64)])
        engine.dispose()
        ignored = shutil.ignore_patterns("__pycache__")
        migrations = shutil.copytree(database.MIGRATIONS, tmp_path / "migrations", ignore=ignored)
        (migrations / "versions" / "9000_owner.py").write_text(SECOND.format(head=database.HEAD))
        monkeypatch.setattr(database, "MIGRATIONS", migrations)
        monkeypatch.setattr(database, "HEAD", "9000")

    @pytest.mark.usefixtures("second")
    def test_two_processes_may_bring_a_database_up_to_date_at_once(self, empty_url: str):
        _open_at_once(empty_url)

    def test_two_processes_may_make_a_database_at_once(self, empty_url: str):
        _open_at_once(empty_url)

    def test_a_database_of_a_newer_convoy_is_refused(self, empty_url: str):
        engine = database.open_database(empty_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        engine.dispose()
        with pytest.raises(ConflictError, match="newer Convoy"):
            database.open_database(empty_url)


def _open_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for engine in pool.map(database.open_database, [url] * 4):
            engine.dispose()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == database.HEAD
    engine.dispose()


def _structure(tables: Inspector) -> dict:
    found = {}
    for table in tables.get_table_names():
        columns = [{**column, "type": str(column["type"])} for column in tables.get_columns(table)]
        unique = sorted(tuple(constraint["column_names"]) for constraint in tables.get_unique_constraints(table))
        indexes = sorted((index["name"], *index["column_names"]) for index in tables.get_indexes(table))
        keys = sorted((*key["constrained_columns"], str(key)) for key in tables.get_foreign_keys(table))
        primary = tables.get_pk_constraint(table)["constrained_columns"]
        found[table] = (columns, unique, indexes, keys, primary)
    return found
