"""Batch scripts for sbatch. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import PurePosixPath

from adapters.schedulers._body import interpreter, render_body, with_launcher
from adapters.schedulers._names import render_name
from adapters.schedulers.slurm.options import parse_options
from metadata.errors import InvalidJobError
from orchestrator.jobs import JobSpec, ResourceSpec

_SAFE = re.compile(r"[\w@%+=:,./~-]+", re.ASCII)
_MIB = 1024 * 1024
_GPU_OPTIONS = frozenset({"gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task"})

# The id by which squeue and sacct call the job: 12, or 12_3 for an element of an array.
_NATIVE_ID = '"${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"'

Option = tuple[str, str | None]


def render(specs: Sequence[JobSpec], *, receipts: PurePosixPath, throttle: int | None = None) -> str:
    """The script of one job, or of an array when there are several; the jobs are alike."""
    array = len(specs) > 1
    options = list(_options(specs))
    if array:
        options.append(("array", f"0-{len(specs) - 1}" + (f"%{throttle}" if throttle else "")))
    # "B:" asks for the signal to be sent to the script alone.
    signals = any(name == "signal" and "B" in (value or "").partition(":")[0] for name, value in options)
    lines = "".join(f"#SBATCH {_directive(name, value)}\n" for name, value in options)
    body = render_body(
        [with_launcher(spec, srun=_srun(spec.resources)) for spec in specs],
        receipts=receipts,
        native_id=_NATIVE_ID,
        index='"$SLURM_ARRAY_TASK_ID"' if array else "",
        signals=signals,
    )
    # --export=NONE would reach srun through this variable and empty the environment of the program.
    return f"{interpreter(signals=signals)}{lines}unset SLURM_EXPORT_ENV\n{body}"


def _options(specs: Sequence[JobSpec]) -> Iterator[Option]:
    spec = specs[0]
    name = render_name([spec.token for spec in specs])
    yield from (("job-name", name), ("comment", name), ("export", "NONE"))
    # The script itself opens the job's files, after it made their folders: Slurm fails a job whose folder is missing.
    yield from (("output", "/dev/null"), ("error", "/dev/null"))
    yield from _attributes(spec)
    custom = list(parse_options(spec.attributes.custom_attributes))
    chosen = {name for name, _ in custom}
    if "requeue" not in chosen:
        # After its node failed Slurm would start it anew in the folder of the first try, and nobody would know.
        yield "no-requeue", None
    yield from (option for option in _resources(spec.resources, chosen=chosen) if option[0] not in chosen)
    yield from custom


def _attributes(spec: JobSpec) -> Iterator[Option]:
    attributes = spec.attributes
    named = {
        "partition": attributes.queue_name,
        "account": attributes.account,
        "reservation": attributes.reservation_id,
        "time": render_duration(attributes.duration) if attributes.duration else None,
    }
    yield from ((name, value) for name, value in named.items() if value)


def _resources(resources: ResourceSpec, *, chosen: set[str]) -> Iterator[Option]:
    yield "nodes", str(resources.node_count)
    yield "ntasks", str(resources.process_count)
    yield "cpus-per-task", str(resources.cpu_cores_per_process)
    if resources.processes_per_node:
        yield "ntasks-per-node", str(resources.processes_per_node)
    if resources.memory and not chosen & {"mem-per-cpu", "mem-per-gpu"}:
        yield "mem", f"{math.ceil(resources.memory / _MIB)}M"
    if resources.gpu_cores_per_process and not chosen & _GPU_OPTIONS:
        # --gres counts GPUs of one node.
        per_node = resources.processes_per_node or math.ceil(resources.process_count / resources.node_count)
        yield "gres", f"gpu:{resources.gpu_cores_per_process * per_node}"
    if resources.exclusive_node_use:
        yield "exclusive", None


def _srun(resources: ResourceSpec) -> tuple[str, ...]:
    # Since 22.05 srun no longer takes over sbatch's --cpus-per-task.
    cores = f"--cpus-per-task={resources.cpu_cores_per_process}"
    return ("srun", f"--ntasks={resources.process_count}", cores, "--kill-on-bad-exit=1")


def render_duration(duration: timedelta) -> str:
    """Slurm's `days-hours:minutes:seconds`, rounded up to a second.

    >>> render_duration(timedelta(hours=26, seconds=1.5))
    '1-02:00:02'
    """
    minutes, seconds = divmod(math.ceil(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{seconds:02}"


def _directive(name: str, value: str | None) -> str:
    if value is None:
        return f"--{name}"
    if not value.isprintable():
        raise InvalidJobError(f"--{name}={value!r}: a directive is one line of printable characters")
    return f"--{name}={value if _SAFE.fullmatch(value) else _quoted(value)}"


def _quoted(value: str) -> str:
    # sbatch has its own quoting, not the shell's: in double quotes, a backslash keeps the next character as it is.
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
