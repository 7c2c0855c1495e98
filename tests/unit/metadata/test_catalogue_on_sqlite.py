from pathlib import Path

import pytest

from metadata.catalogue import Catalogue
from metadata.errors import SiteUnavailableError
from metadata.sessions import SqliteSessions
from tests.unit.metadata import catalogue_suite as suite
from tests.unit.metadata import keeping_suite, past_suite


class TestDatasets(suite.DatasetTests):
    pass


class TestReplicas(suite.ReplicaTests):
    pass


class TestPolicies(suite.PolicyTests):
    pass


class TestAttributes(suite.AttributeTests):
    pass


class TestSearch(suite.SearchTests):
    pass


class TestPast(past_suite.PastTests):
    pass


class TestNamespace(keeping_suite.NamespaceTests):
    pass


class TestRetention(keeping_suite.RetentionTests):
    pass


def test_a_database_that_does_not_answer_is_a_site_that_may_come_back(tmp_path: Path):
    sessions = SqliteSessions(tmp_path / "missing" / "convoy.db", url="sqlite:///missing/convoy.db")
    with pytest.raises(SiteUnavailableError, match="unable to open database file"):
        Catalogue(sessions).datasets()
