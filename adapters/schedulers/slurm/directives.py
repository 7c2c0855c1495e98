"""`#SBATCH` lines in a script that somebody hands in. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from adapters.schedulers._body import hint
from adapters.schedulers.slurm.options import OPTIONS
from metadata.errors import InvalidJobError
from orchestrator.jobs import JobAttributes, ResourceSpec
from orchestrator.ports import Wishes

_MARK = re.compile(r"#SBATCH(?:\s+(.*))?$")
_SHORT = {
    "A": "account", "a": "array", "B": "extra-node-info", "b": "begin", "C": "constraint", "c": "cpus-per-task",
    "D": "chdir", "d": "dependency", "e": "error", "F": "nodefile", "G": "gpus", "H": "hold", "i": "input",
    "J": "job-name", "k": "no-kill", "L": "licenses", "M": "clusters", "m": "distribution", "N": "nodes",
    "n": "ntasks", "O": "overcommit", "o": "output", "p": "partition", "q": "qos", "S": "core-spec",
    "s": "oversubscribe", "t": "time", "w": "nodelist", "x": "exclude",
}  # fmt: skip
_FLAGS = frozenset({
    "contiguous", "hold", "ignore-pbs", "no-requeue", "overcommit", "reboot", "requeue", "spread-job", "stepmgr",
    "use-min-nodes",
})  # fmt: skip
_MAYBE_VALUE = frozenset({"exclusive", "get-user-env", "nice", "no-kill", "oversubscribe", "propagate"})
_COUNTS = {
    "nodes": "node_count",
    "ntasks": "process_count",
    "cpus-per-task": "cpu_cores_per_process",
    "ntasks-per-node": "processes_per_node",
}
_WORDS = {"account": "account", "partition": "queue_name", "reservation": "reservation_id"}
_CONVOYS_OWN = {
    "array": "hand the script in once for each element, or write a workflow with a scatter",
    "chdir": "say it as the job's directory",
    "comment": "the job's token stands there",
    "error": "Convoy keeps what the job writes: convoy job logs",
    "export": "the job begins with a clean environment; set what it needs in the script",
    "input": "read the file in the script",
    "output": "Convoy keeps what the job writes: convoy job logs",
    "wrap": "write the command into the script",
}
_UNIT_BYTES = {"": 2**20, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def read(script: str) -> Wishes:
    """What the script's `#SBATCH` lines ask for.

    As sbatch reads them: up to the first line that is no comment (sbatch(1)). One that stands later, which sbatch
    passes over in silence, is an error here. Raises InvalidJobError with the line.
    """
    resources: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    custom: dict[str, str] = {}
    name = ""
    for line, option, value in _options(script):
        if option in _CONVOYS_OWN:
            raise InvalidJobError(f"line {line}: --{option} cannot be set here: {_CONVOYS_OWN[option]}")
        if option == "job-name":
            name = value or ""
        elif option in _COUNTS:
            resources[_COUNTS[option]] = _count(line, option, value)
        elif option == "mem":
            resources["memory"] = _size_bytes(line, value)
        elif option == "exclusive" and value is None:
            resources["exclusive_node_use"] = True
        elif option == "time":
            attributes["duration"] = _duration(line, value)
        elif option in _WORDS:
            attributes[_WORDS[option]] = value
        else:
            custom[f"slurm.{option}"] = "true" if value is None else value
    return Wishes(
        resources=ResourceSpec(**resources), attributes=JobAttributes(**attributes, custom_attributes=custom), name=name
    )


def _options(script: str) -> Iterator[tuple[int, str, str | None]]:
    """(line number, long name, value) of each option; None for a bare flag."""
    heard = True
    for number, line in enumerate(script.splitlines(), start=1):
        mark = _MARK.match(line)
        if mark and not heard:
            raise InvalidJobError(f"line {number}: {line!r} stands below a command, where sbatch does not hear it")
        if mark:
            yield from _parsed(number, mark[1] or "")
        elif line.strip() and not line.lstrip().startswith("#"):
            heard = False


def _parsed(line: int, text: str) -> Iterator[tuple[int, str, str | None]]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise InvalidJobError(f"line {line}: {text!r} cannot be read: {error}") from error
    while words:
        option, value = _named(line, words.pop(0))
        if value is None and option not in _FLAGS and option not in _MAYBE_VALUE:
            if not words:
                raise InvalidJobError(f"line {line}: --{option} needs a value")
            value = words.pop(0)
        yield line, option, value


def _named(line: int, word: str) -> tuple[str, str | None]:
    if word.startswith("--"):
        option, equals, value = word[2:].partition("=")
        return _known(line, option), value if equals else None
    if word.startswith("-") and word[1:2] in _SHORT:
        return _SHORT[word[1]], word[2:] or None
    raise InvalidJobError(f"line {line}: {word!r} is no option of sbatch")


def _known(line: int, option: str) -> str:
    known = OPTIONS | _FLAGS | set(_SHORT.values()) | set(_COUNTS) | set(_WORDS) | set(_CONVOYS_OWN) | {"mem"}
    if option not in known:
        raise InvalidJobError(f"line {line}: sbatch has no option --{option}{hint(option, sorted(known))}")
    return option


def _count(line: int, option: str, value: str | None) -> int:
    if value is None or not value.isdecimal() or int(value) < 1:
        raise InvalidJobError(f"line {line}: --{option}={value}: write a number of 1 or more")
    return int(value)


def _size_bytes(line: int, value: str | None) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", (value or "").upper())
    if not match or not int(match[1]):
        raise InvalidJobError(f"line {line}: --mem={value}: write a size such as 4G")
    return int(match[1]) * _UNIT_BYTES[match[2]]


def _duration(line: int, value: str | None) -> timedelta:
    """`minutes`, `m:s`, `h:m:s`, `days-h`, `days-h:m` or `days-h:m:s`, as sbatch(1) lists them."""
    days, dash, rest = (value or "").rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in (*parts, *([days] if dash else []))) or len(parts) > 3:
        raise InvalidJobError(f"line {line}: --time={value}: write minutes, hours:minutes:seconds or days-hours")
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return timedelta(days=int(days), hours=hours, minutes=minutes, seconds=seconds)
    if len(numbers) < 3:
        minutes, seconds = (*numbers, 0)[:2]
        return timedelta(minutes=minutes, seconds=seconds)
    return timedelta(hours=numbers[0], minutes=numbers[1], seconds=numbers[2])
