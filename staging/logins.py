"""One login of a person, shared by every program that goes to a site: OpenSSH's own sharing of connections.

`convoy site login` opens the connection and leaves it behind a socket; commands, storages and movers of all processes
go through it, and nobody is asked again.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metadata.errors import SiteError

_IDENTITY = ("host", "user", "port", "config_file")
_LONGEST_FOLDER_BYTES = 60
"""A socket's path has at most 107 bytes, and OpenSSH adds 17 to it while it makes the socket."""


def login_socket(options: Mapping[str, Any]) -> Path:
    """Where a login by these options (`host`, `user`, `port`, `config_file`) is found; nothing is made."""
    door = repr([os.path.expanduser(str(options.get(name) or "")) for name in _IDENTITY])  # noqa: PTH111 - a user too
    return _folder() / f"login-{hashlib.sha256(door.encode()).hexdigest()[:16]}"


def is_open(path: Path) -> bool:
    """Whether somebody is logged in behind the socket. Another user's socket does not count."""
    try:
        if path.parent.lstat().st_uid != os.getuid():
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(str(path))
    except OSError:
        return False
    return True


def make_login_folder() -> None:
    """The folder of the sockets is there and nobody else's. Raises SiteError."""
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise SiteError(f"{folder} must be a folder of yours that others cannot read; remove it and try again")


def _folder() -> Path:
    usual = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    short = len(os.fsencode(usual)) <= _LONGEST_FOLDER_BYTES and Path(usual).is_dir()
    return Path(usual if short else "/tmp") / f"convoy-ssh-{os.getuid()}"  # noqa: S108 - is_open looks whose it is
