"""A virtual environment for each peer, made when it is missing or when its pinned versions changed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "peers"


class EnvironmentFailedError(Exception):
    """A peer could not be installed; the message is the installer's."""


def environment_of(peer: str, folder: Path) -> Path:
    """The `bin` folder of the peer's environment below `folder`, its byte code compiled.

    Raises EnvironmentFailedError when it cannot be installed.
    """
    return _made(peer, folder / peer, _install, python=sys.version) / "bin"


def packages_of(peer: str, folder: Path, *, python: str) -> Path:
    """A folder below `folder` with the peer's packages for another Python (such as 3.13), to be carried elsewhere.

    Raises EnvironmentFailedError when they cannot be had.
    """

    def install(home: Path, pins: Path) -> None:
        uv = _uv()
        tool = [uv, "pip", "install", "--quiet"] if uv else [sys.executable, "-m", "pip", "install", "--quiet"]
        only = [] if uv else ["--only-binary=:all:"]
        _call([*tool, "--python-version", python, "--target", str(home), *only, "-r", str(pins)])

    return _made(peer, folder / f"{peer}-{python}", install, python=python)


def _made(peer: str, home: Path, install: Callable[[Path, Path], None], *, python: str) -> Path:
    """The folder, made anew when its pins or its Python changed."""
    pins = REQUIREMENTS / f"{peer}.txt"
    stamp = home / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes() + python.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer} into {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        install(home, pins)
        stamp.write_text(wanted)
    return home


def _uv() -> str | None:
    """The program uv: the one of this environment, or any."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _install(home: Path, pins: Path) -> None:
    python = str(home / "bin" / "python")
    if uv := _uv():
        _call([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
        _call([uv, "pip", "install", "--quiet", "--prerelease", "allow", "--python", python, "-r", str(pins)])
    else:
        _call([sys.executable, "-m", "venv", str(home)])
        _call([python, "-m", "pip", "install", "--quiet", "--pre", "-r", str(pins)])
    # Some packages hold templates that are no Python; compileall reports them, and they matter to nobody.
    subprocess.run([python, "-m", "compileall", "-q", str(home / "lib")], check=False, capture_output=True)


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()[-3:]
        raise EnvironmentFailedError(f"{' '.join(command[:3])} failed: {' / '.join(said)}") from error
