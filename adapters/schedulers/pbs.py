"""OpenPBS and PBS Professional, 20 and later."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from adapters.schedulers import _body
from adapters.schedulers._names import parse_name, render_name
from metadata.errors import InvalidJobError, MiddlewareError, SiteError, SiteUnavailableError, TransientError
from orchestrator.jobs import JobSpec, JobState, JobStatus, NativeId, ResourceSpec, Token
from orchestrator.ports import Argv, CommandResult, JobUsage, Scheduler
from orchestrator.receipts import parse_receipt

FULL_QUEUE_RETRY_S = 60.0

_MAX_TOKENS_TEXT = 4000  # of one variable in the job's variable list
_MIB = 1024 * 1024

# qsub(1B): the options that neither Convoy nor JobSpec sets; "resources" adds to -l, "attributes" to -W.
_OPTIONS = {"attributes": "-W", "mail": "-m", "mail-users": "-M", "priority": "-p", "project": "-P", "resources": "-l"}

_SAFE = re.compile(r"[\w@%+=:,./~^\[\]-]+", re.ASCII)
_ID = re.compile(r"^(\d+(?:\[\])?\.[\w.-]+)\s*$", re.MULTILINE)
_ELEMENT = re.compile(r"(\d+)\[(\d+)\](.*)")

_STATES: dict[str, JobState] = {
    "B": JobState.ACTIVE,  # an array of which something runs
    "E": JobState.ACTIVE,  # exiting: how it ended is not told yet
    "H": JobState.QUEUED,
    "M": JobState.UNKNOWN,  # moved to another server, which has to be asked
    "Q": JobState.QUEUED,
    "R": JobState.ACTIVE,
    "S": JobState.ACTIVE,
    "T": JobState.QUEUED,
    "U": JobState.ACTIVE,
    "W": JobState.QUEUED,
}
_FINISHED = frozenset({"F", "X"})
_TERMINATED = "91"  # the substate of a job that somebody deleted

_UNREACHABLE = re.compile(
    r"cannot connect to|connection (refused|timed out|reset)|end of file|communication failure|no route to host"
    r"|server.*(not responding|shutting down)|batch protocol error|PBS dataservice",
    re.IGNORECASE,
)
_FULL = re.compile(r"would exceed.*limit|maximum number of jobs|too many jobs|server limit", re.IGNORECASE)
_WRONG = re.compile(
    r"unknown (queue|resource)|illegal (attribute|-|option)|invalid (account|option|argument|request)"
    r"|job violates queue|unknown reservation|resource.*(not available|exceed)|bad (uid|value)",
    re.IGNORECASE,
)
_UNKNOWN_JOB = re.compile(r"unknown job id|job has finished|request invalid for (finished|state)", re.IGNORECASE)


class PbsScheduler:
    """PBS's language.

    Args:
        array_limit: elements of an array, the server's max_array_size.
    """

    def __init__(self, *, array_limit: int = 10_000) -> None:
        self.array_limit = array_limit

    def render_script(self, spec: JobSpec, *, receipts: PurePosixPath) -> str:
        """The script of one job."""
        return _render([spec], receipts=receipts, throttle=None)

    def group(self, specs: Sequence[JobSpec]) -> tuple[tuple[JobSpec, ...], ...]:
        """Like jobs together, as many as an array may have and its variables can name."""
        return tuple(part for alike in _body.split_alike(specs) for part in self._parts(alike))

    def _parts(self, specs: Sequence[JobSpec]) -> Iterator[tuple[JobSpec, ...]]:
        size = min(len(specs), self.array_limit)
        while size > 1 and len(render_name([spec.token for spec in specs[:size]])) > _MAX_TOKENS_TEXT:
            size //= 2
        if specs:
            yield tuple(specs[:size])
            yield from self._parts(specs[size:])

    def render_array(self, specs: Sequence[JobSpec], *, receipts: PurePosixPath, throttle: int | None = None) -> str:
        """The script of a group."""
        return _render(specs, receipts=receipts, throttle=throttle)

    def array_ids(self, native_id: NativeId, count: int) -> tuple[NativeId, ...]:
        """`12[0].server`, `12[1].server`...; a group of one is no array."""
        number, _, server = native_id.partition("[]")
        return tuple(NativeId(f"{number}[{index}]{server}") for index in range(count)) if count > 1 else (native_id,)

    def submit_command(self, script_path: PurePosixPath) -> Argv:
        """`qsub`, which answers with the id."""
        return ("qsub", str(script_path))

    def parse_submit(self, result: CommandResult) -> NativeId:
        """The id, wherever the site's own hooks chat around it."""
        if result.exit_code:
            raise _refusal(result)
        found = _ID.findall(result.stdout)
        if not found:
            message = f"qsub succeeded without naming a job: {_words(result)}"
            raise SiteUnavailableError(message, argv=result.argv, exit_code=result.exit_code)
        return NativeId(found[-1])

    def status_command(self, ids: Sequence[NativeId]) -> Argv:
        """`qstat` with ended jobs (-x) and the elements of arrays (-t); UTC, because its times have no zone."""
        return ("env", "TZ=UTC0", "qstat", "-x", "-t", "-f", "-F", "json", *dict.fromkeys(map(_whole, ids)))

    def parse_status(self, result: CommandResult) -> Mapping[NativeId, JobStatus]:
        """The answer, without the lines of whole arrays."""
        return {NativeId(name): _status(job) for name, job in _jobs(result).items() if "[]" not in name}

    def cancel_command(self, ids: Sequence[NativeId]) -> Argv:
        """`qdel` for all at once."""
        return ("qdel", *ids)

    def parse_cancel(self, result: CommandResult) -> None:
        """Raises when the server was not reached, or refused for a job that lives."""
        _known(result)

    def search_commands(self, *, since: timedelta) -> tuple[Argv, ...]:
        """`qstat` for every job that the server still remembers; it cannot be asked by date."""
        del since
        return (("env", "TZ=UTC0", "qstat", "-x", "-f", "-F", "json"),)

    def parse_search(self, result: CommandResult) -> Mapping[Token, NativeId]:
        """Jobs by the tokens in their variable list: the name of a PBS job is too short for them."""
        found: dict[Token, NativeId] = {}
        for name, job in _jobs(result).items():
            tokens = parse_name(_variable(job, "CONVOY_TOKENS"))
            found |= dict(zip(tokens, self.array_ids(NativeId(name), len(tokens)), strict=True))
        found.pop(Token(""), None)
        return found

    def accounting_command(self, ids: Sequence[NativeId]) -> Argv:
        """The same question: PBS counts in its job records."""
        return self.status_command(ids)

    def parse_accounting(self, result: CommandResult) -> Mapping[NativeId, JobUsage]:
        """What the jobs used."""
        return {NativeId(name): _usage(job) for name, job in _jobs(result).items() if "[]" not in name}

    def parse_receipt(self, text: str) -> JobStatus:
        """How a job ended, by its own account."""
        return parse_receipt(text)


