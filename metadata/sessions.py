"""The database in plain SQL.

SQLAlchemy takes longer to load than a small run to carry out, or a thousand small files to be told of. Hence all that
is asked of the database is said without it, and a file of SQLite is opened without it. Any other database is reached
through SQLAlchemy, by the same statements: SQLite and PostgreSQL understand them both, and values are named in them as
`:name`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from metadata.errors import InvalidInputError, SiteUnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0006"
"""The newest migration. A test holds this against the migrations themselves."""

FRESH_SCRIPT = Path(__file__).with_name("fresh.sql")
"""What makes a new file of SQLite. A test holds it against `metadata.tables`, and says how to write it anew."""

_BUSY_TIMEOUT_MS = 30_000
_ASK_AGAIN_S = 0.01
_PLAIN = frozenset({str, int, float, bool, type(None)})
_NAMED = re.compile(r":([a-z]\w*)")
Row = dict[str, Any]


class Session(Protocol):
    """One transaction."""

    for_update: str
    """What a question ends with that keeps other writers of its rows out until the transaction ends."""

    def rows(self, question: str, **values: Any) -> list[Row]:
        """The answer, column by name."""

    def tuples(self, question: str, **values: Any) -> list[tuple[Any, ...]]:
        """The same in the order of the columns: for thousands of rows."""

    def change(self, statement: str, **values: Any) -> int:
        """Carries the statement out. Returns how many rows it changed."""

    def change_each(self, statement: str, rows: Sequence[Row]) -> int:
        """Carries the statement out once for the values of each row. Returns how many rows it changed in all."""


class Sessions(Protocol):
    """A database whose tables are up to date. Safe to use from any thread.

    A transaction raises SiteUnavailableError when the database does not answer; trying again may help. It raises
    InvalidInputError for a value that the database cannot hold.
    """

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`, for the few questions that they do not understand alike."""

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that sees one consistent moment."""

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction that is kept whole at the end of the block, and not at all after an error in it."""

    def dispose(self) -> None:
        """Closes whatever is open."""


def open_sessions(url: str) -> Sessions:
    """The database, which is made or brought up to date first.

    Raises InvalidInputError (the URL, or a file that is no database), AdapterUnavailableError (no driver),
    SiteUnavailableError (no answer) or ConflictError (the database was made by a newer Convoy).
    """
    path = url.removeprefix("sqlite:///")
    if path in (url, "", ":memory:") or "?" in path:
        return AlchemySessions(_engine(url))
    sessions = SqliteSessions(prepared_file(path), url=url)
    if not sessions.up_to_date():
        sessions.dispose()
        _engine(url).dispose()
    return sessions


def _engine(url: str) -> Engine:
    from metadata.database import open_database  # noqa: PLC0415 - see the head of this module

    return open_database(url)


def prepared_file(path: str) -> Path:
    """Where a file of SQLite lies; its folder is there. Raises SiteUnavailableError where it cannot be made."""
    file = Path(path).expanduser().absolute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SiteUnavailableError(
            f"there is no place for the database: {file.parent}: {error.strerror}. "
            "Check that you may write there, or name another home"
        ) from error
    return file


def insertion(table: str, columns: Iterable[str]) -> str:
    """The statement that adds a row with values for these columns; both are the program's own words."""
    names = tuple(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"


def document(stored: Any) -> Any:
    """What a column of documents holds, of which SQLite gives the text."""
    return json.loads(stored) if isinstance(stored, str) else stored


def tune_sqlite(connection: sqlite3.Connection) -> None:
    """WAL lets people read while the engine writes; NORMAL keeps every commit through a killed process."""
    # The driver's own transactions begin too late to keep a read and a write together.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _into_wal(connection)


def _into_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others when it changes a file's mode: of two that make it, one is refused at once."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_ASK_AGAIN_S)
        else:
            return


class SqliteSessions:
    """A file of SQLite."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, url: str) -> None:
        self._path = path
        self._url = url
        self._idle: list[sqlite3.Connection] = []

    def up_to_date(self) -> bool:
        """True when the tables are as they should be; a fresh file gets them at once."""
        with self.reading() as session:
            known = _tables(session)
            if known & {"alembic_version", "runs"}:
                return [row["version_num"] for row in session.rows("SELECT version_num FROM alembic_version")] == [HEAD]
        with self.writing() as session:
            if "runs" not in _tables(session):  # another process may have been quicker
                for statement in FRESH_SCRIPT.read_text(encoding="utf-8").split(";\n"):
                    session.change(statement)
        return True

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that sees one consistent moment."""
        return self._transaction("BEGIN")

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction that holds the lock for writing from its beginning: a later upgrade could fail as busy."""
        return self._transaction("BEGIN IMMEDIATE")

    def dispose(self) -> None:
        """Closes the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Session]:
        try:
            connection = self._free() or self._connected()
            try:
                connection.execute(begin)
                yield _SqliteSession(connection)
                connection.execute("COMMIT")
            finally:
                connection.rollback()  # nothing is left to take back after a commit
                self._idle.append(connection)
        except sqlite3.OperationalError as error:
            raise _silent(self._url, error) from error
        except (sqlite3.DataError, UnicodeEncodeError) as error:
            raise _unfit(error) from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            message = f"{self._path}: {error}; bring an older copy of it back, or move it away and begin anew"
            raise InvalidInputError(message) from error

    def _free(self) -> sqlite3.Connection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        try:
            tune_sqlite(connection)
        except sqlite3.Error:
            connection.close()
            raise
        connection.create_function("regexp", 2, _matches, deterministic=True)
        return connection


