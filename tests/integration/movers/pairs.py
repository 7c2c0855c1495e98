"""Two sites between which files go, and what transfers may leave at them."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.registry import load
from staging.ports import Credential, Direction, Endpoint, MoveFile, MoveRequest, MoveResult
from tests.testbed.fixtures import TestbedSite


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sites with a folder of one's own at each."""

    source: TestbedSite
    destination: TestbedSite
    folder: str

    def endpoint(self, site: TestbedSite, **more: str) -> Endpoint:
        """How movers reach it."""
        return Endpoint(site=site.name, doors={"ssh": {**site.ssh_options, **more}})

    def at_source(self, name: str = "") -> Path:
        """A file there, past every program under test."""
        return below(self.source, self.folder, name)

    def at_destination(self, name: str = "") -> Path:
        """A file there."""
        return below(self.destination, self.folder, name)

    def request(self, *names: str, direction: Direction = Direction.THIRD_PARTY, **more: object) -> MoveRequest:
        """Files of the source; at the destination each is called NAME.part."""
        files = tuple(
            MoveFile(
                source_path=f"{self.folder}/{name}",
                partial_path=f"{self.folder}/new/{name}.part",
                size_bytes=self.at_source(name).stat().st_size,
            )
            for name in names
        )
        wanted = MoveRequest(
            source=self.endpoint(self.source),
            destination=self.endpoint(self.destination),
            files=files,
            direction=direction,
            credential=Credential.SHORT_LIVED_KEY if direction is Direction.THIRD_PARTY else Credential.NONE,
        )
        return replace(wanted, **more)  # type: ignore[arg-type]

    def write(self, name: str, content: bytes) -> None:
        """The file is at the source, alice's."""
        self.at_source(name).write_bytes(content)
        os.chown(self.at_source(name), 2001, 2001)


def below(site: TestbedSite, folder: str, name: str) -> Path:
    """A path of the site as root sees it."""
    return site.root / folder.lstrip("/") / name


def move(name: str, request: MoveRequest) -> MoveResult:
    """What the mover did."""
    return load("movers", name)().move(request, progress=lambda _: None)


def sha256(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def traces(pair: Pair) -> list[str]:
    """What transfers may not leave at a site."""
    found = []
    for site in (pair.source, pair.destination):
        found += [str(path) for path in (site.root / "tmp").glob("convoy-*")]
        keys = (site.root / "home/alice/.ssh/authorized_keys").read_text()
        found += [line for line in keys.splitlines() if "convoy" in line]
        assert "alice@testbed" in keys
    return found


def busy(pair: Pair) -> list[str]:
    """Programs of alice's transfers that still run; the sftp-server of a kept login is none."""
    script = "pgrep -u alice -fa 'convoy|[.]part|rsync|pack|scp' || true"
    return [line for site in (pair.source, pair.destination) for line in site.execute("sh", "-c", script).splitlines()]


@contextmanager
def opened_login(site: TestbedSite) -> Iterator[dict[str, str]]:
    """A door by which nobody gets in but through a login that a person opened."""
    socket = Path(f"/tmp/convoy-test-{secrets.token_hex(4)}")
    options = site.ssh_options
    login = ["ssh", "-F", options["config_file"], "-MNf", "-o", "ControlPersist=30", "-S", socket, options["host"]]
    subprocess.run(login, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield {**options, "user": "nobody", "identity_file": "/dev/null", "control_path": str(socket)}
    finally:
        subprocess.run(["ssh", "-S", socket, "-O", "exit", "x"], check=False, stderr=subprocess.DEVNULL)