def _render(specs: Sequence[JobSpec], *, receipts: PurePosixPath, throttle: int | None) -> str:
    spec, array = specs[0], len(specs) > 1
    directives = list(_directives(spec))
    if array:
        directives.append(("-J", f"0-{len(specs) - 1}" + (f"%{throttle}" if throttle else "")))
    directives.append(("-v", f"CONVOY_TOKENS={render_name([spec.token for spec in specs])}"))
    body = _body.render_body(
        [_body.with_launcher(spec) for spec in specs],
        receipts=receipts,
        native_id='"$PBS_JOBID"',
        index='"$PBS_ARRAY_INDEX"' if array else "",
    )
    return (
        _body.interpreter(signals=False) + "".join(f"#PBS {flag} {_word(value)}\n" for flag, value in directives) + body
    )


def _directives(spec: JobSpec) -> Iterator[tuple[str, str]]:
    attributes = spec.attributes
    # The script itself opens the job's files, after it made their folders.
    yield from (("-N", "convoy"), ("-j", "oe"), ("-o", "/dev/null"))
    yield from (("-l", request) for request in _resources(spec.resources))
    if attributes.duration:
        yield "-l", f"walltime={math.ceil(attributes.duration.total_seconds())}"
    # A reservation of PBS is a queue.
    if queue := attributes.reservation_id or attributes.queue_name:
        yield "-q", queue
    if attributes.account:
        yield "-A", attributes.account
    for key, value in attributes.custom_attributes.items():
        prefix, _, option = key.partition(".")
        if prefix == "pbs":
            yield _flag(option), value


def _flag(option: str) -> str:
    if option not in _OPTIONS:
        raise InvalidJobError(f"custom attribute 'pbs.{option}': there is none{_body.hint(option, _OPTIONS)}")
    return _OPTIONS[option]


def _resources(resources: ResourceSpec) -> Iterator[str]:
    per_node = resources.processes_per_node or math.ceil(resources.process_count / resources.node_count)
    chunk = {
        "ncpus": per_node * resources.cpu_cores_per_process,
        "mpiprocs": per_node,
        "ngpus": per_node * resources.gpu_cores_per_process,
        "mem": f"{math.ceil(resources.memory / _MIB)}mb" if resources.memory else 0,
    }
    yield f"select={resources.node_count}:" + ":".join(f"{name}={count}" for name, count in chunk.items() if count)
    if resources.exclusive_node_use:
        yield "place=scatter:excl"