class _SqliteSession:
    for_update = ""  # a transaction for writing has the whole file to itself

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, question: str, **values: Any) -> list[Row]:
        cursor = self._connection.execute(question, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def tuples(self, question: str, **values: Any) -> list[tuple[Any, ...]]:
        numbered, names = _numbered(question)
        return self._connection.execute(numbered, [values[name] for name in names]).fetchall()

    def change(self, statement: str, **values: Any) -> int:
        return self._connection.execute(statement, _stored(values)).rowcount

    def change_each(self, statement: str, rows: Sequence[Row]) -> int:
        numbered, names = _numbered(statement)
        values = list(zip(*([row[name] for row in rows] for name in names), strict=True))
        if not _PLAIN.issuperset(map(type, chain.from_iterable(values))):
            values = [tuple(map(_kept, row)) for row in values]
        return self._connection.executemany(numbered, values).rowcount


class AlchemySessions:
    """Any database that SQLAlchemy reaches."""

    def __init__(self, engine: Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(writing=True)

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the database."""
        return self._reader.dialect.name

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that sees what others have committed."""
        return self._transaction(self._reader)

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction that is kept whole at the end of the block."""
        return self._transaction(self._writer)

    def dispose(self) -> None:
        """Closes the pool."""
        self._reader.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        from sqlalchemy.exc import DataError, OperationalError  # noqa: PLC0415 - see the head of this module

        try:
            with engine.begin() as connection:
                yield _AlchemySession(connection)
        except OperationalError as error:
            raise _silent(engine.url.render_as_string(hide_password=True), error.orig) from error
        except DataError as error:
            raise _unfit(error.orig) from error
        except UnicodeEncodeError as error:
            raise _unfit(error) from error


class _AlchemySession:
    def __init__(self, connection: Connection) -> None:
        from sqlalchemy import text  # noqa: PLC0415 - see the head of this module

        self._connection, self._text = connection, text
        self.for_update = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""

    def rows(self, question: str, **values: Any) -> list[Row]:
        return [dict(row) for row in self._connection.execute(self._text(question), values).mappings()]

    def tuples(self, question: str, **values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(self._text(question), values)]

    def change(self, statement: str, **values: Any) -> int:
        return self._connection.execute(self._text(statement), _stored(values)).rowcount

    def change_each(self, statement: str, rows: Sequence[Row]) -> int:
        return self._connection.execute(self._text(statement), [_stored(row) for row in rows]).rowcount if rows else 0


def _tables(session: Session) -> set[str]:
    return {row["name"] for row in session.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}


@lru_cache
def _numbered(statement: str) -> tuple[str, list[str]]:
    """The statement with its values by their order, which SQLite's driver hands over sooner than by their names."""
    return re.sub(_NAMED, "?", statement), re.findall(_NAMED, statement)


def _stored(row: Row) -> Row:
    return {name: _kept(value) for name, value in row.items()}


def _kept(value: Any) -> Any:
    """Documents are kept as JSON."""
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _matches(pattern: str, value: str | None) -> bool | None:
    """What `REGEXP` means in SQLite, which leaves it to its user."""
    return None if value is None else re.search(pattern, value) is not None


def _silent(shown: str, error: object) -> SiteUnavailableError:
    return SiteUnavailableError(
        f"the database {shown} does not answer: {error}. "
        "Check that it runs, that its disk has room, and that you may write there"
    )


def _unfit(error: object) -> InvalidInputError:
    return InvalidInputError(f"the database cannot hold what was given: {error}")
