"""The database in plain SQL: made, shared, brought up to date, and as safe as through SQLAlchemy."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect

from metadata.catalogue import Catalogue, NewFile
from metadata.database import _connect, fresh_script, open_database, upgrade
from metadata.errors import ConflictError, InvalidInputError, SiteUnavailableError
from metadata.sessions import (
    FRESH_SCRIPT,
    HEAD,
    AlchemySessions,
    Sessions,
    SqliteSessions,
    document,
    insertion,
    open_sessions,
)
from metadata.statements import among

EVENT = "INSERT INTO events (run_id, at, kind, subject, message) VALUES (:run_id, 1.5, 'k', 's', :message)"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that is not there yet, in a folder that is not there either."""
    return f"sqlite:///{tmp_path}/new/convoy.db"


@pytest.fixture(params=["plain", "by SQLAlchemy"])
def sessions(request: pytest.FixtureRequest, url: str) -> Iterator[Sessions]:
    """Both ways to it."""
    opened = open_sessions(url) if request.param == "plain" else AlchemySessions(open_database(url))
    yield opened
    opened.dispose()


def messages(sessions: Sessions) -> list[str]:
    """Of all events."""
    with sessions.reading() as session:
        return [row["message"] for row in session.rows("SELECT * FROM events ORDER BY id")]


def version(sessions: Sessions) -> str:
    """The migration at which the database stands."""
    with sessions.reading() as session:
        [row] = session.rows("SELECT version_num FROM alembic_version")
        return row["version_num"]


def test_the_script_for_fresh_files_says_what_the_tables_say() -> None:
    """It is derived, and never edited."""
    assert FRESH_SCRIPT.read_text() == fresh_script(), (
        "metadata/tables.py changed; write the script anew: "
        "python -c 'from metadata.database import fresh_script as f; print(f(), end=\"\")' > metadata/fresh.sql"
    )


def test_a_fresh_file_is_what_sqlalchemy_would_have_made(tmp_path: Path, url: str) -> None:
    """So that both may open it."""
    open_sessions(url).dispose()
    open_database(f"sqlite:///{tmp_path}/other.db").dispose()
    structures = []
    for path in (tmp_path / "new/convoy.db", tmp_path / "other.db"):
        with sqlite3.connect(path) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
            structures.append({name: "".join((sql or "").split()) for name, sql in rows})
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
    assert structures[0] == structures[1]


def test_a_file_of_sqlite_is_opened_without_sqlalchemy(url: str) -> None:
    """Which is what this way is for."""
    script = "import sys; from metadata.sessions import open_sessions; open_sessions(sys.argv[1]); print(*sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script, url], cwd=root, capture_output=True, text=True, check=True)
    assert "sqlalchemy" not in done.stdout.split()


def test_what_was_changed_is_kept_whole(sessions: Sessions) -> None:
    """Documents as JSON, and one statement for many rows."""
    with sessions.writing() as session:
        session.change(EVENT, run_id="r", message="one")
        session.change_each(EVENT, [{"run_id": "r", "message": text} for text in ("two", "three")])
        assert session.change("UPDATE events SET kind = :kind WHERE message <> 'one'", kind="other") == 2
    assert messages(sessions) == ["one", "two", "three"]


def test_as_many_rows_as_there_are_values_are_asked_for(sessions: Sessions) -> None:
    """However many a database takes in one statement; other values go with them."""
    with sessions.writing() as session:
        rows = [{"run_id": "r" if number else "other", "message": str(number)} for number in range(2000)]
        assert session.change_each(EVENT, rows) == 2000
        assert session.change_each("DELETE FROM events WHERE message = :message", []) == 0
    question = "SELECT id, message FROM events WHERE run_id = :run_id AND message IN :each"
    with sessions.reading() as session:
        found = among(session, question, map(str, range(1500)), run_id="r")
        assert among(session, question, [], run_id="r") == []
        assert session.tuples("SELECT message, kind FROM events WHERE run_id = 'other'") == [("0", "k")]
    assert found == [(number + 1, str(number)) for number in range(1, 1500)]


def test_documents_are_kept_as_json_in_one_row_of_many(sessions: Sessions) -> None:
    """Where a column may hold one or none."""
    policies = [None, {"sites": ["agh"], "release": []}]
    rows = [
        {"name": f"d{n}", "description": "", "policy": policy, "created_at": n} for n, policy in enumerate(policies)
    ]
    with sessions.writing() as session:
        session.change_each(insertion("datasets", rows[0]), rows)
        found = session.tuples("SELECT policy FROM datasets ORDER BY id")
    assert [document(policy) for (policy,) in found] == policies


