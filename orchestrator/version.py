"""What Convoy this is."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "convoy-hpc"


def convoy_version() -> str:
    """The installed version; `0+source` for a checkout that was never installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+source"


def versions() -> dict[str, str]:
    """What runs on this machine, for reports."""
    told = {"Convoy": convoy_version(), "Python": platform.python_version(), "System": platform.platform()}
    return told | {name: version(name) for name in ("sqlmodel", "pydantic", "apscheduler", "rocrate")}
