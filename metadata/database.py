"""Opens the database: SQLite in WAL mode by default, PostgreSQL by URL; brings its tables up to date."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from metadata.errors import AdapterUnavailableError, ConflictError, InvalidInputError, SiteUnavailableError
from metadata.sessions import HEAD, prepared_file, tune_sqlite
from metadata.tables import METADATA

MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, as long as every Convoy asks for the same lock.
_SCHEMA_LOCK = 0x636F6E766F79
_VERSION_TABLE = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"


def open_database(url: str) -> Engine:
    """A database whose tables are up to date. A fresh one gets them at once, an older one by its migrations.

    Raises InvalidInputError (the URL), AdapterUnavailableError (no driver), SiteUnavailableError (no answer) or
    ConflictError (the database was made by a newer Convoy).
    """
    engine = _connect(url)
    try:
        _bring_up_to_date(engine)
    except OperationalError as error:
        engine.dispose()
        shown = make_url(url).render_as_string(hide_password=True)
        message = f"the database {shown} does not answer: {error.orig}. Check the address and that you may write there"
        raise SiteUnavailableError(message) from error
    except ConflictError:
        engine.dispose()
        raise
    return engine


def _connect(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            parsed = parsed.set(database=str(prepared_file(parsed.database)))
        engine = create_engine(parsed)
    except ArgumentError as error:
        raise InvalidInputError(f"not a database URL: {error}. Write sqlite:///FILE or postgresql://...") from error
    except ModuleNotFoundError as error:
        message = f"no driver for this database ({error.name}); install it with: pip install 'convoy-hpc[postgres]'"
        raise AdapterUnavailableError(message) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_for_writing)
    return engine


def _tune_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    tune_sqlite(connection)


def _begin_for_writing(connection: Any) -> None:
    """Takes the write lock at once where one was asked for: a later upgrade of a read lock could fail as busy."""
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _bring_up_to_date(engine: Engine) -> None:
    present = inspect(engine).get_table_names()
    if "alembic_version" not in present and "runs" not in present:
        _create(engine)
        return
    with engine.connect() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if version != HEAD:
        upgrade(engine)


def _create(engine: Engine) -> None:
    """A fresh database needs no history: the tables as they are now, marked with the newest version."""
    with engine.execution_options(writing=True).begin() as connection:
        _lock_schema(connection)
        if "runs" in inspect(connection).get_table_names():
            return  # another process was quicker
        METADATA.create_all(connection, checkfirst=False)
        connection.execute(text(_VERSION_TABLE))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def fresh_script() -> str:
    """What `metadata/fresh.sql` must say: the tables as they are now, in the words of SQLite."""
    words = sqlite.dialect()
    statements: list[CreateTable | CreateIndex] = []
    for table in METADATA.sorted_tables:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [CreateTable(table), *(CreateIndex(index) for index in indexes)]
    made = [f"{statement.compile(dialect=words)}".strip() for statement in statements]
    made += [_VERSION_TABLE, f"INSERT INTO alembic_version VALUES ('{HEAD}')"]
    return ";\n".join(re.sub(r" +\n", "\n", text.replace("\t", "    ")) for text in made) + "\n"


def upgrade(engine: Engine, *, target: str = "head") -> None:
    """Runs the migrations up to `target`. Raises ConflictError for a database that a newer Convoy made."""
    # Slow to import, and needed once in a release.
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        with migrating(engine) as settings:
            command.upgrade(settings, target)
    except CommandError as error:
        message = f"this database cannot be brought up to date: {error}. Was it made by a newer Convoy?"
        raise ConflictError(message) from error


@contextmanager
def migrating(engine: Engine) -> Iterator[Any]:
    """Alembic's settings for one transaction in which tables may be rebuilt; no alembic.ini is needed."""
    with engine.execution_options(writing=True).connect() as connection, _rebuildable(connection), connection.begin():
        _lock_schema(connection)
        yield migration_settings(connection)


@contextmanager
def _rebuildable(connection: Connection) -> Iterator[None]:
    """Foreign keys sleep: SQLite changes a table by dropping it, which would delete the rows that refer to it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    # Inside a transaction the pragma does nothing, and any statement of SQLAlchemy's would begin one.
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


def _lock_schema(connection: Connection) -> None:
    """Lets one process at a time make or change tables. SQLite's transaction for writing does so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})


def migration_settings(connection: Connection) -> Any:
    """Alembic's settings for an open connection."""
    from alembic.config import Config  # noqa: PLC0415 - see upgrade

    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["connection"] = connection
    return settings
