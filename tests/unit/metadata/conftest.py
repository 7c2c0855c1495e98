"""Databases of a test's own, for SQLAlchemy and in plain SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from metadata.catalogue import Catalogue
from metadata.database import open_database
from metadata.sessions import Sessions, open_sessions

pytest.register_assert_rewrite("catalogue_suite", "keeping_suite", "migrations_suite", "past_suite")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the database of a test lies."""
    return f"sqlite:///{tmp_path}/convoy.db"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The open database, for SQLAlchemy."""
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def database(url: str) -> Iterator[Sessions]:
    """The same in plain SQL."""
    opened = open_sessions(url)
    yield opened
    opened.dispose()


@pytest.fixture
def catalogue(database: Sessions) -> Catalogue:
    """The catalogue in it."""
    return Catalogue(database)
