"""Jobs outside any run: a script is handed to a site, and looked after until it ends."""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from metadata.errors import ConflictError, InvalidInputError, MiddlewareError, TransientError
from metadata.jobs import JobBook, Row
from orchestrator.jobs import JobAttributes, JobState, JobStatus, NativeId, ResourceSpec, Token
from orchestrator.operations.accounting import usage_of
from orchestrator.operations.job_records import JobRecord, account_of, record_of
from orchestrator.operations.job_scripts import check_script, new_row, spec_of, with_wishes
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import SupportsDirectives, SupportsNotification
from orchestrator.registry import OpenSite, open_scheduler, open_site

_CLAIM_S = 240.0
"""Longer than a submission can take: writing the script, and sbatch with its own time-out."""
_ON_ITS_WAY_S = 15.0
"""How long a submission that was interrupted may still take to arrive."""
_PATIENCE_S = 30.0
"""How long a submission is tried when the site does not answer."""
_START_PATIENCE_S = 1.0
_END_PATIENCE_S = 15.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
"""Between two looks at a job that somebody waits for."""
_TOLD_LATE_S = 86_400.0
"""Accounts that say nothing of a job for so long after its end never will."""

_Doubts = dict[str, str]
"""By job, why nothing is sure of it."""


@dataclass(frozen=True, kw_only=True)
class JobOutput:
    """What a job wrote so far."""

    job: str
    stdout: str
    stderr: str


# -- handing in


def submit_job(
    workspace: Workspace,
    site: str,
    script: str,
    *,
    directory: str | None = None,
    tag: str = "",
    resources: ResourceSpec | None = None,
    attributes: JobAttributes | None = None,
    owner: str | None = None,
) -> JobRecord:
    """The script is in the site's queue, once, and is known here by the record's id.

    The job is written down before the site is asked. A site that does not answer is searched for the job before it is
    asked again.

    Args:
        workspace: The home with its sites and database.
        site: Where to run.
        script: Its text; the first line may name an interpreter (`#!...`), else it is the shell's. Lines in which it
            tells the site's scheduler what it needs (`#SBATCH`) are heard; what is said here goes before them.
        directory: Where to run it, an absolute path at the site, made when missing; a folder of its own without it.
        tag: A word to find it by; without it, the name that the script gives itself.
        resources: What it needs; one core without it.
        attributes: Time, queue, account, and the scheduler's own options.
        owner: Who hands it in; this process's user without it.

    Raises:
        InvalidJobError: The script or its wishes cannot be carried out; nothing was handed in, nothing is kept.
        SiteError: The site refused the job; it is written down as failed.
        TransientError: The site did not answer in time. The job is written down, and `resume_job` goes on with it.
    """
    described = workspace.site(site)
    scheduler = open_scheduler(described.scheduler) if described.scheduler else None
    listener = scheduler if isinstance(scheduler, SupportsDirectives) else None
    check_script(script, directory, heard=listener.directive if listener else "")
    asked, how = resources or ResourceSpec(), attributes or JobAttributes()
    if listener:
        wishes = listener.read_directives(script)
        asked, how = with_wishes(wishes, asked, how)
        tag = tag or wishes.name
    row = new_row(
        site=site, workdir=described.workdir, script=script, directory=directory, tag=tag, resources=asked,
        attributes=how,
    )  # fmt: skip
    row |= {"owner": owner or _present_user(), "claimed_until": row["created_at"] + _CLAIM_S}
    with _opened(workspace, site) as opened:
        _book(workspace).add(**row)
        return _hand_over(_book(workspace), opened, row, in_doubt=False)


def resume_job(workspace: Workspace, job_id: str, *, owner: str | None = None) -> JobRecord:
    """A submission that broke off is finished: the site is searched for the job, and given it when it has none.

    A job that its site has already is left alone. Raises NotFoundError, ConflictError (it has ended), TransientError
    (another process may be submitting it at this moment, or the site does not answer) or what `submit_job` raises.
    """
    row = _row(workspace, job_id, owner)
    _refuse_ended(row)
    if row["native_id"]:
        return job_status(workspace, row["id"], owner=row["owner"])
    with _opened(workspace, row["site"]) as opened:
        _claim(_book(workspace), row)
        return _hand_over(_book(workspace), opened, row, in_doubt=True)


