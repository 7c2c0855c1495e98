"""Every storage that the registry knows, each over a folder that the test sees past it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from metadata.errors import AdapterUnavailableError
from orchestrator.ports import SiteSettings
from orchestrator.registry import load, names
from staging.ports import Storage, SupportsConnecting


@pytest.fixture(params=[*names("storages"), "command, connected"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Each storage in turn; commands, and the program that stays, are run on this machine."""
    name, _, connected = request.param.partition(", ")
    try:
        adapter = load("storages", name)
    except AdapterUnavailableError as error:
        pytest.skip(str(error))
    runner = load("runners", "local")(site="toy", options={})
    storage = adapter(SiteSettings(name="toy", workdir=PurePosixPath(tmp_path)), runner)
    if connected:
        assert isinstance(storage, SupportsConnecting)
        storage.connect()
    yield storage
    runner.close()
