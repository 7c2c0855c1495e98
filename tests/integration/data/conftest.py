"""A home with a site behind a real sshd, whose bytes are counted on their way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.operations import Workspace
from orchestrator.settings import find_settings
from tests.testbed.local_sshd import LocalSshd, running


@dataclass(kw_only=True)
class Behind:
    """A site behind SSH, and another one that this machine has mounted."""

    home: Path
    sshd: LocalSshd
    data: Path
    """A folder at the site."""
    asked: list[int] = field(default_factory=list)
    """The bytes of each range that was read there."""

    @property
    def travelled(self) -> int:
        """Bytes that ranges brought here."""
        return sum(self.asked)

    def count(self, workspace: Workspace) -> None:
        """Counts what this workspace reads from the site."""
        storage: Any = workspace.storages["far"]
        read_range = storage.read_range

        def counted(path: str, *, offset: int, size_bytes: int) -> bytes:
            found: bytes = read_range(path, offset=offset, size_bytes=size_bytes)
            self.asked.append(len(found))
            return found

        storage.read_range = counted


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    """A site `far` behind SSH, and `near`, a folder of this machine."""
    with running(tmp_path / "sshd") as sshd:
        home, data = tmp_path / "home", sshd.home / "data"
        home.mkdir()
        data.mkdir()
        far = {
            "workdir": str(sshd.home / "convoy"),
            "storage": "command",
            "runner": {"type": "ssh", "options": sshd.options},
        }
        far["scheduler"] = "slurm"
        # JSON is YAML.
        (home / "sites.yaml").write_text(
            json.dumps({"sites": {"far": far, "near": {"workdir": str(tmp_path / "near")}}})
        )
        yield Behind(home=home, sshd=sshd, data=data)


@pytest.fixture
def workspace(behind: Behind) -> Iterator[Workspace]:
    """Its home, open."""
    with Workspace(find_settings(home=behind.home, environment={})) as opened:
        yield opened
