"""A virtual environment for each contender, made when it is missing or when what belongs in it changed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "peers"
_PROJECT = REQUIREMENTS.parents[1]
_LOCK = "requirements.lock"
_PACKAGES = ("adapters", "metadata", "orchestrator", "staging", "usecases")
_FILES = ("pyproject.toml", "README.md", "LICENSE", _LOCK)


class EnvironmentFailedError(Exception):
    """A peer could not be installed; the message is the installer's."""


def environment_of(peer: str, folder: Path) -> Path:
    """The `bin` folder of the peer's environment below `folder`, its byte code compiled.

    Raises EnvironmentFailedError when it cannot be installed.
    """
    pins = REQUIREMENTS / f"{peer}.txt"
    wanted = ["--pre", "-r", str(pins)]
    return _kept(folder / peer, pins.read_bytes(), lambda home: _install(home, wanted)) / "bin"


def own_environment(folder: Path) -> Path:
    """The same for this project as it stands: what its users install, so no editable one, and none of its extras.

    Raises EnvironmentFailedError when it cannot be installed.
    """
    paths = [_PROJECT / name for name in _FILES]
    paths += sorted(path for name in _PACKAGES for path in (_PROJECT / name).rglob("*") if _counts(path))
    content = b"".join(str(path.relative_to(_PROJECT)).encode() + path.read_bytes() for path in paths)
    with tempfile.TemporaryDirectory() as copy:  # building leaves things behind
        for path in paths:
            target = Path(copy) / path.relative_to(_PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        wanted = ["--constraint", str(_PROJECT / _LOCK), copy]
        return _kept(folder / "convoy", content, lambda home: _install(home, wanted)) / "bin"


def packages_of(peer: str, folder: Path, *, python: str) -> Path:
    """A folder below `folder` with the peer's packages for another Python (such as 3.13), to be carried elsewhere.

    Raises EnvironmentFailedError when they cannot be had.
    """
    pins = REQUIREMENTS / f"{peer}.txt"

    def install(home: Path) -> None:
        uv = _uv()
        tool = [uv, "pip", "install", "--quiet"] if uv else [sys.executable, "-m", "pip", "install", "--quiet"]
        only = [] if uv else ["--only-binary=:all:"]
        _call([*tool, "--python-version", python, "--target", str(home), *only, "-r", str(pins)])

    return _kept(folder / f"{peer}-{python}", pins.read_bytes() + python.encode(), install)


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _kept(home: Path, content: bytes, install: Callable[[Path], None]) -> Path:
    """The folder; installed anew unless it was made of this very content, and by this Python."""
    stamp = home / "pins.sha256"
    digest = hashlib.sha256(content + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {home.name} into {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        install(home)
        stamp.write_text(digest)
    return home


def _uv() -> str | None:
    """The program uv: the one of this environment, or any."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _install(home: Path, wanted: list[str]) -> None:
    python = str(home / "bin" / "python")
    if uv := _uv():
        _call([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
        _call([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    else:
        _call([sys.executable, "-m", "venv", str(home)])
        _call([python, "-m", "pip", "install", "--quiet", *wanted])
    # Some packages hold templates that are no Python; compileall reports them, and they matter to nobody.
    subprocess.run([python, "-m", "compileall", "-q", str(home / "lib")], check=False, capture_output=True)


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()[-3:]
        raise EnvironmentFailedError(f"{' '.join(command[:3])} failed: {' / '.join(said)}") from error
