from pathlib import Path

import pytest

from metadata.catalogue import Catalogue
from metadata.database import open_database
from metadata.errors import InvalidInputError, SiteUnavailableError
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


def test_a_pattern_that_only_python_knows_is_refused(catalogue: Catalogue):
    with pytest.raises(InvalidInputError, match="cannot search for name"):
        catalogue.find(["name~(?P<patient>4)"])


def test_a_server_that_is_gone_is_a_site_that_may_come_back(tmp_path: Path):
    with pytest.raises(SiteUnavailableError, match="does not answer"):
        open_database(f"postgresql://convoy@/convoy?host={tmp_path}")
