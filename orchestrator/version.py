"""What Convoy this is."""

from __future__ import annotations

DISTRIBUTION = "convoy-hpc"


def convoy_version() -> str:
    """The installed version; `0+source` for a checkout that was never installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to load, and seldom asked for

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+source"


def versions() -> dict[str, str]:
    """What runs on this machine, for reports."""
    import platform  # noqa: PLC0415 - see above
    from importlib.metadata import version  # noqa: PLC0415

    told = {"Convoy": convoy_version(), "Python": platform.python_version(), "System": platform.platform()}
    return told | {name: version(name) for name in ("sqlmodel", "pydantic", "apscheduler", "rocrate")}