def _word(value: str) -> str:
    if not _SAFE.fullmatch(value):
        raise InvalidJobError(f"{value!r} cannot stand in a PBS directive: only letters, digits and @%+=:,./~^[]-_ can")
    return value


def _whole(native_id: NativeId) -> str:
    return _ELEMENT.sub(r"\1[]\3", native_id)


def _jobs(result: CommandResult) -> Mapping[str, Mapping[str, Any]]:
    _known(result)
    start = result.stdout.find("{")
    if start < 0:
        return {}
    try:
        jobs = json.loads(result.stdout[start:], strict=False).get("Jobs")
    except ValueError as error:
        raise SiteError(f"qstat's answer is no JSON: {result.stdout[:200]!r}", argv=result.argv) from error
    return jobs or {}


def _status(job: Mapping[str, Any]) -> JobStatus:
    word, code = str(job.get("job_state", "")), job.get("Exit_status")
    state = _finished(job) if word in _FINISHED else _STATES.get(word, JobState.UNKNOWN)
    return JobStatus(
        state=state,
        native_state=word,
        # 256 and more: a signal ended it. Below 0: PBS could not run it.
        exit_code=(code - 128 if code >= 256 else code) if state.final and isinstance(code, int) else None,
        message=str(job.get("comment", "")),
        started_at=_time(job.get("stime")),
        ended_at=_time(job.get("obittime") or job.get("mtime")) if state.final else None,
        node=str(job.get("exec_host", "")).partition("/")[0],
    )


def _finished(job: Mapping[str, Any]) -> JobState:
    if str(job.get("substate", "")) == _TERMINATED:
        return JobState.CANCELED
    code = job.get("Exit_status")
    if code is None:
        return JobState.UNKNOWN
    return JobState.FAILED if code else JobState.COMPLETED


def _usage(job: Mapping[str, Any]) -> JobUsage:
    asked, used = job.get("Resource_List") or {}, job.get("resources_used") or {}
    return JobUsage(
        submitted_at=_time(job.get("ctime")),
        started_at=_time(job.get("stime")),
        ended_at=_time(job.get("obittime")),
        elapsed=_duration(used.get("walltime")),
        time_limit=_duration(asked.get("walltime")),
        cpu_cores=asked.get("ncpus"),
        cpu_time=_duration(used.get("cput")),
        memory=_size(asked.get("mem")),
        memory_used=_size(used.get("mem")),
    )


def _time(text: str | None) -> float | None:
    return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp() if text else None


def _duration(text: str | None) -> timedelta | None:
    if not text:
        return None
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _size(text: str | None) -> int | None:
    match = re.fullmatch(r"(\d+)([kmgt]?)b", text or "")
    return int(match[1]) * 1024 ** " kmgt".index(match[2] or " ") if match else None


def _variable(job: Mapping[str, Any], name: str) -> str:
    # Written as an object by newer servers and as one string by older ones.
    variables = job.get("Variable_List") or {}
    if isinstance(variables, str):
        variables = dict(part.partition("=")[::2] for part in variables.split(","))
    return str(variables.get(name, ""))


def _words(result: CommandResult) -> str:
    lines = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()
    return "; ".join(re.sub(r"^q\w+: ", "", line).strip() for line in lines)


def _known(result: CommandResult) -> None:
    if result.exit_code and (_UNREACHABLE.search(result.stderr) or not _UNKNOWN_JOB.search(result.stderr)):
        raise _failure(result)


def _failure(result: CommandResult) -> MiddlewareError:
    kind = SiteUnavailableError if _UNREACHABLE.search(result.stderr) else SiteError
    return kind(f"PBS failed: {_words(result)}", argv=result.argv, exit_code=result.exit_code)


def _refusal(result: CommandResult) -> MiddlewareError:
    words, argv, code = _words(result), result.argv, result.exit_code
    if _FULL.search(result.stderr):
        message = f"the site takes no more jobs now: {words}"
        return TransientError(message, retry_after_s=FULL_QUEUE_RETRY_S, argv=argv, exit_code=code)
    if _WRONG.search(result.stderr) and not _UNREACHABLE.search(result.stderr):
        return InvalidJobError(f"qsub refused the job: {words}", argv=argv, exit_code=code)
    return _failure(result)


ADAPTER: type[Scheduler] = PbsScheduler
