from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, create_engine, text

from metadata.catalogue import Catalogue
from metadata.database import open_database
from metadata.sessions import AlchemySessions, Sessions
from metadata.tables import METADATA
from tests.integration.metadata.postgresql import Server, programs, running

# The suite that both databases must pass lies beside the tests on SQLite.
pytest.register_assert_rewrite("catalogue_suite", "migrations_suite")
_databases = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql, or put initdb on the PATH")
    with running(where) as server:
        yield server


@pytest.fixture(scope="session")
def url(server: Server) -> str:
    return server.url("postgres")


@pytest.fixture
def empty_url(server: Server, url: str) -> str:
    """A database of its own, without tables."""
    name = f"test_{next(_databases)}"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.url(name)


@pytest.fixture(scope="session")
def shared_engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    """One set of tables for all tests, because to make them takes long; every test finds them empty."""
    names = ", ".join(table.name for table in METADATA.sorted_tables)
    with shared_engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    return shared_engine


@pytest.fixture
def database(engine: Engine) -> Sessions:
    """The same in plain SQL."""
    return AlchemySessions(engine)


@pytest.fixture
def catalogue(database: Sessions) -> Catalogue:
    return Catalogue(database)
