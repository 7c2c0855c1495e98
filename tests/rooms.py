"""Which tests run on one worker: whole folders, since they share what is costly to make, and the sites that they break."""

from __future__ import annotations

from typing import Any

import pytest

BREAKS_SITES = ("tests/integration/ssh/", "tests/integration/slurm/", "tests/acceptance/test_random_faults.py")
"""Who cuts, floods and kills the testbed's psnc and bsc. All others break sites that are of no other folder."""


def room_of(nodeid: str) -> str:
    """A name that is the same for all tests of one worker.

    >>> room_of("tests/unit/cli/test_x.py::test_y"), room_of("tests/acceptance/test_x.py::test_y[1]")
    ('tests/unit/cli', 'tests/acceptance/test_x.py')
    """
    path = nodeid.partition("::")[0]
    if path.startswith(BREAKS_SITES):
        return "psnc and bsc"
    folder = path.rpartition("/")[0]
    return path if folder == "tests/acceptance" else folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers get room after room."""
    from xdist.scheduler import LoadScopeScheduling

    class RoomScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return room_of(nodeid)

    return RoomScheduling(config, log)
