"""No container at all: programs run on the host itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from orchestrator.ports import Argv, SiteSettings


class HostRuntime:
    """Runs a command as it is."""

    def __init__(self, settings: SiteSettings) -> None:
        self._environment = settings.environment

    def command(
        self, argv: Argv, *, image: str | None, directory: PurePosixPath, binds: Sequence[PurePosixPath], gpus: int
    ) -> Argv:
        """The command itself; the image is not used."""
        del image, directory, binds, gpus
        return argv

    def environment(self, variables: Mapping[str, str], *, image: str | None) -> Mapping[str, str]:
        """What the site file says, and the variables; the latter count where both name one."""
        del image
        return {**self._environment, **variables}


ADAPTER = HostRuntime