def _hand_over(book: JobBook, site: OpenSite, row: Row, *, in_doubt: bool) -> JobRecord:
    """The site has the job, once. Whoever calls has the claim on it; it is given up here."""
    job_id = row["id"]
    try:
        native_id = _accepted(site, row, in_doubt=in_doubt)
    except InvalidInputError:
        book.remove(job_id)
        raise
    except TransientError as error:
        _give_up_claim(book, job_id, error.retry_after_s, error.message)
        message = f"{error.message}. {job_id} is written down; go on with: convoy job resume {job_id}"
        raise TransientError(message, retry_after_s=error.retry_after_s, site=site.name) from error
    except MiddlewareError as error:
        book.change(job_id, state=str(JobState.FAILED), message=error.message, ended_at=time.time())
        raise
    except KeyboardInterrupt:
        _give_up_claim(book, job_id, _ON_ITS_WAY_S, "its submission was interrupted")
        raise
    _note_accepted(book, job_id, native_id)
    _let_start(site, native_id)
    doubts = _ask(book, site, [book.job(row["owner"], job_id)])
    return record_of(book.job(row["owner"], job_id), doubts)


def _give_up_claim(book: JobBook, job_id: str, after_s: float, reason: str) -> None:
    """What was sent may still arrive; for that long nobody shall take it for lost."""
    book.change(job_id, claimed_until=time.time() + min(after_s, _CLAIM_S), message=reason)


def _accepted(site: OpenSite, row: Row, *, in_doubt: bool) -> NativeId:
    """The site's name for the job. After any doubt it is searched for before it is submitted."""
    spec, deadline = spec_of(row), time.monotonic() + _PATIENCE_S
    while True:
        try:
            known = site.executor.find([spec.token]) if in_doubt else {}
            if spec.token not in known:
                site.storage.write(f"{row['folder']}/script", row["script"].encode("utf-8", "surrogateescape"))
                known = site.executor.submit([spec])
            return known[spec.token]
        except TransientError as error:
            if time.monotonic() + error.retry_after_s > deadline:
                raise
            in_doubt = True
            time.sleep(error.retry_after_s)


def _note_accepted(book: JobBook, job_id: str, native_id: NativeId) -> None:
    state, now = str(JobState.QUEUED), time.time()
    book.change(job_id, native_id=native_id, state=state, submitted_at=now, claimed_until=0.0, message="")


def _let_start(site: OpenSite, native_id: NativeId) -> None:
    """A site that lives in this process gets a moment to start the job before the process may end."""
    if isinstance(site.executor, SupportsNotification):
        changed = threading.Event()
        site.executor.subscribe(changed.set)
        status = site.executor.status([native_id]).get(native_id)
        if status is not None and status.state is JobState.QUEUED:
            changed.wait(_START_PATIENCE_S)


# -- looking


def list_jobs(
    workspace: Workspace,
    *,
    site: str | None = None,
    tag: str | None = None,
    limit: int = 50,
    refresh: bool = True,
    owner: str | None = None,
) -> list[JobRecord]:
    """The owner's newest jobs, as their sites tell now: one question a site. `doubt` says where one did not answer.

    Without `refresh` they are told as they were last seen. Raises NotFoundError for a site that is not known, nor was.
    """
    who, book = owner or _present_user(), _book(workspace)
    found = book.jobs(who, site=site, tag=tag, limit=limit)
    if site and not found:
        workspace.site(site)
    doubts = _refresh(workspace, found) if refresh else {}
    return [record_of(row, doubts) for row in book.jobs(who, site=site, tag=tag, limit=limit)]


def job_status(workspace: Workspace, job_id: str, *, owner: str | None = None) -> JobRecord:
    """One job as its site tells now, with its accounts once it has ended. `doubt` says when nothing was told.

    Raises NotFoundError, for another user's job too.
    """
    row = _row(workspace, job_id, owner)
    doubts = _refresh(workspace, [row])
    _count(workspace, _row(workspace, row["id"], row["owner"]))
    return record_of(_row(workspace, row["id"], row["owner"]), doubts)


