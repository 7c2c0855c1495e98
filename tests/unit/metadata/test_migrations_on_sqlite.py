from pathlib import Path

import pytest

from tests.unit.metadata import migrations_suite as suite


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/empty.db"


class TestMigrations(suite.MigrationTests):
    pass
