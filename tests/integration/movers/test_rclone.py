"""rclone to a remote that speaks no SSH: a WebDAV server that asks for a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from adapters.movers.rclone import RcloneMover
from metadata.errors import StagingError
from staging.ports import Direction, Endpoint, MoveFile, MoveRequest
from tests.testbed.fixtures import wait_until

pytestmark = pytest.mark.skipif(shutil.which("rclone") is None, reason="NOT TESTED: rclone is not installed")

CONTENT = os.urandom(3 << 20)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the remote `dav:` shows."""
    folder = tmp_path / "served"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["rclone", "serve", "webdav", "--addr", f"127.0.0.1:{port}", "--user", "alice", "--pass", "secret"]
    server = subprocess.Popen([*words, str(folder)], stderr=subprocess.DEVNULL)
    hidden = subprocess.run(["rclone", "obscure", "secret"], capture_output=True, text=True, check=True).stdout.strip()
    facts = {"TYPE": "webdav", "URL": f"http://127.0.0.1:{port}", "USER": "alice", "PASS": hidden}
    for name, value in facts.items():
        monkeypatch.setenv(f"RCLONE_CONFIG_DAV_{name}", value)
    monkeypatch.setenv("RCLONE_CONFIG", os.devnull)
    wait_until(lambda: answers(port), what="the server")
    yield folder
    server.terminate()
    server.wait()


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def request_of(folder: Path, source: Path, partial: Path, direction: Direction, **door: str) -> MoveRequest:
    """One file to or from the site, which sees the folder under its own path."""
    here = Endpoint(site="here", doors={"file": {}})
    site = Endpoint(site="agh", doors={"rclone": {"remote": "dav:", "path": str(folder), **door}})
    ends = (here, site) if direction is Direction.PUSH else (site, here)
    file = MoveFile(source_path=str(source), partial_path=str(partial), size_bytes=len(CONTENT))
    return MoveRequest(source=ends[0], destination=ends[1], files=(file,), direction=direction)


def test_a_file_goes_to_a_web_server_and_comes_back(served: Path, tmp_path: Path) -> None:
    """Under the path that the site itself has for it."""
    (tmp_path / "source").write_bytes(CONTENT)
    there, back = served / "data/it's #1 %20.part", tmp_path / "back"
    told: list[int] = []
    push = request_of(served, tmp_path / "source", there, Direction.PUSH)
    assert RcloneMover().move(push, progress=told.append).bytes_moved == len(CONTENT)
    assert there.read_bytes() == CONTENT
    assert told[-1] == len(CONTENT)
    RcloneMover().move(request_of(served, there, back, Direction.PULL), progress=told.append)
    assert back.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("door", "words"),
    [
        ({"path": "/elsewhere"}, "outside of /elsewhere"),
        ({"remote": ""}, "names no remote"),
        ({"remote": "nix:"}, "nix"),
    ],
)
def test_a_door_that_leads_nowhere_is_told(served: Path, tmp_path: Path, door: dict[str, str], words: str) -> None:
    """Another mover may be able."""
    (tmp_path / "source").write_bytes(CONTENT)
    request = request_of(served, tmp_path / "source", served / "x.part", Direction.PUSH, **door)
    with pytest.raises(StagingError, match=words):
        RcloneMover().move(request, progress=lambda _: None)
