"""What every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code. CI tries the same examples each time; everybody else finds new ones.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Real SLURM sites in a box, for the tests that ask for them.
pytest_plugins = ["tests.rooms", "tests.testbed.fixtures"]

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the tests with random faults are told."""
    parser.addoption("--repetitions", type=int, default=3, help="how many random plans of faults are tried")
    parser.addoption("--seed", type=int, default=0, help="the seed of the first of them")


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """Real slides and annotations, kept beside the project; tests that need them skip aloud where they are absent."""
    folder = Path(os.environ.get("CONVOY_FIXTURES", ROOT.parent / "shared" / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"no fixtures at {folder}; set CONVOY_FIXTURES")
    return folder
