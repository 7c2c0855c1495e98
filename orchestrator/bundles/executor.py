"""Lets short like jobs share the jobs of another executor."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from metadata.errors import MiddlewareError, NotFoundError, SiteError, TransientError
from orchestrator.bundles.members import (
    MOST_MEMBERS,
    Bundle,
    bundles_and_others,
    is_member,
    is_worker_of,
    member_id,
    members_by_bundle,
    parse_spec,
    worker,
    worker_token,
    workers,
)
from orchestrator.bundles.records import (
    Record,
    find_command,
    find_input,
    parse_records,
    read_command,
    read_input,
    render_workers,
)
from orchestrator.bundles.verdicts import LOST, is_stray, needs_workers, verdict
from orchestrator.bundles.work import WORKER_LINE, render_work
from orchestrator.jobs import JobSpec, JobState, JobStatus, NativeId, Token
from orchestrator.ports import Argv, CommandRunner, JobExecutor, SiteSettings, SupportsThrottle

_log = logging.getLogger(__name__)

_ASK_EVERY_S = 30.0
"""The scheduler is asked about workers so often at least, even while receipts arrive without end."""

_MISSED_LIMIT = 3
"""Answers of the scheduler without a worker before it is taken for ended."""

_REST_S = 10.0
"""Until a bundle is looked after again that could not be, when nobody says how long that takes."""

_COMMAND_S = 60.0
_MARK = 'mkdir -p -- "$1" && cd -- "$1" && shift && for name; do : >"$name"; done'
_RELEASE = 'cd -- "$1" && shift && rm -f -- "$@"'


@dataclass(kw_only=True)
class _Watch:
    """What was seen of a bundle so far. All of it can be seen again."""

    ended: dict[NativeId, JobStatus] = field(default_factory=dict)
    """Workers that the scheduler said had ended, and how."""
    missed: dict[NativeId, int] = field(default_factory=dict)
    """Answers that did not name a worker."""
    asked_at: float = field(default_factory=time.monotonic)
    seen: set[tuple[str, int]] = field(default_factory=set)
    """Claims and receipts."""
    rests_until: float = 0.0
    """Until then its workers are left as they are, in time.monotonic()'s seconds: the site could not change them."""