def wait_job(workspace: Workspace, job_id: str, *, wait_s: float = float("inf"), owner: str | None = None) -> JobRecord:
    """The job has ended, or `wait_s` is over. A site that does not answer is asked again. Raises NotFoundError."""
    row = _row(workspace, job_id, owner)
    with _opened(workspace, row["site"]) as site:
        _watch_end(workspace, site, row, wait_s=wait_s)
    return job_status(workspace, row["id"], owner=row["owner"])


def job_output(
    workspace: Workspace, job_id: str, *, limit_bytes: int | None = None, owner: str | None = None
) -> JobOutput:
    """What the job wrote, or the last `limit_bytes` of each stream. Raises NotFoundError or SiteUnavailableError."""
    row = _row(workspace, job_id, owner)
    texts = {}
    with _opened(workspace, row["site"]) as site:
        for stream in ("stdout", "stderr"):
            path = f"{row['folder']}/{stream}.txt"
            there = site.storage.stat(path) is not None
            texts[stream] = site.storage.read(path, limit_bytes=limit_bytes).decode(errors="replace") if there else ""
    return JobOutput(job=row["id"], **texts)


def _refresh(workspace: Workspace, rows: Sequence[Row]) -> _Doubts:
    """Asks each site once about its jobs that have not ended; a site that fails leaves them as they were, in doubt."""
    doubts: _Doubts = {}
    by_site: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if not JobState(row["state"]).final:
            by_site[row["site"]].append(row)
    for name, some in by_site.items():
        try:
            with _opened(workspace, name) as site:
                doubts |= _ask(_book(workspace), site, some)
        except MiddlewareError as error:
            doubts |= {row["id"]: error.message for row in some}
    return doubts


def _ask(book: JobBook, site: OpenSite, rows: Sequence[Row]) -> _Doubts:
    """What the site says of the jobs is written down; where it fails, that is the doubt."""
    try:
        ids, doubts = _known_ids(book, site, rows)
        told = site.executor.status(list(ids.values())) if ids else {}
    except MiddlewareError as error:
        return {row["id"]: error.message for row in rows}
    for job_id, native_id in ids.items():
        if native_id in told:
            book.change(job_id, **_columns(told[native_id]))
        else:
            book.change(job_id, state=str(JobState.UNKNOWN))
            doubts[job_id] = f"{site.name} does not know the job {native_id} any more; how it ended, nobody tells"
    return doubts


def _known_ids(book: JobBook, site: OpenSite, rows: Sequence[Row]) -> tuple[dict[str, NativeId], _Doubts]:
    """The site's names for the jobs. Those whose submission was never answered are searched for."""
    ids = {row["id"]: NativeId(row["native_id"]) for row in rows if row["native_id"]}
    lost = [row for row in rows if not row["native_id"]]
    known = site.executor.find([Token(row["id"]) for row in lost]) if lost else {}
    doubts: _Doubts = {}
    for row in lost:
        if native_id := known.get(Token(row["id"])):
            ids[row["id"]] = native_id
            _note_accepted(book, row["id"], native_id)
        elif time.time() < row["claimed_until"]:
            doubts[row["id"]] = "it is being submitted, or was a moment ago"
        else:
            doubts[row["id"]] = f"its submission broke off; go on with: convoy job resume {row['id']}"
    return ids, doubts


def _columns(status: JobStatus) -> dict[str, Any]:
    ended_at = status.ended_at or time.time() if status.state.final else None
    return {
        "state": str(status.state), "native_state": status.native_state, "node": status.node,
        "exit_code": status.exit_code, "message": status.message, "started_at": status.started_at, "ended_at": ended_at,
    }  # fmt: skip


