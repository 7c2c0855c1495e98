"""One process or many: Horovod where it is installed and the launcher started several processes."""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usecases.camnet.errors import LaunchError
from usecases.camnet.layer2.splits import Indices

# How many processes the usual launchers say that they started.
_SIZE_VARIABLES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's place among those that train together."""

    rank: int
    """0 for the one that writes the results."""
    size: int
    """Number of processes."""
    horovod: Any = None
    """The module horovod.tensorflow, or None for a lone process."""

    @property
    def leads(self) -> bool:
        """True for the one process that writes files and reports progress."""
        return self.rank == 0

    def shard(self, indices: Indices) -> Indices:
        """Returns this rank's part; parts are disjoint and equally long, as a rank short of a step hangs the others."""
        return indices[: len(indices) // self.size * self.size][self.rank :: self.size]


def find_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Returns this process's rank, with Horovod initialised when there are several.

    Raises:
        LaunchError: several processes were started, but Horovod is not installed to connect them.
    """
    started = max(int(environment.get(name, "1")) for name in _SIZE_VARIABLES)
    if started == 1:
        return Ranks(rank=0, size=1)
    try:
        horovod = importlib.import_module("horovod.tensorflow")
    except ImportError as error:
        raise LaunchError(
            "cannot train together",
            where=f"{started} processes",
            why=f"Horovod cannot be imported ({error})",
            advice="Install Horovod in the image, or start one process",
        ) from error
    horovod.init()
    return Ranks(rank=horovod.rank(), size=horovod.size(), horovod=horovod)
