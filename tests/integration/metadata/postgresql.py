"""A throw-away PostgreSQL server, as the machine's own packages bring it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers on a socket in `directory`, to the user `convoy`, without a password."""

    directory: Path

    def url(self, database: str) -> str:
        return f"postgresql://convoy@/{database}?host={self.directory}"


def programs() -> Path | None:
    """The folder of the newest `initdb` and `pg_ctl`; Debian keeps them off the PATH."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: float(found.parts[4]))
    found = shutil.which("initdb") or (packaged[-1] if packaged else None)
    return Path(found).resolve().parent if found else None


@contextmanager
def running(where: Path) -> Iterator[Server]:
    """A server with empty data that keeps nothing safe, and is gone afterwards."""
    # The path of a socket may have 107 bytes, which pytest's folders can exceed.
    with tempfile.TemporaryDirectory(prefix="convoy-pg-", dir="/tmp") as folder:
        directory = Path(folder)
        identity = _identity(directory)
        data, log = directory / "data", directory / "log"
        _call(identity, where / "initdb", "-D", data, "-U", "convoy", "--auth=trust", "-E", "UTF8", "--no-sync")
        options = f"-k {directory} -c listen_addresses='' -c fsync=off -c full_page_writes=off"
        _call(identity, where / "pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options)
        try:
            yield Server(directory=directory)
        finally:
            _call(identity, where / "pg_ctl", "stop", "-D", data, "-m", "immediate")


def _identity(directory: Path) -> dict[str, Any]:
    """Who the server runs as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {"cwd": directory}
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    shutil.chown(directory, user.pw_uid, user.pw_gid)
    return {"cwd": directory, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _call(identity: dict[str, Any], *argv: str | Path) -> None:
    # A file and not a pipe: the server inherits it, and a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as said:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
        done = subprocess.run(argv, check=False, timeout=60, **quiet, **identity)
        said.seek(0)
        assert done.returncode == 0, f"{argv[0]}: {said.read().decode(errors='replace')}"
