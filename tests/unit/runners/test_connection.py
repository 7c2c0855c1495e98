"""The way to a login node."""

from __future__ import annotations

import pytest

from adapters.runners.ssh.connection import open_connection
from adapters.runners.ssh.settings import parse_settings
from metadata.errors import InvalidSiteError


def test_what_can_be_no_name_of_a_host_is_told() -> None:
    """Python's own words for it are about an encoding."""
    settings = parse_settings("agh", {"host": "x" * 64 + ".example"})
    with pytest.raises(InvalidSiteError, match=r"agh.*is no name of a host; correct it in the site file"):
        open_connection(settings, None)
