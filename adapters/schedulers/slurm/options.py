"""The `slurm.*` attributes of a job: options of sbatch that PSI/J has no word for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.schedulers._body import hint
from metadata.errors import InvalidJobError

_PREFIX = "slurm"

# The long options of sbatch(1), 24.11, that neither Convoy nor JobSpec sets.
OPTIONS = frozenset(
    """
    acctg-freq batch bb bbf begin burst-buffer cluster-constraint clusters constraint container container-id contiguous
    core-spec cores-per-socket cpu-freq cpus-per-gpu deadline delay-boot dependency distribution exclude exclusive
    export-file extra extra-node-info get-user-env gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket
    gpus-per-task gres gres-flags hint hold ignore-pbs kill-on-invalid-dep licenses mail-type mail-user mcs-label
    mem-bind mem-per-cpu mem-per-gpu mincpus network nice no-kill no-requeue nodefile nodelist ntasks-per-core
    ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode overcommit oversubscribe power prefer priority profile
    propagate qos reboot requeue resv-ports segment signal sockets-per-node spread-job stepmgr switches thread-spec
    threads-per-core time-min tmp tres-bind tres-per-task uid use-min-nodes wait-all-nodes wckey
    """.split()  # noqa: SIM905 - a column of eighty strings is no easier to read
)

_SET_ELSEWHERE = {
    "account": "attributes.account",
    "array": "a scatter",
    "chdir": "directory",
    "comment": "the job's token",
    "cpus-per-task": "resources.cpu_cores_per_process",
    "error": "stderr_path",
    "export": "environment",
    "input": "stdin_path",
    "job-name": "the job's token",
    "mem": "resources.memory",
    "nodes": "resources.node_count",
    "ntasks": "resources.process_count",
    "output": "stdout_path",
    "partition": "attributes.queue_name",
    "reservation": "attributes.reservation_id",
    "time": "attributes.duration",
}


def parse_options(attributes: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Options and their values, None for a bare flag. Those of other schedulers are passed over.

    Raises InvalidJobError for an option that sbatch does not have, with the one that was meant.
    """
    for key, value in attributes.items():
        prefix, dot, name = key.partition(".")
        if not dot:
            raise InvalidJobError(f"custom attribute {key!r}: write '{_PREFIX}.{key}', so that its scheduler is known")
        if prefix != _PREFIX:
            _refuse_misspelt(key, prefix)
            continue
        option = _known(name.replace("_", "-"))
        if value.lower() != "false":
            yield option, None if value.lower() in {"", "true"} else value


def _refuse_misspelt(key: str, prefix: str) -> None:
    if hint(prefix, [_PREFIX]):
        raise InvalidJobError(f"custom attribute {key!r}: no scheduler is called {prefix!r}{hint(prefix, [_PREFIX])}")


def _known(option: str) -> str:
    if option in OPTIONS:
        return option
    if option in _SET_ELSEWHERE:
        raise InvalidJobError(f"custom attribute 'slurm.{option}': it is set by {_SET_ELSEWHERE[option]}")
    raise InvalidJobError(f"custom attribute 'slurm.{option}': sbatch has no such option{hint(option, OPTIONS)}")
