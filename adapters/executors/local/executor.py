"""The embedded site's batch system: a queue on disk, a thread that starts and reaps, and limits that hold."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

import psutil

from adapters.executors.local.sessions import end_sessions, resident_bytes, runs_script, send_signal
from adapters.executors.local.spool import (
    ALREADY_STARTED,
    Job,
    forbid,
    new_job,
    read_job,
    read_mark,
    read_pid,
    remove_drafts,
    running_tokens,
    settled,
    write_folder,
)
from metadata.errors import InvalidJobError, SiteError
from orchestrator.jobs import JobSpec, JobState, JobStatus, NativeId, Token
from orchestrator.ports import SiteSettings

_LIMIT_CHECK_S = 1.0
_TIDY_EVERY_S = 0.02
"""Jobs that end within this time are settled together: what they left behind is looked for in one go."""

_GRACE_S = 3.0
_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")


class LocalExecutor:
    """Runs jobs as processes of this machine, as many at a time as the site has slots for."""

    def __init__(self, settings: SiteSettings) -> None:
        self._site = settings.name
        self._jobs_folder = Path(settings.workdir) / "jobs"
        self._environment = {**_kept_environment(), **settings.environment}
        self._cpus = settings.cpus or os.cpu_count() or 1
        self._memory = settings.memory or psutil.virtual_memory().total
        self._gpus = settings.gpus
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._queue: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._ended: dict[str, Job] = {}
        """Those whose process has ended and whose end is not told yet."""
        self._tidy_at = 0.0
        self._notify: Callable[[], None] = lambda: None
        self._selector = DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, EVENT_READ, None)
        self._closing = False
        self._looked = False
        """True once jobs of earlier processes were looked for."""
        self._thread: threading.Thread | None = None

    # -- the port

    def submit(self, specs: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        """All jobs are in the queue, on disk. Raises InvalidJobError for a job that could never start."""
        for spec in specs:
            self._check_fits(spec)
        with self._lock:
            self._take_over_running()
        try:
            self._jobs_folder.mkdir(parents=True, exist_ok=True)
            for spec in specs:
                self._enqueue(spec)
        except OSError as error:
            message = f"{self._site}: cannot write {self._jobs_folder}: {error.strerror}"
            raise SiteError(message, site=self._site) from error
        finally:
            self._wake()
        return {spec.token: NativeId(spec.token) for spec in specs}

    def _enqueue(self, spec: JobSpec) -> None:
        """The job is on disk, then in the queue; the first ones run while the others are written."""
        fresh = write_folder(self._jobs_folder, spec)
        with self._lock:
            if fresh:
                self._jobs[spec.token] = self._queue[spec.token] = new_job(self._jobs_folder, spec)
            else:
                self._known(spec.token)
        if len(self._running) < self._cpus:
            self._wake()

    def find(self, tokens: Sequence[Token]) -> Mapping[Token, NativeId]:
        """The jobs that have a folder: it appears whole or not at all."""
        return {token: NativeId(token) for token in tokens if (self._jobs_folder / token).is_dir()}

    def status(self, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
        """Where each job stands; one that never came here is absent."""
        with self._lock:
            self._take_over_running()
            found = {native_id: self._known(native_id) for native_id in ids}
        if not self.idle:
            self._wake()
        return {native_id: job.status for native_id, job in found.items() if job is not None}

    def cancel(self, ids: Sequence[NativeId]) -> None:
        """Queued jobs never start; the processes of running ones get SIGTERM and, after three seconds, SIGKILL."""
        with self._lock:
            for native_id in ids:
                job = self._known(native_id)
                if job is not None and not job.status.state.final:
                    self._cancel_one(native_id, job)
        self._wake()
        self._notify()

    def subscribe(self, notify: Callable[[], None]) -> None:
        """`notify` is called soon after a job started or ended."""
        self._notify = notify

    @property
    def idle(self) -> bool:
        """True when no job waits, runs or has yet to be told as ended."""
        return not (self._queue or self._running or self._ended)

    def close(self) -> None:
        """The dispatching thread ends. Jobs that run go on; queued ones wait for the next executor."""
        if self._closing:
            return
        self._closing = True
        if self._thread is not None:
            os.write(self._wake_write, b"x")
            self._thread.join()
            self._thread = None
            self._tidy()
        for descriptor in (*(job.pidfd for job in self._running.values()), self._wake_read, self._wake_write):
            if descriptor is not None:
                os.close(descriptor)
        self._selector.close()

    # -- what is known of jobs

    def _check_fits(self, spec: JobSpec) -> None:
        wanted = spec.resources
        limits = [
            ("CPU cores", wanted.cpu_cores, self._cpus),
            ("GPUs", wanted.gpu_cores, self._gpus),
            ("bytes of memory", wanted.memory or 0, self._memory),
            ("nodes", wanted.node_count, 1),
        ]
        for what, amount, limit in limits:
            if amount > limit:
                message = f"{self._site}: job {spec.token} wants {amount} {what}, the site has {limit}"
                raise InvalidJobError(message, site=self._site)

    def _take_over_running(self) -> None:
        """Jobs that an earlier process left running hold their slots, whoever asks about them."""
        if self._looked:
            return
        self._looked = True
        remove_drafts(self._jobs_folder)
        for token in running_tokens(self._jobs_folder):
            self._known(token)

    def _known(self, token: str) -> Job | None:
        """The job in memory; one that an earlier process left on disk is taken over first."""
        if token not in self._jobs:
            job = read_job(self._jobs_folder / token)
            if job is None:
                return None
            self._jobs[token] = job
            self._take_over(token, job)
        return self._jobs[token]

    def _take_over(self, token: str, job: Job) -> None:
        pid = read_pid(job.folder)
        if pid is None:
            self._queue[token] = job
            return
        job.killed = read_mark(job.folder, "killed") or ""
        job.gpu_ids = tuple(map(int, (read_mark(job.folder, "gpus") or "").split()))
        job.started_at = (job.folder / "pid").stat().st_mtime
        if read_mark(job.folder, "exit") or not self._adopted(token, job, pid):
            job.status = settled(job, wait_status=None, now=time.time())

    def _adopted(self, token: str, job: Job, pid: int) -> bool:
        """True when the job's process is alive; it is watched from now on."""
        if pid <= 0 or not runs_script(pid, str(job.folder / "script")):
            return False
        try:
            self._watch(token, job, pid)
        except ProcessLookupError:
            return False
        return True

    def _watch(self, token: str, job: Job, pid: int) -> None:
        job.pidfd = os.pidfd_open(pid)
        job.pid = pid
        job.status = JobStatus(state=JobState.ACTIVE, native_state="RUNNING", started_at=job.started_at)
        self._running[token] = job
        self._selector.register(job.pidfd, EVENT_READ, token)

    def _cancel_one(self, token: str, job: Job) -> None:
        if token in self._queue and forbid(job.folder):
            del self._queue[token]
            job.status = JobStatus(state=JobState.CANCELED, native_state="CANCELLED", ended_at=time.time())
        else:
            self._kill(job, "CANCELLED")

    # -- the dispatching thread

    def _wake(self) -> None:
        if self._closing:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._dispatch, name=f"local-{self._site}", daemon=True)
            self._thread.start()
        # A full pipe means that wake-ups wait already, and one more would say nothing new.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _dispatch(self) -> None:
        check_at = time.monotonic() + _LIMIT_CHECK_S
        while not self._closing:
            events = self._selector.select(timeout=self._patience())
            with self._lock:
                told = self._take([key.data for key, _ in events])
                if time.monotonic() >= check_at:
                    self._enforce_limits()
                    check_at = time.monotonic() + _LIMIT_CHECK_S
            if told:
                self._notify()

    def _take(self, tokens: Sequence[str | None]) -> bool:
        """Starts what fits now that these jobs ended; None stands for a wake-up. True when there is news to tell."""
        if None in tokens:
            os.read(self._wake_read, 1 << 16)
        scarce = [self._end(token) for token in tokens if token is not None]
        tidied = self._tidy() if any(scarce) or time.monotonic() >= self._tidy_at else False
        started = self._start_queued()
        if not self._running:
            tidied = self._tidy() or tidied
        return tidied or started > 0

    def _patience(self) -> float | None:
        """Seconds to wait for news; None for as long as it takes."""
        if self._ended:
            return _TIDY_EVERY_S
        return _LIMIT_CHECK_S if self._running else None

    def _end(self, token: str) -> bool:
        """The job's process has ended, and its cores are free. True when it held memory or GPUs, which may not be."""
        job = self._ended[token] = self._running.pop(token)
        if job.pidfd is not None:
            self._selector.unregister(job.pidfd)
            os.close(job.pidfd)
            job.pidfd = None
        return bool(job.gpus or job.memory)

    def _tidy(self) -> bool:
        """What ended jobs left in the background ends too, as under any batch system. True when some have ended."""
        if not self._ended:
            return False
        self._tidy_at = time.monotonic() + _TIDY_EVERY_S
        over, self._ended = self._ended, {}
        leaders = {job.pid for job in over.values() if job.pid}
        end_sessions(leaders, also={one for job in over.values() for one in job.descendants})
        for token, job in over.items():
            self._settle(token, job)
        return True

    def _start_queued(self) -> int:
        """Starts what fits, in order; a small job may pass a big one that waits for more room. Returns how many."""
        free_cpus = self._cpus - sum(job.cpus for job in self._running.values())
        free_memory = self._memory - sum(job.memory or 0 for job in self._running.values())
        taken = {gpu for job in self._running.values() for gpu in job.gpu_ids}
        free_gpus = [gpu for gpu in range(self._gpus) if gpu not in taken]
        chosen = []
        for token, job in self._queue.items():
            if free_cpus <= 0:
                break
            if job.cpus > free_cpus or (job.memory or 0) > free_memory or job.gpus > len(free_gpus):
                continue
            job.gpu_ids, free_gpus = tuple(free_gpus[: job.gpus]), free_gpus[job.gpus :]
            free_cpus -= job.cpus
            free_memory -= job.memory or 0
            chosen.append(token)
        for token in chosen:
            self._start(token, self._queue.pop(token))
        return len(chosen)

    def _start(self, token: str, job: Job) -> None:
        # Without GPUs of its own a job must see none: an empty list hides them all.
        gpus = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, job.gpu_ids))}
        try:
            if job.gpu_ids:
                (job.folder / "gpus").write_text(" ".join(map(str, job.gpu_ids)))
            job.started_at = time.time()
            pid = _spawn(str(job.folder), {**self._environment, **gpus})
        except OSError as error:
            job.status = JobStatus(
                state=JobState.FAILED, native_state="BOOT_FAIL", message=str(error), ended_at=time.time()
            )
            return
        self._watch(token, job, pid)

    def _settle(self, token: str, job: Job) -> None:
        wait_status: int | None = None
        # A job that an earlier process started could have been waited for by that one alone.
        with contextlib.suppress(ChildProcessError):
            wait_status = os.waitpid(job.pid or 0, 0)[1]
        job.pid = None
        if wait_status is not None and os.waitstatus_to_exitcode(wait_status) == ALREADY_STARTED:
            self._take_over(token, job)  # an earlier process had started this very job after all; that one counts
            return
        job.status = settled(job, wait_status=wait_status, now=time.time())

    # -- limits

    def _enforce_limits(self) -> None:
        """Kills jobs that ran too long or took too much memory, and those that did not heed SIGTERM."""
        now = time.time()
        resident = resident_bytes() if any(job.memory for job in self._running.values()) else {}
        for job in self._running.values():
            if job.kill_at is not None and now >= job.kill_at:
                send_signal(job.pid, signal.SIGKILL, also=job.descendants)
            elif job.duration_s is not None and now - (job.started_at or now) > job.duration_s:
                self._kill(job, "TIMEOUT")
            elif job.memory is not None and resident.get(job.pid or 0, 0) > job.memory:
                self._kill(job, "OUT_OF_MEMORY")

    def _kill(self, job: Job, reason: str) -> None:
        if (job.killed and job.kill_at is not None) or (job.folder / "exit").exists():
            return
        job.killed = reason
        (job.folder / "killed").write_text(reason)
        job.kill_at = time.time() + _GRACE_S
        job.descendants = send_signal(job.pid, signal.SIGTERM)


def _spawn(folder: str, environment: Mapping[str, str]) -> int:
    """Starts a job's script as the leader of a session of its own; its pid.

    `posix_spawn` takes half the time of `subprocess.Popen`, and this is done for every job.
    """
    log = (f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", f"{folder}/script"],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, *log),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # Python ignores these two, and what is ignored is inherited.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _kept_environment() -> dict[str, str]:
    """What a job may see of this process's environment: nothing that could be a secret.

    `python` means the interpreter that runs Convoy, so that use cases find their libraries.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path}
