"""The peers' programs: what this machine has, else what its package archive has, without installing anything."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PACKAGES = {"globus-url-copy": "globus-gass-copy-progs", "rsync": "rsync", "scp": "openssh-client"}


def packages_with(programs: Sequence[str], folder: Path) -> Path | None:
    """A folder with a `usr` that holds those of the programs that this machine lacks; None when it lacks none.

    Debian's packages are fetched and unpacked there, and nothing is installed. Where there is no such archive the
    folder is None, too, and `version_of` tells who is missing.
    """
    missing = [_PACKAGES[name] for name in programs if name in _PACKAGES and not shutil.which(name)]
    if not missing or not shutil.which("apt-get"):
        return None
    plan = _said(["apt-get", "-s", "-q", "install", "--no-install-recommends", *missing])
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    if not names:
        return None
    home = folder / f"debian-{hashlib.sha256(plan.encode()).hexdigest()[:12]}"
    if not (home / "usr").is_dir():
        print(f"fetching {len(names)} packages of Debian into {home}", flush=True)
        archives = home / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        _said(["apt-get", "-q", "download", *names], folder=archives)
        for archive in sorted(archives.glob("*.deb")):
            _said(["dpkg", "-x", str(archive), str(home / "unpacked")])
        if (home / "unpacked" / "usr").is_dir():
            (home / "unpacked" / "usr").rename(home / "usr")
    return home if (home / "usr").is_dir() else None


def version_of(argv: Sequence[str]) -> str | None:
    """The first number that a program says of itself; None when there is no such program."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return None
    found = re.search(r"\d+(\.\d+)+\w*", done.stdout + done.stderr)
    return found[0] if found and done.returncode in (0, 1) else None


def _said(argv: Sequence[str], *, folder: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.stdout