def _count(workspace: Workspace, row: Row) -> None:
    """What an ended job used is written down, once its site's accounting tells it: that may take a minute."""
    native_id = NativeId(row["native_id"])
    if not JobState(row["state"]).final or row["usage"] is not None or not native_id:
        return
    try:
        usage = usage_of(workspace, row["site"], [native_id]).get(native_id)
    except MiddlewareError:
        return  # the job has ended all the same; the next look asks again
    if usage is not None and usage.ended_at is not None:
        _book(workspace).keep_usage(row["id"], asdict(account_of(row, usage)))
    elif time.time() - row["ended_at"] > _TOLD_LATE_S:
        _book(workspace).keep_usage(row["id"], {})


# -- ending


def abort_job(
    workspace: Workspace, job_id: str, *, wait_s: float = _END_PATIENCE_S, owner: str | None = None
) -> JobRecord:
    """The site was told to end the job, and has ended it unless `wait_s` was too short: its state says so.

    Raises NotFoundError, ConflictError (it has ended already), TransientError (the site does not answer, or another
    process is submitting the job at this moment) or SiteError.
    """
    row = _row(workspace, job_id, owner)
    _refuse_ended(row)
    with _opened(workspace, row["site"]) as site:
        ids, _ = _known_ids(_book(workspace), site, [row])
        if not ids:
            _claim(_book(workspace), row)
            never = "it was never submitted"
            _book(workspace).change(row["id"], state=str(JobState.CANCELED), message=never, ended_at=time.time())
        else:
            site.executor.cancel(list(ids.values()))
            _watch_end(workspace, site, row, wait_s=wait_s)
    _count(workspace, _row(workspace, row["id"], row["owner"]))
    return record_of(_row(workspace, row["id"], row["owner"]))


def delete_job(workspace: Workspace, job_id: str, *, owner: str | None = None) -> str:
    """The job is forgotten, its script and output are gone from the site, and it was aborted where it still ran.

    A directory that its owner chose for it stays. Returns the id. Raises NotFoundError, ConflictError (it does not
    end) or TransientError (the site does not answer); then the job is still known.
    """
    row = _row(workspace, job_id, owner)
    if not JobState(row["state"]).final:
        state = abort_job(workspace, row["id"], owner=row["owner"]).state
        if not state.final:
            raise ConflictError(f"the job {row['id']} was told to end and is {state} still; delete it again later")
    with _opened(workspace, row["site"]) as site:
        site.storage.remove(row["folder"])
        site.storage.remove(str(site.settings.workdir / "jobs" / row["id"]))
    _book(workspace).remove(row["id"])
    return str(row["id"])


def _watch_end(workspace: Workspace, site: OpenSite, row: Row, *, wait_s: float) -> None:
    """The job has ended, or `wait_s` is over."""
    deadline, pause_s = time.monotonic() + wait_s, _SHORTEST_PAUSE_S
    while not JobState(row["state"]).final:
        _ask(_book(workspace), site, [row])
        row = _row(workspace, row["id"], row["owner"])
        left_s = deadline - time.monotonic()
        if JobState(row["state"]).final or left_s <= 0:
            return
        time.sleep(min(pause_s, left_s))
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)


# -- what the verbs share


def _book(workspace: Workspace) -> JobBook:
    return JobBook(workspace.sessions)


def _row(workspace: Workspace, job_id: str, owner: str | None) -> Row:
    return _book(workspace).job(owner or _present_user(), job_id)


def _present_user() -> str:
    """The user of this process, as the system says: variables such as LOGNAME are anybody's to set."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@contextmanager
def _opened(workspace: Workspace, name: str) -> Iterator[OpenSite]:
    site = open_site(name, workspace.site(name))
    try:
        yield site
    finally:
        site.executor.close()


def _refuse_ended(row: Row) -> None:
    if JobState(row["state"]).final:
        raise ConflictError(f"the job {row['id']} has ended already: {row['state']}")


def _claim(book: JobBook, row: Row) -> None:
    """Nobody else submits the job from now on. Raises TransientError while somebody else may be doing it."""
    now = time.time()
    if not book.claim(row["id"], now=now, until=now + _CLAIM_S):
        left_s = max(1.0, row["claimed_until"] - now)
        message = f"the job {row['id']} is being submitted, or was a moment ago; try again in {left_s:.0f} s"
        raise TransientError(message, retry_after_s=left_s, site=row["site"])
