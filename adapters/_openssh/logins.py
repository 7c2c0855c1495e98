"""One login for all programs that go to the same door: OpenSSH's own sharing of connections."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters._openssh.doors import Door, door_words, literal, option_words
from adapters._openssh.errors import login_error
from metadata.errors import StagingError

_LINGERS_S = 60
"""A login outlives its last user by this."""

_LONGEST_PATH = 80
"""A socket's path has at most 107 bytes, and OpenSSH adds 17 to it while it makes the socket."""


def shared_words(site: str, door: Door, *, number: int = 0) -> list[str]:
    """The words for the door with a login that is open: each further program takes 20 ms and not a whole login.

    number: Logins of different numbers have TCP connections of their own, but for doors that a person opened.
    A dead login is replaced. Raises SiteUnavailableError, or StagingError when the site lets nobody in.
    """
    path = door["control_path"] if is_persons(door) else ""
    if not path:
        told = repr(sorted(door.items())) + (f" {number}" if number else "")
        path = str(_folder() / hashlib.sha256(told.encode()).hexdigest()[:16])
        _open(site, door, path)
    return [*door_words(door), *option_words("ControlMaster=no", f'ControlPath="{literal(path)}"')]


def is_persons(door: Door) -> bool:
    """Whether a person opened a login for the door: it is the only connection that there can be."""
    path = door.get("control_path", "")
    return bool(path) and _lives(path)


def agent_words(door: Door) -> list[str]:
    """The words for a login of its own that takes the user's agent along: it ends with the program that uses it.

    A login that a person opened is used all the same, because there is no other way in.
    """
    sharing = f'ControlPath="{literal(door["control_path"])}"' if is_persons(door) else "ControlPath=none"
    return [*door_words(door), *option_words("ControlMaster=no", sharing, "ForwardAgent=yes")]


def _open(site: str, door: Door, path: str) -> None:
    if _lives(path):
        return
    # Two programs at once: the second would find a socket, give up sharing and stay for ever.
    with _locked(f"{path}.lock"):
        if not _lives(path):
            Path(path).unlink(missing_ok=True)
            _log_in(site, door, path)


def _log_in(site: str, door: Door, path: str) -> None:
    sharing = option_words("ControlMaster=yes", f'ControlPath="{literal(path)}"', f"ControlPersist={_LINGERS_S}")
    # The login keeps its standard error for as long as it lives: a pipe would never end.
    with tempfile.TemporaryFile() as words:
        done = subprocess.run(
            ["ssh", *door_words(door), *sharing, "-f", "-N", "--", door["host"]],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words, check=False, start_new_session=True,
        )  # fmt: skip
        if done.returncode:
            words.seek(0)
            raise login_error(site, words.read().decode(errors="replace"), done.returncode)


def _lives(path: str) -> bool:
    """Whether somebody listens at the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _folder() -> Path:
    """The user's own folder for sockets."""
    usual = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    roots = [root for root in (usual, "/tmp") if len(os.fsencode(root)) <= _LONGEST_PATH - 40 and Path(root).is_dir()]  # noqa: S108
    folder = Path(roots[0]) / f"convoy-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise StagingError(f"{folder} must be a folder of yours that others cannot read; remove it and try again")
    return folder


@contextmanager
def _locked(path: str) -> Iterator[None]:
    with Path(path).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
