"""A transfer task of the Globus service, from its submission to its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, NoReturn
from uuid import UUID

import globus_sdk

from adapters.movers._detached import shell_of
from adapters.movers._globus.login import LOGIN_HINT, GlobusLogin
from adapters.movers._landing import settled_when_broken
from metadata.errors import (
    MAKE_ROOM,
    NoSpaceError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from staging.ports import Endpoint, MoveRequest, MoveResult, Progress

_OPTIONS = frozenset({"collection", "data_access", "path"})
_BREATH_S = 0.2
_SILENCE_S = 300.0
_FULL = ("QUOTA", "NO_SPACE", "ENOSPC", "No space left", "Disk quota exceeded")
_ABSENT = ("NOT_FOUND", "NO_SUCH_FILE", "No such file")
_LOCKED_OUT = ("CREDENTIAL", "EXPIRED", "CONSENT", "AUTHENTICATION", "SESSION")
_REFUSED = ("PERMISSION_DENIED", "PERMISSION DENIED", "NOT_A_FILE", "IS_A_DIRECTORY")


def move(login: GlobusLogin, request: MoveRequest, progress: Progress, *, poll_s: float) -> MoveResult:
    """What the service did with a request, asked every `poll_s`; the task is taken back when it breaks off."""
    with globus_sdk.TransferClient(authorizer=login.authorizer()) as client:
        progress(0)
        task_id = _submit(client, request)
        with settled_when_broken(request, shell_of(request.destination)):
            try:
                task = _Watch(client, request, progress, poll_s=poll_s).run(task_id)
            except BaseException:
                with suppress(globus_sdk.GlobusError):
                    client.cancel_task(task_id)
                raise
    progress(request.size_bytes)
    return MoveResult(bytes_moved=min(int(task["bytes_transferred"]), request.size_bytes))


class _Watch:
    """Follows a task."""

    def __init__(
        self, client: globus_sdk.TransferClient, request: MoveRequest, progress: Progress, *, poll_s: float
    ) -> None:
        self._client = client
        self._request = request
        self._progress = progress
        self._poll_s = poll_s

    def run(self, task_id: str) -> Mapping[str, Any]:
        """The task as it was when it had succeeded."""
        answered = time.monotonic()
        moved = 0
        while True:
            try:
                task: Mapping[str, Any] = self._client.get_task(task_id).data
                answered = time.monotonic()
            except globus_sdk.GlobusError as error:
                if time.monotonic() - answered > _SILENCE_S or not _may_pass(error):
                    _explain_refusal(error, self._request)
            else:
                if task["status"] == "SUCCEEDED":
                    return task
                _check(task, self._request)
                moved = max(moved, min(int(task["bytes_transferred"] or 0), self._request.size_bytes))
            self._pause(moved)

    def _pause(self, moved: int) -> None:
        """Waits in small steps: `progress` may break off at each."""
        until = time.monotonic() + self._poll_s
        self._progress(moved)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_BREATH_S, left))
            self._progress(moved)


def _submit(client: globus_sdk.TransferClient, request: MoveRequest) -> str:
    """The new task's id."""
    task = globus_sdk.TransferData(
        _collection(request.source),
        _collection(request.destination),
        label=f"convoy {_label(request.source.site)} to {_label(request.destination.site)}",
        sync_level="checksum",
        verify_checksum=True,
        encrypt_data=True,
        fail_on_quota_errors=True,
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    for file in request.files:
        task.add_item(_path(request.source, file.source_path), _path(request.destination, file.partial_path))
    try:
        # The id comes first, so that a submission whose answer was lost is not made twice.
        task["submission_id"] = client.get_submission_id()["value"]
        return str(client.submit_transfer(task)["task_id"])
    except globus_sdk.GlobusError as error:
        _explain_refusal(error, request)


def _label(site: str) -> str:
    """Globus takes letters, digits, blanks, dashes, underscores and commas."""
    return "".join(letter if letter.isalnum() else "-" for letter in site)


def _collection(end: Endpoint) -> str:
    door = end.doors.get("globus", {})
    unknown = sorted(door.keys() - _OPTIONS)
    if unknown:
        raise StagingError(
            f"{end.site}: the door 'globus' has no option {unknown[0]!r}; it knows: {', '.join(sorted(_OPTIONS))}",
            site=end.site,
        )
    try:
        return str(UUID(door.get("collection", "")))
    except ValueError as error:
        raise StagingError(
            f"{end.site}: 'collection' of the door 'globus' is {door.get('collection')!r}, which is no UUID; the page "
            "of the collection at app.globus.org shows it",
            site=end.site,
        ) from error


def _path(end: Endpoint, path: str) -> str:
    """What the collection calls a file of the site."""
    root = PurePosixPath(end.doors["globus"].get("path") or "/")
    try:
        path.encode()
        return "/" + str(PurePosixPath(path).relative_to(root))
    except UnicodeEncodeError as error:
        raise StagingError(f"{end.site}: Globus cannot say the name {path!r}", site=end.site) from error
    except ValueError as error:
        raise StagingError(
            f"{end.site}: {path} lies outside {root}, all that Globus sees there", site=end.site
        ) from error


def _check(task: Mapping[str, Any], request: MoveRequest) -> None:
    """Raises what a task's state means for us. Globus itself would try for days what no trying mends."""
    ends = f"Globus from {request.source.site} to {request.destination.site}"
    fault = task.get("fatal_error") or {}
    words = [fault.get("code"), fault.get("description"), task.get("nice_status"), task.get("nice_status_details")]
    said = " ".join(str(word) for word in words if word)
    if any(word in said for word in _FULL):
        site = request.destination.site
        raise NoSpaceError(f"{site}: no room left; {MAKE_ROOM} ({said})", site=site)
    if any(word in said for word in _ABSENT):
        raise NotFoundError(f"{ends}: a file to copy is not there: {said}", site=request.source.site)
    if task["status"] == "INACTIVE" or any(word in said for word in _LOCKED_OUT):
        raise StagingError(f"{ends}: {said or 'a login has expired'}; {LOGIN_HINT}")
    if any(word in said for word in _REFUSED):
        raise StagingError(f"{ends}: {said}")
    if task["status"] == "FAILED":
        raise TransferInterruptedError(f"{ends} broke off: {said or 'the task failed'}")


def _may_pass(error: globus_sdk.GlobusError) -> bool:
    """Whether asking again may help."""
    if isinstance(error, globus_sdk.GlobusAPIError):
        return error.http_status >= 500 or error.http_status == 429
    return isinstance(error, globus_sdk.NetworkError)


def _explain_refusal(error: globus_sdk.GlobusError, request: MoveRequest) -> NoReturn:
    """Raises the service's refusal in our words; those hold no tokens."""
    ends = f"Globus from {request.source.site} to {request.destination.site}"
    if _may_pass(error):
        raise SiteUnavailableError(f"{ends}: the service does not answer: {error}") from error
    if not isinstance(error, globus_sdk.GlobusAPIError):
        raise StagingError(f"{ends}: {error}") from error
    said = f"{error.message or error.code or error.http_status}"
    consent = bool(error.info.consent_required or error.info.authorization_parameters)
    if error.http_status == 401 or consent or isinstance(error, globus_sdk.AuthAPIError):
        raise StagingError(f"{ends}: {said}; {LOGIN_HINT}") from error
    raise StagingError(f"{ends}: {said}") from error
