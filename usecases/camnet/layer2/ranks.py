"""One process or many: Horovod where it is installed and the launcher started several processes on one machine."""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from usecases.camnet.errors import LaunchError
from usecases.camnet.layer2.splits import Indices

# How many processes the usual launchers say that they started.
Value = TypeVar("Value")

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

    def gather(self, value: Value) -> list[Value]:
        """Returns every rank's value, in the order of the ranks; all ranks have to call it."""
        return [value] if self.horovod is None else list(self.horovod.allgather_object(value))

    def average(self, variables: Sequence[Any]) -> None:
        """Gives each variable its mean over all ranks."""
        if self.horovod and variables:
            means = self.horovod.grouped_allreduce(list(variables), op=self.horovod.Average)
            for variable, mean in zip(variables, means, strict=True):
                variable.assign(mean)

    def check_disjoint(self, part: Indices) -> None:
        """Returns when no index is in the parts of two ranks.

        Raises:
            LaunchError: one is: the ranks were not given the same files, or not the same seed.
        """
        everything = np.concatenate(self.gather(part))
        twice = len(everything) - len(np.unique(everything))
        if twice:
            raise LaunchError(
                "cannot train together",
                where=f"rank {self.rank} of {self.size}",
                why=f"{twice} patches are in the parts of several ranks",
                advice="Start all ranks with the same patches and the same seed",
            )


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