def test_rows_are_held_for_a_change_on_every_database(sessions: Sessions) -> None:
    """A database that has no words for it needs none."""
    with sessions.writing() as session:
        session.change(EVENT, run_id="r", message="one")
        assert session.tuples("SELECT message FROM events WHERE run_id = :run_id" + session.for_update, run_id="r")


def test_a_value_that_no_database_holds_is_told(sessions: Sessions) -> None:
    """And nothing is kept."""

    def write() -> None:
        with sessions.writing() as session:
            session.change(EVENT, run_id="r", message="one")
            session.change(EVENT, run_id="r", message="half a character: \ud800")

    with pytest.raises(InvalidInputError, match="the database cannot hold"):
        write()
    assert messages(sessions) == []


def test_the_catalogue_searches_alike_by_both_ways(sessions: Sessions) -> None:
    """Regular expressions and lists are where databases differ."""
    catalogue = Catalogue(sessions)
    catalogue.add_files("slides", [NewFile(path=path, size_bytes=1, sha256="0" * 64) for path in ("a1", "b2")])
    catalogue.set_attributes("slides", {"organs": ["breast", 4]}, path="a1")
    assert [file.path for file in catalogue.find(["path~^a", "organs@4", "organs@breast"])] == ["a1"]


def test_an_error_takes_everything_back(sessions: Sessions) -> None:
    """A page is kept whole or not at all."""

    def break_off() -> None:
        with sessions.writing() as session:
            session.change(EVENT, run_id="r", message="lost")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with sessions.writing() as session:
        session.change(EVENT, run_id="r", message="kept")
    assert messages(sessions) == ["kept"]


def test_a_reader_sees_one_moment_while_others_write(sessions: Sessions) -> None:
    """The counts of one progress belong together."""
    question = "SELECT count(*) AS events FROM events"
    with sessions.reading() as reader:
        before = reader.rows(question)
        with sessions.writing() as session:
            session.change(EVENT, run_id="r", message="meanwhile")
        assert reader.rows(question) == before == [{"events": 0}]
    assert messages(sessions) == ["meanwhile"]


def test_many_threads_write_one_after_the_other(sessions: Sessions) -> None:
    """The heartbeat and the engine, say."""

    def write(number: int) -> None:
        with sessions.writing() as session:
            [row] = session.rows("SELECT count(*) AS events FROM events")
            session.change(EVENT, run_id="r", message=f"{row['events']} of {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(40)))
    assert sorted(int(text.split()[0]) for text in messages(sessions)) == list(range(40))


def test_several_processes_may_make_a_file_at_once(url: str) -> None:
    """Each finds it whole."""
    with ThreadPoolExecutor(4) as pool:
        for opened in pool.map(open_sessions, [url] * 4):
            assert version(opened) == HEAD
            opened.dispose()


def test_an_older_database_is_brought_up_to_date(url: str) -> None:
    """By its migrations."""
    Path(url.removeprefix("sqlite:///")).parent.mkdir()
    engine = _connect(url)
    upgrade(engine, target="0001")
    engine.dispose()
    opened = open_sessions(url)
    assert isinstance(opened, SqliteSessions)
    assert version(opened) == HEAD
    opened.dispose()
    engine = open_database(url)
    assert "pins" in inspect(engine).get_table_names()
    engine.dispose()


def test_a_database_of_a_newer_convoy_is_refused(url: str) -> None:
    """Nothing in it is touched."""
    opened = open_sessions(url)
    with opened.writing() as session:
        session.change("UPDATE alembic_version SET version_num = '9999'")
    opened.dispose()
    with pytest.raises(ConflictError, match="newer Convoy"):
        open_sessions(url)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """With what to look at."""
    (tmp_path / "convoy.db").mkdir()
    with pytest.raises(SiteUnavailableError, match=r"convoy.db does not answer: .* you may write there"):
        open_sessions(f"sqlite:///{tmp_path}/convoy.db")


def test_an_address_with_settings_is_left_to_sqlalchemy(url: str) -> None:
    """It knows what they mean."""
    opened = open_sessions(f"{url}?timeout=9")
    assert isinstance(opened, AlchemySessions)
    opened.dispose()
