"""The clusters themselves: brought up, taken down, and looked at, by the scripts beside this file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metadata.errors import AdapterUnavailableError, SiteError

SCRIPT = Path(__file__).with_name("sites.sh")
_LIMIT_S = 1800.0
"""The first time a Debian system is put together; a slow mirror needs patience."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A practice cluster."""

    name: str
    address: str
    state: str
    """`up`, `starting` or `down`."""
    rate: str
    """Limit of its link as `tc` writes it, such as `200mbit`; empty without one."""
    rtt_ms: float
    """Time there and back between two clusters with this setting."""
    loss: float
    """Share of the frames that its cable loses."""
    nodes: int
    cpus: int
    """Of a node."""
    gpus: int
    """Of a node; they are not real."""


@dataclass(frozen=True, kw_only=True)
class LinkShape:
    """How the cables of clusters shall be. None leaves a setting as it is."""

    rate: float | None = None
    """Bytes a second; 0 takes a limit away."""
    rtt_ms: float | None = None
    loss: float | None = None

    def settings(self) -> dict[str, str]:
        """What `sites.sh link` takes.

        >>> LinkShape(rate=25e6, rtt_ms=30).settings()
        {'rate': '200mbit', 'rtt': '30'}
        """
        rate = None if self.rate is None else f"{self.rate * 8 / 1e6:g}mbit" if self.rate else "none"
        found = {"rate": rate, "rtt": _number(self.rtt_ms), "loss": _number(self.loss)}
        return {name: value for name, value in found.items() if value is not None}


def bring_up(names: Sequence[str], *, link: LinkShape) -> None:
    """The clusters run jobs, and their cables are as `link` says.

    Raises AdapterUnavailableError with what is missing on this machine; SiteError with the script's last words.
    """
    missing = _run("check")
    if missing.returncode:
        raise AdapterUnavailableError(f"no practice clusters on this machine: {'; '.join(missing.stdout.splitlines())}")
    settings = link.settings()
    _done("up", *names, environment={name.upper(): value for name, value in settings.items()})
    for name in names if settings else ():
        # Those that were up already did not look at the environment.
        _done("link", name, *(f"{setting}={value}" for setting, value in settings.items()))


def take_down(names: Sequence[str]) -> None:
    """The clusters are gone, with all that was on them. Raises SiteError with the script's last words."""
    _done("down", *names)


def list_clusters() -> list[Cluster]:
    """All that there are, whoever made them."""
    return [Cluster(**row) for row in json.loads(_done("status", "--json"))]


def ssh_config() -> Path:
    """The file by which they are reached, as the user alice."""
    return Path(_done("where").strip()) / "ssh_config"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _done(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    result = _run(*arguments, environment=environment)
    if result.returncode:
        words = (result.stderr or result.stdout).strip().splitlines()[-5:]
        raise SiteError(
            f"sites.sh {' '.join(arguments)} failed: {' / '.join(words) or 'it said nothing'}",
            argv=(str(SCRIPT), *arguments),
            exit_code=result.returncode,
        )
    return result.stdout


def _run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    # By name and not by its mode: what unpacks a package may forget that a file is a program.
    argv = ["bash", str(SCRIPT), *arguments]
    try:
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
            timeout=_LIMIT_S, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise AdapterUnavailableError("no practice clusters on this machine: there is no bash") from error
    except subprocess.TimeoutExpired as error:
        raise SiteError(f"sites.sh {' '.join(arguments)} did not end within {_LIMIT_S / 60:.0f} min") from error
