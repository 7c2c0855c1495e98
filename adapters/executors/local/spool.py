"""A job's folder `<workdir>/jobs/<token>`: it *is* the queue, and tells where the job stands.

Another process can therefore take over after this one was killed. `pid` is made exclusively, by whoever starts the
job or forbids its start; hence a job starts once, whatever happens to the engine.

    script     what it needs, what runs    exit      its exit code, once it ended
    pid        its process                 killed    why it was killed, in the words of SLURM
    log        what its shell had to say   outputs   what it left behind, hashed
                                           gpus      the GPUs that it was given
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from metadata.errors import MiddlewareError
from orchestrator.jobs import JobSpec, JobState, JobStatus, ProducedFile
from orchestrator.scripts import parse_outputs, render_job

ALREADY_STARTED = 75
"""Exit code of a script that found its job started before (sysexits' EX_TEMPFAIL)."""

_NEEDS = "# "
"""Begins the second line of a script, which holds what its job needs: a file less to make for every job."""

_LOG_TAIL_CHARACTERS = 2000
_NODE = os.uname().nodename
_PATIENCE = 100


@dataclass(kw_only=True)
class Job:
    """A job as the executor sees it."""

    folder: Path
    cpus: int
    gpus: int
    memory: int | None
    duration_s: float | None
    directory: PurePosixPath
    reports_outputs: bool
    pid: int | None = None
    pidfd: int | None = None
    gpu_ids: tuple[int, ...] = ()
    started_at: float | None = None
    killed: str = ""
    """Why it was killed, in the words of SLURM; empty when it was not."""
    kill_at: float | None = None
    """When SIGKILL follows SIGTERM."""
    descendants: frozenset[tuple[int, float]] = frozenset()
    """(pid, start) of every process below it when it got SIGTERM: some may have left its session."""
    status: JobStatus = field(default_factory=lambda: JobStatus(state=JobState.QUEUED, native_state="PENDING"))


def write_folder(jobs_folder: Path, spec: JobSpec) -> bool:
    """The job's folder appears whole, or not at all when the process is killed in between.

    False when it is there already, and stays as it is. The job's own directory is made as well: its script would have
    to start a program for that.
    """
    # Plain system calls on texts: this is done for every job, and is most of what a tiny one costs.
    folder = f"{jobs_folder}/{spec.token}"
    if os.path.isdir(folder):
        return False
    os.makedirs(spec.directory, exist_ok=True)
    draft = f"{jobs_folder}/.{spec.token}.{os.getpid()}-{threading.get_ident()}.new"
    os.mkdir(draft)
    try:
        _write(f"{draft}/script", _script(spec, folder))
        os.rename(draft, folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if os.path.isdir(folder):  # somebody else was quicker by an instant
            return False
        raise
    return True


def remove_drafts(jobs_folder: Path) -> None:
    """Drafts of processes that were killed while they wrote one are gone."""
    for draft in jobs_folder.glob(".*.new"):
        owner = draft.name.split(".")[-2].partition("-")[0]
        if not owner.isdigit() or not psutil.pid_exists(int(owner)):
            shutil.rmtree(draft, ignore_errors=True)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        rest = text.encode("utf-8", "surrogateescape")
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def new_job(jobs_folder: Path, spec: JobSpec) -> Job:
    """The job whose folder was just written."""
    return Job(folder=jobs_folder / spec.token, **{**_needs(spec), "directory": spec.directory})


def _needs(spec: JobSpec) -> dict[str, Any]:
    return {
        "cpus": spec.resources.cpu_cores,
        "gpus": spec.resources.gpu_cores,
        "memory": spec.resources.memory,
        "duration_s": spec.attributes.duration.total_seconds() if spec.attributes.duration else None,
        "directory": str(spec.directory),
        "reports_outputs": bool(spec.stage_out),
    }


def _script(spec: JobSpec, folder: str) -> str:
    """The job with its bookkeeping: `pid` is made exclusively before it, `exit` is written after it."""
    enter, done = shlex.quote(folder), shlex.quote(f"{folder}/exit")
    # The shell must outlive SIGTERM to write down how its child ended; a trap, unlike ignoring, is not inherited.
    head = f"#!/bin/sh\n{_NEEDS}{json.dumps(_needs(spec))}\ntrap : TERM\ncd -- {enter} || exit 74\nset -C\n"
    claim = f"{{ echo $$ >pid; }} 2>/dev/null || exit {ALREADY_STARTED}\nset +C\n"
    job = render_job(spec, outputs_path=PurePosixPath(folder, "outputs"))
    return f'{head}{claim}{job}convoy_job\nconvoy_code=$?\necho "$convoy_code" >{done}\nexit 0\n'


def read_job(folder: Path) -> Job | None:
    """The job in a folder; None when there is none."""
    try:
        with (folder / "script").open(encoding="utf-8", errors="surrogateescape") as script:
            needs = json.loads(list(islice(script, 2))[1].removeprefix(_NEEDS))
    except FileNotFoundError:
        return None
    return Job(folder=folder, **{**needs, "directory": PurePosixPath(needs["directory"])})


def read_mark(folder: Path, name: str) -> str | None:
    """What one of the folder's files says; None when it is not there."""
    try:
        return (folder / name).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None


def read_pid(folder: Path) -> int | None:
    """The process that started the job; None when none did, 0 when the job was forbidden to start.

    The file is there an instant before the number is in it; whoever comes in between waits for the number.
    """
    for _ in range(_PATIENCE):
        text = read_mark(folder, "pid")
        if text is None or text:
            return None if text is None else int(text)
        if (folder / "killed").exists():
            break
        time.sleep(0.01)
    return 0


def running_tokens(jobs_folder: Path) -> list[str]:
    """The jobs that were started and have not ended, as far as their folders tell."""
    if not jobs_folder.is_dir():
        return []
    folders = [folder for folder in jobs_folder.iterdir() if not folder.name.startswith(".")]
    return [folder.name for folder in folders if (folder / "pid").exists() and not (folder / "exit").exists()]


def forbid(folder: Path) -> bool:
    """True when the job can never start any more: its pid file is there, and names no process."""
    try:
        with (folder / "pid").open("x"):
            (folder / "killed").write_text("CANCELLED")
    except FileExistsError:
        return False
    return True


def settled(job: Job, *, wait_status: int | None, now: float) -> JobStatus:
    """How a job that has ended ended. `wait_status` is None when only its folder can tell."""
    text = read_mark(job.folder, "exit")
    code = int(text) if text else None
    state, native, message = _verdict(code, job.killed, wait_status)
    if state is not JobState.COMPLETED:
        message = message or (read_mark(job.folder, "log") or "")[-_LOG_TAIL_CHARACTERS:]
    outputs: tuple[ProducedFile, ...] = ()
    if state is JobState.COMPLETED and job.reports_outputs:
        try:
            outputs = parse_outputs(_manifest(job.folder), job.directory)
        except (MiddlewareError, UnicodeDecodeError) as error:
            state, native, message = JobState.FAILED, "FAILED", f"what it left cannot be listed: {error}"
    return JobStatus(
        state=state,
        native_state=native,
        exit_code=code,
        message=message,
        node=_NODE,
        started_at=job.started_at,
        # A file system's clock may be some milliseconds behind: no job ends before it began.
        ended_at=max((job.folder / "exit").stat().st_mtime, job.started_at or 0.0) if text else now,
        interrupted=native == "NODE_FAIL" and (job.started_at or now) < psutil.boot_time(),
        outputs=outputs,
    )


def _manifest(folder: Path) -> str:
    """The job's list of outputs. Names that are no UTF-8 are refused: they would come back as other names."""
    try:
        return (folder / "outputs").read_bytes().decode()
    except FileNotFoundError:
        return ""


_WHY_KILLED = {"TIMEOUT": "it ran longer than its time", "OUT_OF_MEMORY": "it took more than its memory"}


def _verdict(code: int | None, killed: str, wait_status: int | None) -> tuple[JobState, str, str]:
    """State, native word and message of a job that ended."""
    # A program may end in good order when it is told to; it did not do its work all the same.
    if killed == "CANCELLED":
        return JobState.CANCELED, killed, ""
    if killed:
        return JobState.FAILED, killed, _WHY_KILLED[killed]
    if code == 0:
        return JobState.COMPLETED, "COMPLETED", ""
    if code is not None:
        return JobState.FAILED, "FAILED", ""
    if wait_status is not None and os.WIFSIGNALED(wait_status):
        name = signal.Signals(os.WTERMSIG(wait_status)).name
        return JobState.FAILED, "KILLED", f"its shell was killed by {name}"
    return (
        JobState.FAILED,
        "NODE_FAIL",
        "it vanished without an exit code: the machine went down, its disk is full, or somebody killed it",
    )
