"""A virtual environment for each peer, made when it is missing or when its pinned versions changed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "peers"


class EnvironmentFailedError(Exception):
    """A peer could not be installed; the message is the installer's."""


def environment_of(peer: str, folder: Path) -> Path:
    """The `bin` folder of the peer's environment below `folder`, its byte code compiled.

    Raises EnvironmentFailedError when it cannot be installed.
    """
    pins = REQUIREMENTS / f"{peer}.txt"
    home = folder / peer
    stamp = home / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer} into {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        _install(home, pins)
        stamp.write_text(wanted)
    return home / "bin"


def _install(home: Path, pins: Path) -> None:
    python = str(home / "bin" / "python")
    if shutil.which("uv"):
        _call(["uv", "venv", "--quiet", "--python", sys.executable, str(home)])
        _call(["uv", "pip", "install", "--quiet", "--prerelease", "allow", "--python", python, "-r", str(pins)])
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
