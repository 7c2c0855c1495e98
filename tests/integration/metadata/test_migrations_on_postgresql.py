from tests.unit.metadata import migrations_suite as suite


class TestMigrations(suite.MigrationTests):
    pass
