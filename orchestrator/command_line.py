"""A batch system that is reached by commands: any scheduler's language, over any way to run a command."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath

from metadata.errors import MiddlewareError, SiteError, TransientError
from orchestrator.jobs import JobSpec, JobState, JobStatus, NativeId, Token
from orchestrator.permits import new_permit, withdraw_permits
from orchestrator.ports import (
    CommandResult,
    CommandRunner,
    Scheduler,
    SiteSettings,
    SupportsArrays,
    SupportsFollowUp,
    SupportsSearch,
    SupportsVersions,
)
from orchestrator.receipts import told

_SEARCHED = timedelta(days=8)
"""How far back a site is searched for a job whose submission was never answered."""

# One command for many small files: each is announced by a line that no file can hold by chance, with its number.
# Their folder is opened first: only then NFS asks its server whether it holds files that were not there before.
_READ_MANY = """\
mark=$1; shift; n=0; true 2>/dev/null <"${1%/*}"
for file; do n=$((n + 1)); [ ! -f "$file" ] || { echo "$mark $n"; cat -- "$file"; echo; }; done"""
_RECEIPTS_AT_ONCE = 200
_ASK_EVERY_S = 3.0
"""The scheduler is asked so often at least, even while receipts arrive without end."""
_COMMAND_S = 60.0
_SUBMIT_S = 120.0


class CommandLineExecutor:
    """`JobExecutor` for a site with a scheduler's commands."""

    def __init__(self, settings: SiteSettings, scheduler: Scheduler, runner: CommandRunner) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._runner = runner
        self._probed = not isinstance(scheduler, SupportsVersions)
        self._lock = threading.Lock()
        self._canceled: set[NativeId] = set()
        """Some schedulers forget a waiting array element at once when it is canceled."""
        self._asked_at = 0.0
        self._said: dict[NativeId, JobStatus] = {}
        """The scheduler's last word of each job that has not ended."""
        self._doubted: set[NativeId] = set()
        """Jobs that had a receipt before they were first asked about, and had not ended: it is an older job's."""

    @property
    def throttles(self) -> bool:
        """Job arrays do."""
        return isinstance(self._scheduler, SupportsArrays)

    # -- the port

    def submit(self, specs: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        """Like jobs become one array. After an error the caller must `find` before it submits again."""
        scheduler = self._speaking()
        groups = scheduler.group(specs) if isinstance(scheduler, SupportsArrays) else [(spec,) for spec in specs]
        sent: dict[Token, NativeId] = {}
        for group in groups:
            sent.update(self._submit_group(scheduler, group))
        return sent

    def find(self, tokens: Sequence[Token]) -> Mapping[Token, NativeId]:
        """The jobs that the scheduler has for these tokens; no earlier submission adds to them any more."""
        scheduler = self._speaking()
        if not isinstance(scheduler, SupportsSearch):
            return {}
        withdraw_permits(self._runner, self._scripts_folder)
        found: dict[Token, NativeId] = {}
        for command in scheduler.search_commands(since=_SEARCHED):
            found.update(scheduler.parse_search(self._run(command)))
        return {token: found[token] for token in tokens if token in found}

    def status(self, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
        """One question for all jobs; those that it does not name are looked for in longer memories.

        While receipts tell of jobs that ended well, the scheduler is asked every few seconds only.
        """
        scheduler = self._speaking()
        told = self._receipts(scheduler, ids) if len(ids) <= _RECEIPTS_AT_ONCE else {}
        done = {each: status for each, status in told.items() if self._ended_well(each, status)}
        if done and time.monotonic() - self._asked_at < _ASK_EVERY_S and self._said.keys() | done.keys() >= set(ids):
            return {native_id: done.get(native_id) or self._said[native_id] for native_id in ids}
        answer = self._asked(scheduler, ids)
        going_on = {native_id: status for native_id, status in answer.items() if not status.state.final}
        self._doubted |= (going_on.keys() & told.keys()) - self._said.keys()
        self._asked_at, self._said = time.monotonic(), going_on
        return answer

    def cancel(self, ids: Sequence[NativeId]) -> None:
        """The scheduler was told to end the jobs."""
        if ids:
            scheduler = self._speaking()
            scheduler.parse_cancel(self._run(scheduler.cancel_command(ids)))
            self._canceled.update(ids)

    def close(self) -> None:
        """Lets go of the connection; jobs go on."""
        self._runner.close()

    # -- talking

    def _run(self, argv: tuple[str, ...], *, timeout_s: float = _COMMAND_S) -> CommandResult:
        return self._runner.run(argv, timeout_s=timeout_s)

    def _speaking(self) -> Scheduler:
        """The scheduler in the version that the site runs, asked once."""
        with self._lock:
            if not self._probed and isinstance(self._scheduler, SupportsVersions):
                self._scheduler = self._scheduler.for_version(self._run(self._scheduler.version_command()))
                self._probed = True
        return self._scheduler

    def _asked(self, scheduler: Scheduler, ids: Sequence[NativeId]) -> dict[NativeId, JobStatus]:
        found = dict(scheduler.parse_status(self._run(scheduler.status_command(ids))))
        found = {native_id: found[native_id] for native_id in ids if native_id in found}
        for native_id, status in self._followed_up(scheduler, ids, found).items():
            found[native_id] = status
        absent = [native_id for native_id in ids if native_id not in found]
        over = [each for each, status in found.items() if status.state.final or status.state is JobState.UNKNOWN]
        receipts = self._receipts(scheduler, [*absent, *over])
        return self._with_receipts(ids, found, receipts)

    def _ended_well(self, native_id: NativeId, receipt: JobStatus) -> bool:
        """Of any other end the scheduler knows more than the job itself: who or what ended it."""
        return receipt.state is JobState.COMPLETED and native_id not in self._doubted

    def _submit_group(self, scheduler: Scheduler, group: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        permit = new_permit(self._scripts_folder, _short_name(group))
        receipts = self._receipts_folder
        if isinstance(scheduler, SupportsArrays) and len(group) > 1:
            script = scheduler.render_array(group, receipts=receipts, throttle=group[0].attributes.throttle)
            self._runner.put_text(permit.path, script)
        else:
            self._runner.put_text(permit.path, scheduler.render_script(group[0], receipts=receipts))
        command = scheduler.submit_command(permit.script)
        native_id = scheduler.parse_submit(permit.use(self._runner, command, timeout_s=_SUBMIT_S))
        if isinstance(scheduler, SupportsArrays) and len(group) > 1:
            ids = scheduler.array_ids(native_id, len(group))
            return {spec.token: each for spec, each in zip(group, ids, strict=True)}
        return {group[0].token: native_id}

    def _followed_up(
        self, scheduler: Scheduler, ids: Sequence[NativeId], found: Mapping[NativeId, JobStatus]
    ) -> dict[NativeId, JobStatus]:
        more: dict[NativeId, JobStatus] = {}
        if not isinstance(scheduler, SupportsFollowUp):
            return more
        absent = [native_id for native_id in ids if native_id not in found]
        for command in scheduler.follow_up_commands(absent) if absent else ():
            if all(native_id in more for native_id in absent):
                break
            try:
                answer = scheduler.parse_status(self._run(command))
            except TransientError:
                raise
            except MiddlewareError:
                continue  # one memory is out of order (no accounting, say); the next may still know
            for native_id in absent:
                # After a crash the accounts go on calling a job RUNNING that its scheduler has forgotten.
                if native_id in answer and native_id not in more and answer[native_id].state.final:
                    more[native_id] = answer[native_id]
        return more

    @property
    def _scripts_folder(self) -> PurePosixPath:
        return self._settings.workdir / "scripts"

    # -- receipts

    @property
    def _receipts_folder(self) -> PurePosixPath:
        return self._settings.workdir / "receipts"

    def _receipts(self, scheduler: Scheduler, ids: Sequence[NativeId]) -> dict[NativeId, JobStatus]:
        """What ended jobs wrote down themselves."""
        found: dict[NativeId, JobStatus] = {}
        for some in _pieces(ids):
            paths = [str(self._receipts_folder / native_id) for native_id in some]
            mark = secrets.token_hex(12)
            answer = self._run(("/bin/sh", "-c", _READ_MANY, "sh", mark, *paths))
            if answer.exit_code:
                raise SiteError(f"the receipts of jobs cannot be read: {answer.stderr.strip()}", argv=answer.argv)
            for number, body in _announced(answer.stdout, mark):
                found[some[number - 1]] = told(body, parse=scheduler.parse_receipt)
        return found

    def _with_receipts(
        self, ids: Sequence[NativeId], found: Mapping[NativeId, JobStatus], receipts: Mapping[NativeId, JobStatus]
    ) -> dict[NativeId, JobStatus]:
        """The scheduler's word goes before the job's own; only the job knows what it left behind."""
        whole: dict[NativeId, JobStatus] = {}
        for native_id in ids:
            status, receipt = found.get(native_id), receipts.get(native_id)
            if status is None and receipt is None:
                if native_id in self._canceled:
                    whole[native_id] = JobStatus(state=JobState.CANCELED, native_state="CANCELLED")
            elif receipt is None:
                whole[native_id] = status  # type: ignore[assignment]
            elif status is None or status.state is JobState.UNKNOWN:
                whole[native_id] = receipt
            else:
                whole[native_id] = _joined(status, receipt)
        return whole


def _joined(status: JobStatus, receipt: JobStatus) -> JobStatus:
    return replace(
        status,
        # Of an end that went well nobody but the job can say what came of it.
        state=receipt.state if status.state is JobState.COMPLETED else status.state,
        token=receipt.token,
        outputs=receipt.outputs,
        exit_code=status.exit_code if status.exit_code is not None else receipt.exit_code,
        message=status.message or receipt.message,
        started_at=status.started_at or receipt.started_at,
        ended_at=status.ended_at or receipt.ended_at,
        node=status.node or receipt.node,
    )


def _short_name(group: Sequence[JobSpec]) -> str:
    """One name for exactly these jobs, short enough for any file system."""
    tokens = "\n".join(spec.token for spec in group)
    return hashlib.sha256(tokens.encode()).hexdigest()[:24]


def _pieces(ids: Sequence[NativeId]) -> Iterator[Sequence[NativeId]]:
    return (ids[start : start + _RECEIPTS_AT_ONCE] for start in range(0, len(ids), _RECEIPTS_AT_ONCE))


def _announced(text: str, mark: str) -> Iterator[tuple[int, str]]:
    """The numbered files in an answer."""
    parts = re.split(rf"(?m)^{mark} (\d+)\n", text)
    for number, body in zip(parts[1::2], parts[2::2], strict=True):
        yield int(number), body.rstrip("\n") + "\n"
