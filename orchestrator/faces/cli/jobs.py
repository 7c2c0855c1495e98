"""Scripts and commands outside any run: job submit, ls, show, logs, abort, resume, rm, exec."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metadata.errors import InvalidInputError
from orchestrator import operations, quantities
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_pairs, parse_size, parse_wait
from orchestrator.faces.cli.verbs import RUNS, flag, group, verb
from orchestrator.faces.exit_codes import BY_STATE
from orchestrator.jobs import JobAttributes, ResourceSpec

if TYPE_CHECKING:
    from orchestrator.operations import JobRecord

SiteName = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.", autocompletion=completions.sites)]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or its beginning.")]
Script = Annotated[str, typer.Argument(metavar="SCRIPT", help="A script's file, or - for standard input.")]
Tag = Annotated[str | None, typer.Option("--tag", help="A word to find it by.")]
Directory = Annotated[str | None, typer.Option("--directory", "-C", metavar="PATH", help="Where to run it, there.")]
Wait = Annotated[
    str | None,
    typer.Option("--wait", metavar="[=TIME]", help="Wait until it has ended: --wait, or --wait=30s at most."),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="The scheduler's own, such as slurm.qos=high; may come often."),
]
_LIMIT = Annotated[str, typer.Option("--timeout", metavar="TIME", help="It is killed after that.")]

_STDIN = "-"


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    jobs = group(app, "job", panel=RUNS, about="Hand scripts to sites outside any run, and run short commands there.")
    handed = [
        "convoy job submit agh train.sh --tag night --cpus 4 --time 2h",
        "echo hostname | convoy job submit agh -",
    ]
    verb(jobs, examples=handed)(submit)
    verb(jobs, examples=["convoy job ls --tag night"])(ls)
    verb(jobs, examples=["convoy job show job-0514-a3f2c11b --wait"])(show)
    verb(jobs, examples=["convoy job logs job-0514-a3f2c11b"])(logs)
    verb(jobs, examples=["convoy job abort job-0514-a3f2c11b"])(abort)
    verb(jobs, examples=["convoy job resume job-0514-a3f2c11b"])(resume)
    verb(jobs, examples=["convoy job rm job-0514-a3f2c11b"])(rm)
    verb(jobs, "exec", examples=["convoy job exec agh -- squeue --me"])(execute)


def submit(
    terminal: Terminal,
    *,
    site: SiteName,
    script: Script,
    tag: Tag = None,
    directory: Directory = None,
    cpus: Annotated[int | None, typer.Option("--cpus", min=1, help="Cores, of all processes.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="A node's, such as 8GiB.")] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="GPUs, of all processes.")] = 0,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Processes.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes.")] = 1,
    time: Annotated[str | None, typer.Option("--time", metavar="TIME", help="The longest it may run.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="The partition or queue.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Who pays.")] = None,
    option: Options = None,
    wait: Wait = None,
) -> None:
    """Hand a script to a site. It is submitted exactly once, whatever happens to the connection."""
    resources = _resources(cpus=cpus, memory=memory, gpus=gpus, processes=processes, nodes=nodes)
    attributes = _attributes(time=time, queue=queue, account=account, options=option or [])
    made = operations.submit_job(
        terminal.workspace, site, _read(script), directory=directory, tag=tag or "", resources=resources,
        attributes=attributes,
    )  # fmt: skip
    _answer(terminal, made, wait)


def ls(
    terminal: Terminal,
    *,
    site: Annotated[
        str | None, typer.Option("--site", help="Only jobs of this site.", autocompletion=completions.sites)
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only jobs with this tag.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    cached: Annotated[bool, flag("--cached", about="As last seen, without asking the sites.")] = False,
) -> None:
    """List your newest jobs, as their sites tell now."""
    found = operations.list_jobs(terminal.workspace, site=site, tag=tag, limit=limit, refresh=not cached)
    terminal.answer(found, tables.jobs_view)


def show(terminal: Terminal, *, job: JobId, wait: Wait = None) -> None:
    """Show one job: its state, and what it used once it has ended. With --wait, exits with 1 when it failed."""
    _answer(terminal, operations.job_status(terminal.workspace, job), wait)


def logs(
    terminal: Terminal,
    *,
    job: JobId,
    tail: Annotated[int | None, typer.Option("--tail", metavar="BYTES", min=1, help="Only the end of each.")] = None,
) -> None:
    """Print what a job wrote so far: its standard output, and its standard error."""
    output = operations.job_output(terminal.workspace, job, limit_bytes=tail)
    if terminal.as_json:
        terminal.write_json(output)
    else:
        sys.stdout.write(output.stdout)
        sys.stderr.write(output.stderr)


def abort(terminal: Terminal, job: JobId) -> None:
    """End a job."""
    terminal.answer(operations.abort_job(terminal.workspace, job), tables.job_view)


def resume(terminal: Terminal, job: JobId) -> None:
    """Finish a submission that broke off. The site is searched for the job first."""
    terminal.answer(operations.resume_job(terminal.workspace, job), tables.job_view)


def rm(terminal: Terminal, job: JobId) -> None:
    """Forget a job, and remove its script and output from the site. One that still runs is ended first."""
    terminal.answer(operations.delete_job(terminal.workspace, job), lambda name: f"{name} is forgotten")


def execute(
    terminal: Terminal,
    *,
    site: SiteName,
    argv: Annotated[list[str], typer.Argument(metavar="[--] COMMAND...", help="The command, its options after --.")],
    directory: Directory = None,
    timeout: _LIMIT = "10s",
) -> None:
    """Run a short command at a site, and exit with its exit code."""
    answer = operations.run_command(
        terminal.workspace, site, argv, timeout_s=_seconds("--timeout", timeout), directory=directory
    )
    if terminal.as_json:
        terminal.write_json(answer)
    else:
        sys.stdout.write(answer.stdout)
        sys.stderr.write(answer.stderr)
    raise typer.Exit(answer.exit_code)


def _answer(terminal: Terminal, record: JobRecord, wait: str | None) -> None:
    """The job, after it has ended where that is waited for."""
    wait_s = parse_wait(wait)
    shown = operations.wait_job(terminal.workspace, record.id, wait_s=wait_s) if wait_s else record
    terminal.answer(shown, tables.job_view)
    if shown.doubt:
        terminal.warn(f"{shown.id}: {shown.doubt}")
    if wait_s and shown.state in BY_STATE:
        raise typer.Exit(BY_STATE[shown.state].exit_code)


def _read(script: str) -> str:
    try:
        return sys.stdin.read() if script == _STDIN else Path(script).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read the script {script}: {error}") from error


def _resources(*, cpus: int | None, memory: str | None, gpus: int, processes: int, nodes: int) -> ResourceSpec:
    """Cores and GPUs are shared evenly by the processes."""
    cores = cpus or processes
    for name, amount in (("--cpus", cores), ("--gpus", gpus)):
        if amount % processes:
            raise InvalidInputError(f"{name} {amount}: that cannot be shared evenly by {processes} processes")
    return ResourceSpec(
        node_count=nodes,
        process_count=processes,
        cpu_cores_per_process=cores // processes,
        gpu_cores_per_process=gpus // processes,
        memory=parse_size(memory, option="--memory") if memory else None,
    )


def _attributes(*, time: str | None, queue: str | None, account: str | None, options: Sequence[str]) -> JobAttributes:
    return JobAttributes(
        duration=timedelta(seconds=_seconds("--time", time)) if time else None,
        queue_name=queue,
        account=account,
        custom_attributes=dict(parse_pairs(options, option="--option")),
    )


def _seconds(option: str, text: str) -> float:
    try:
        return float(quantities.parse_duration(text))
    except ValueError as error:
        raise InvalidInputError(f"{option}: {error}") from error
