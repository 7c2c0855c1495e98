"""What the CamNet tests share: real fixtures, and slides small enough to be drawn in a second."""

from pathlib import Path

import pytest

from usecases.camnet.demo_data.__main__ import main as draw_demo


@pytest.fixture(scope="session")
def camelyon(fixtures_folder: Path) -> Path:
    """The folder of real Camelyon files."""
    return fixtures_folder / "camelyon"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with patient_004_node_4.tif and .xml and the healthy patient_024_node_1.tif, 1024 pixels a side."""
    folder = tmp_path_factory.mktemp("drawn")
    assert draw_demo(["--output", str(folder), "--size", "1024"]) == 0
    return folder
