"""CamNet's images as their recipes give them: made once a machine, and kept until a recipe or a program changes.

They lie in CONVOY_IMAGES (default /var/tmp/convoy-images); any file there may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from orchestrator.operations.images import convert_image
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import Compression
from tests.testbed.fixtures import refuse

PROGRAM = Path(__file__).resolve().parents[3] / "containers" / "archive.py"
FOLDER = Path(os.environ.get("CONVOY_IMAGES", "/var/tmp/convoy-images"))
_KEPT = 3
"""Images of one name that stay: several working copies may share the folder."""


def image_file(name: str, workspace: Workspace, *, at: str) -> Path:
    """The SIF of a recipe, converted at a site of the workspace where it is not there yet.

    Skips the test where no image can be made.
    """
    archive = load_program()
    sif = FOLDER / f"{name}-{archive.content_key(archive.recipe(name))[:16]}.sif"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _locked():
        if not sif.exists():
            _check_possible(archive)
            _make(name, sif, workspace, at=at)
        sif.touch()
        for old in sorted(FOLDER.glob(f"{name}-*.sif"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink()
    return sif


def _make(name: str, sif: Path, workspace: Workspace, *, at: str) -> None:
    tar, new = FOLDER / f"{name}.tar", FOLDER / f"{name}.new"
    new.unlink(missing_ok=True)
    try:
        argv = [sys.executable, str(PROGRAM), name, str(tar), "--cache", str(FOLDER / "layers")]
        made = subprocess.run(argv, check=False, capture_output=True, text=True, errors="replace")
        assert made.returncode == 0, f"{' '.join(argv)}\n{(made.stdout + made.stderr)[-4000:]}"
        convert_image(workspace, tar, new, at=at, compression=Compression.ZSTD)
        new.replace(sif)
    finally:
        tar.unlink(missing_ok=True)


def _check_possible(archive: ModuleType) -> None:
    if os.geteuid() != 0:
        refuse("images are made by root here")
    for tool in ("mmdebstrap", "apt-get"):
        if shutil.which(tool) is None:
            refuse(f"images cannot be made: {tool} is not installed")
    try:
        archive.mirror()
    except SystemExit as error:
        refuse(f"images cannot be made: {error}")


def load_program() -> ModuleType:
    """containers/archive.py, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("archive", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _locked() -> Iterator[None]:
    """One test run at a time makes images."""
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
