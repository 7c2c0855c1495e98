"""Slurm, 22.05 to 24.11 as recorded, later ones as documented."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath

from adapters.schedulers import _body
from adapters.schedulers._names import MAX_NAME, parse_name, render_name
from adapters.schedulers.slurm import directives, documents, partitions, refusals, text, usage
from adapters.schedulers.slurm.arrays import expand, packed, whole_jobs
from adapters.schedulers.slurm.rows import Row, cells, statuses
from adapters.schedulers.slurm.script import render
from metadata.errors import SiteError, SiteUnavailableError
from orchestrator.jobs import JobSpec, JobStatus, NativeId, Token
from orchestrator.ports import Argv, CommandResult, JobUsage, Partition, Scheduler, Wishes
from orchestrator.receipts import parse_receipt

# Times as seconds since the epoch: as text they carry no zone. And array expressions that are not cut to 64 characters.
_ENVIRONMENT: Argv = ("env", "SLURM_TIME_FORMAT=%s", "SLURM_BITSTR_LEN=0")

_SUBMITTED = re.compile(r"^(?:Submitted batch job )?(\d+)(?:;\S+)?(?: on cluster \S+)?\s*$", re.MULTILINE)
_VERSION = re.compile(r"\b(\d{2})\.(\d{2})\b")


class SlurmScheduler:
    """Slurm's language.

    Args:
        version: of the site's Slurm, year and month; `for_version` finds it out.
        json: the questions asked in JSON, of "squeue", "scontrol", "sacct" and "accounting"; by default what suits
            the version. What is asked often stays text: a row of squeue has 80 bytes, the same job in JSON 4 kB.
        array_limit: elements of an array, one less than the site's MaxArraySize.
    """

    directive = "#SBATCH"

    def __init__(
        self, *, version: tuple[int, int] = (22, 5), json: frozenset[str] | None = None, array_limit: int = 1000
    ) -> None:
        self.version = version
        self.array_limit = array_limit
        # In 22.05 squeue --json ignores -j, sacct calls every job "allocation", and scontrol has no --json.
        self.json = json if json is not None else frozenset({"scontrol", "sacct"} if version >= (23, 11) else ())

    def version_command(self) -> Argv:
        """The question for the version."""
        return ("sbatch", "--version")

    def for_version(self, result: CommandResult) -> Scheduler:
        """Slurm as the site speaks it."""
        match = _VERSION.search(result.stdout)
        if result.exit_code or match is None:
            raise refusals.failure(result)
        return SlurmScheduler(version=(int(match[1]), int(match[2])), array_limit=self.array_limit)

    def render_script(self, spec: JobSpec, *, receipts: PurePosixPath) -> str:
        """The script of one job."""
        return render([spec], receipts=receipts)

    def read_directives(self, script: str) -> Wishes:
        """What the script's `#SBATCH` lines ask for."""
        return directives.read(script)

    def group(self, specs: Sequence[JobSpec]) -> tuple[tuple[JobSpec, ...], ...]:
        """Like jobs together, as many as an array may have and its name can tell."""
        return tuple(part for alike in _body.split_alike(specs) for part in self._parts(alike))

    def _parts(self, specs: Sequence[JobSpec]) -> Iterator[tuple[JobSpec, ...]]:
        size = min(len(specs), self.array_limit)
        while size > 1 and len(render_name([spec.token for spec in specs[:size]])) > MAX_NAME:
            size //= 2
        if specs:
            yield tuple(specs[:size])
            yield from self._parts(specs[size:])

    def render_array(self, specs: Sequence[JobSpec], *, receipts: PurePosixPath, throttle: int | None = None) -> str:
        """The script of a group."""
        return render(specs, receipts=receipts, throttle=throttle)

    def array_ids(self, native_id: NativeId, count: int) -> tuple[NativeId, ...]:
        """`12_0`, `12_1`...; a group of one is no array."""
        return tuple(NativeId(f"{native_id}_{index}") for index in range(count)) if count > 1 else (native_id,)

    def submit_command(self, script_path: PurePosixPath) -> Argv:
        """`sbatch`, which answers with the bare id."""
        return ("sbatch", "--parsable", str(script_path))

    def parse_submit(self, result: CommandResult) -> NativeId:
        """The id, wherever the site's own plug-ins chat around it."""
        if result.exit_code:
            raise refusals.refusal(result)
        found = _SUBMITTED.findall(result.stdout)
        if not found:
            message = f"sbatch succeeded without naming a job: {refusals.words_of(result)}"
            raise SiteUnavailableError(message, argv=result.argv, exit_code=result.exit_code)
        return NativeId(found[-1])

    def status_command(self, ids: Sequence[NativeId]) -> Argv:
        """`squeue` with the jobs that ended lately; Slurm keeps them MinJobAge, five minutes if not set otherwise."""
        jobs = ("-t", "all", "-j", whole_jobs(ids))
        if "squeue" in self.json:
            return ("squeue", "--json", *jobs)
        # A width is needed, or columns are cut at 20 characters; a bar in its place means as wide as it must be.
        return (*_ENVIRONMENT, "squeue", "-h", "-r", *jobs, "-O", ",".join(f"{c}:|" for c in text.QUEUE_COLUMNS))

    def follow_up_commands(self, ids: Sequence[NativeId]) -> tuple[Argv, ...]:
        """`scontrol`, which takes one job or array at a time, and `sacct`, which remembers for months."""
        jobs = whole_jobs(ids)
        return (*(() if "," in jobs else (self._details(jobs),)), self._ledger(jobs))

    def _details(self, job: str) -> Argv:
        if "scontrol" in self.json:
            return ("scontrol", "show", "job", "--json", job)
        return (*_ENVIRONMENT, "scontrol", "-o", "show", "job", job)

    def _ledger(self, jobs: str) -> Argv:
        if "sacct" in self.json:
            return ("sacct", "-X", "--json", "-j", jobs)
        return (*_ENVIRONMENT, "sacct", "-X", "-n", "-P", "-j", jobs, "-o", ",".join(text.LEDGER_COLUMNS))

    def parse_status(self, result: CommandResult) -> Mapping[NativeId, JobStatus]:
        """The answer of squeue, scontrol or sacct; which one, its command says."""
        return statuses(self._rows(result)) if _answered(result) else {}

    def _rows(self, result: CommandResult) -> Iterator[Row]:
        tool = _tool(result.argv)
        by_tool = {
            "squeue": (text.parse_queue, documents.parse_queue),
            "scontrol": (text.parse_details, documents.parse_queue),
            "sacct": (text.parse_ledger, documents.parse_ledger),
        }
        return by_tool[tool]["--json" in result.argv](result.stdout)

    def cancel_command(self, ids: Sequence[NativeId]) -> Argv:
        """`scancel` for all at once.

        An element of an array that has not begun leaves no trace anywhere: who cancelled it knows, Slurm does not.
        """
        return ("scancel", *packed(ids))

    def parse_cancel(self, result: CommandResult) -> None:
        """Raises when the controller was not reached, or refused for a job that lives."""
        if refusals.unreachable(result) or (result.exit_code and not refusals.nothing_known(result)):
            raise refusals.failure(result)

    def search_commands(self, *, since: timedelta) -> tuple[Argv, ...]:
        """`squeue` for what is there, `sacct` for what is gone. Not by --name: an array is named for all its tokens."""
        start = f"now-{max(1, int(since.total_seconds()))}seconds"
        return (
            ("squeue", "-h", "-r", "--me", "-t", "all", "-O", "JobArrayID:|,Name:|"),
            ("env", "SLURM_BITSTR_LEN=0", "sacct", "-X", "-n", "-P", "-S", start, "-o", "JobID,JobName"),
        )

    def parse_search(self, result: CommandResult) -> Mapping[Token, NativeId]:
        """Jobs by token. A token that two jobs carry is the later one's: numbers only grow."""
        if not _answered(result):
            return {}
        found: dict[Token, NativeId] = {}
        for line in result.stdout.splitlines():
            row = cells(line.removesuffix("|"), columns=("job", "name"))
            if row and row["job"][:1].isdigit():
                found |= _tokens(row["job"], row["name"])
        return found

    def accounting_command(self, ids: Sequence[NativeId]) -> Argv:
        """`sacct` with the steps, which alone know the memory."""
        jobs = whole_jobs(ids)
        if "accounting" in self.json:
            return ("sacct", "--json", "-j", jobs)
        return (*_ENVIRONMENT, "sacct", "-n", "-P", "-j", jobs, "-o", ",".join(usage.USAGE_COLUMNS))

    def parse_accounting(self, result: CommandResult) -> Mapping[NativeId, JobUsage]:
        """What the jobs used."""
        if not _answered(result):
            return {}
        return (usage.parse_json if "--json" in result.argv else usage.parse_text)(result.stdout)

    def partitions_command(self) -> Argv:
        """`sinfo`, which shows what this user may use."""
        return partitions.COMMAND

    def parse_partitions(self, result: CommandResult) -> Mapping[str, Partition]:
        """The partitions by name."""
        if result.exit_code:
            raise refusals.failure(result)
        return partitions.parse_partitions(result.stdout)

    def parse_receipt(self, text: str) -> JobStatus:
        """How a job ended, by its own account."""
        return parse_receipt(text)


def _answered(result: CommandResult) -> bool:
    """False when the tool knows none of the jobs. Raises when it could not ask."""
    if result.exit_code == 0:
        return True
    if refusals.nothing_known(result) and not refusals.unreachable(result):
        return False
    raise refusals.failure(result)


def _tool(argv: Argv) -> str:
    for word in argv:
        if word in {"squeue", "scontrol", "sacct"}:
            return word
    raise SiteError(f"this is no question about jobs: {' '.join(argv)}")


def _tokens(job: str, name: str) -> dict[Token, NativeId]:
    tokens = parse_name(name)
    if "_" not in job:
        return {tokens[0]: NativeId(job)} if len(tokens) == 1 else {}
    elements = ((int(element.partition("_")[2]), element) for element in expand(job))
    return {tokens[index]: element for index, element in elements if index < len(tokens)}


ADAPTER: type[Scheduler] = SlurmScheduler
