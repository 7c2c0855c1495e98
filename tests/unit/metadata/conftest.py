from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from metadata.catalogue import Catalogue
from metadata.database import open_database

pytest.register_assert_rewrite("catalogue_suite", "keeping_suite", "migrations_suite")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/convoy.db")
    yield engine
    engine.dispose()


@pytest.fixture
def catalogue(engine: Engine) -> Catalogue:
    return Catalogue(engine)