class BundlingExecutor:
    """`JobExecutor` over another one and the site's files. Long jobs and lone ones pass straight through."""

    def __init__(self, settings: SiteSettings, jobs: JobExecutor, runner: CommandRunner) -> None:
        self._root = settings.workdir / "bundles"
        self._jobs = jobs
        self._runner = runner
        self._watches: dict[str, _Watch] = {}

    @property
    def throttles(self) -> bool:
        """Each worker is at one member at a time, and they are an array."""
        return isinstance(self._jobs, SupportsThrottle) and self._jobs.throttles

    # -- the port

    def submit(self, specs: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        """Short like jobs become members of bundles. After an error the caller must `find` before it submits again."""
        bundles, others = bundles_and_others(specs)
        sent: dict[Token, NativeId] = {}
        for bundle in bundles:
            sent.update(self._submit_bundle(bundle))
        if others:
            sent.update(self._jobs.submit(others))
        return sent

    def find(self, tokens: Sequence[Token]) -> Mapping[Token, NativeId]:
        """The jobs for these tokens. A member is there when a worker of its bundle is, or was."""
        mark = secrets.token_hex(12)
        records = parse_records(self._ask(find_command(self._root, mark), stdin=find_input(tokens)), mark)
        unsure = [
            worker_token(record.tokens[0], name, number)
            for name, record in records.items()
            if record.tokens and not record.size
            for number in range(len(record.tokens))
        ]
        found = self._jobs.find([*tokens, *unsure])
        members: dict[Token, NativeId] = {}
        for name, record in records.items():
            there = [native_id for token, native_id in found.items() if is_worker_of(name, token)]
            if not record.size and (there or record.workers):
                self._write_workers(name, len(record.tokens), [*record.workers, *there])
            if there or record.workers:
                members |= {token: member_id(name, number) for number, token in enumerate(record.tokens)}
        return {token: native_id for token, native_id in {**found, **members}.items() if token in set(tokens)}

    def status(self, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
        """One reading of the site's files for all members; the scheduler is asked only when that brings no news."""
        others = [native_id for native_id in ids if not is_member(native_id)]
        found = dict(self._jobs.status(others)) if others else {}
        wanted = members_by_bundle(ids)
        for name, record in self._read(wanted).items():
            watch = self._watches.setdefault(name, _Watch())
            ended = dict(watch.ended)
            if _is_quiet(watch, record):
                self._ask_about_workers(name, watch, record)
            given_up = self._tend(name, watch, record, wanted[name], ended)
            found |= {
                member_id(name, number): given_up.get(number) or verdict(record, number, ended)
                for number in wanted[name]
            }
        return found

    def cancel(self, ids: Sequence[NativeId]) -> None:
        """Members that wait are taken by nobody any more; the workers of those that run are told to end."""
        doomed = [native_id for native_id in ids if not is_member(native_id)]
        wanted = members_by_bundle(ids)
        for name, numbers in wanted.items():
            self._mark(name, "canceled", map(str, numbers))
        for name, record in self._read(dict.fromkeys(wanted, range(MOST_MEMBERS))).items():
            ended = self._watches.setdefault(name, _Watch()).ended
            doomed += [native_id for native_id in record.doomed(wanted[name]) if native_id not in ended]
        if doomed:
            self._jobs.cancel(doomed)

    def close(self) -> None:
        """Lets go of the connection; jobs go on."""
        self._jobs.close()

    # -- members and workers

    def _submit_bundle(self, bundle: Bundle) -> dict[Token, NativeId]:
        folder = self._root / bundle.name
        self._runner.put_text(folder / "work.sh", render_work(bundle, folder))
        sent = self._jobs.submit(workers(worker(bundle.specs[0], folder), range(bundle.worker_count)))
        if not sent:
            return {}
        # Only now do members have ids: whoever knows one finds its workers here.
        self._write_workers(bundle.name, len(bundle.specs), sent.values())
        return {spec.token: member_id(bundle.name, number) for number, spec in enumerate(bundle.specs)}

    def _ask_about_workers(self, name: str, watch: _Watch, record: Record) -> None:
        watch.asked_at = time.monotonic()
        over = (record.retired - frozenset(record.claims.values())) | watch.ended.keys()
        living = [native_id for native_id in record.workers if native_id not in over]
        answer = self._jobs.status(living) if living else {}
        for native_id in living:
            status = answer.get(native_id)
            # After a crash a scheduler may give a number a second time.
            if status is None or not (status.token is None or is_worker_of(name, status.token)):
                watch.missed[native_id] = watch.missed.get(native_id, 0) + 1
                status = LOST if watch.missed[native_id] >= _MISSED_LIMIT else None
            else:
                watch.missed.pop(native_id, None)
            if status is not None and status.state.final:
                watch.ended[native_id] = status

    def _tend(
        self, name: str, watch: _Watch, record: Record, numbers: Sequence[int], ended: Mapping[NativeId, JobStatus]
    ) -> Mapping[int, JobStatus]:
        """Workers with nothing left to do are taken back, and new ones come where some are needed.

        Returns the members that nobody will carry out. A site that cannot do it now is asked later: what is known of
        members is told all the same.
        """
        if time.monotonic() < watch.rests_until:
            return {}
        try:
            self._take_back(name, record, ended)
            self._release(name, [number for number in numbers if is_stray(record, number, ended)])
            waiting = [number for number in numbers if needs_workers(record, number, ended)]
            refusal = self._add_workers(name, record, len(waiting)) if waiting else None
        except MiddlewareError as error:
            rest_s = error.retry_after_s if isinstance(error, TransientError) else _REST_S
            watch.rests_until = time.monotonic() + rest_s
            _log.info("the bundle %s is looked after in %.0f s again: %s", name, rest_s, error)
            return {}
        return dict.fromkeys(waiting, refusal) if refusal else {}

    def _take_back(self, name: str, record: Record, ended: Mapping[NativeId, JobStatus]) -> None:
        spare = [native_id for native_id in record.waiting if native_id not in ended] if record.all_taken else []
        if spare:
            self._jobs.cancel(spare)
            self._mark(name, "retired", spare)

    def _release(self, name: str, strays: Sequence[int]) -> None:
        if strays:
            self._ask(("/bin/sh", "-c", _RELEASE, "sh", str(self._root / name / "claims"), *map(str, strays)))

    def _add_workers(self, name: str, record: Record, count: int) -> JobStatus | None:
        """More are submitted, or those of whom nobody knows yet are found: an earlier answer may have got lost.

        Returns what becomes of members for which there can be none.
        """
        first = self._first_worker(name)
        if first is None:
            return LOST
        specs = workers(first, range(len(record.workers) + count))
        more = self._strangers(specs, record)
        if not more:
            try:
                more = list(self._jobs.submit(specs[-count:]).values())
            except TransientError:
                raise
            except MiddlewareError as error:
                more = self._strangers(specs, record)  # a part of them may have been accepted
                if not more:
                    return JobStatus(state=JobState.FAILED, native_state="REFUSED", message=error.message)
        self._write_workers(name, record.size, [*record.workers, *more])
        return None

    def _first_worker(self, name: str) -> JobSpec | None:
        """The worker that stands at the head of a bundle's script. None when the site lost what was written there."""
        try:
            line = self._runner.get_text(self._root / name / "work.sh").partition("\n")[0]
            return parse_spec(line.removeprefix(WORKER_LINE))
        except (NotFoundError, ValueError):
            return None

    def _strangers(self, specs: Sequence[JobSpec], record: Record) -> list[NativeId]:
        """Workers that the scheduler has and the bundle's folder does not name."""
        there = self._jobs.find([spec.token for spec in specs]).values()
        return [native_id for native_id in there if native_id not in record.workers]

    # -- the site's files

    def _read(self, wanted: Mapping[str, Sequence[int]]) -> Mapping[str, Record]:
        if not wanted:
            return {}
        mark = secrets.token_hex(12)
        return parse_records(self._ask(read_command(self._root, mark), stdin=read_input(wanted)), mark)

    def _mark(self, name: str, part: str, marks: Iterable[str]) -> None:
        self._ask(("/bin/sh", "-c", _MARK, "sh", str(self._root / name / part), *marks))

    def _write_workers(self, name: str, size: int, ids: Iterable[NativeId]) -> None:
        self._runner.put_text(self._root / name / "workers", render_workers(size, ids))

    def _ask(self, argv: Argv, *, stdin: str = "") -> str:
        result = self._runner.run(argv, stdin=stdin, timeout_s=_COMMAND_S)
        if result.exit_code:
            raise SiteError(f"the folders of bundles are out of order: {result.stderr.strip()}", argv=argv)
        return result.stdout


def _is_quiet(watch: _Watch, record: Record) -> bool:
    """Whether the files tell of nothing new, or the scheduler was not asked for long."""
    found = {("claim", number) for number in record.claims} | {("receipt", number) for number in record.receipts}
    news = not found <= watch.seen
    watch.seen |= found
    return not news or time.monotonic() - watch.asked_at >= _ASK_EVERY_S
