"""Has files moved by the Globus Transfer service, between two of its collections.

Tested against the answers that Globus publishes for its SDK, and never against the service itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from uuid import UUID

import globus_sdk
import platformdirs
from globus_sdk.authorizers import GlobusAuthorizer
from globus_sdk.scopes import GCSCollectionScopes, TransferScopes
from globus_sdk.token_storage import JSONTokenStorage

from adapters.movers._detached import shell_of
from adapters.movers._landing import settled_when_broken
from metadata.errors import (
    InvalidInputError,
    NoSpaceError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from staging.ports import Capabilities, Direction, Endpoint, MoveRequest, MoveResult, Progress

_TRANSFER = "transfer.api.globus.org"
_OPTIONS = frozenset({"collection", "path"})
_LOGIN = "log in to Globus again: convoy site login"
_POLL_S = 2.0
_BREATH_S = 0.2
_SILENCE_S = 300.0
_FULL = ("QUOTA", "NO_SPACE", "ENOSPC", "No space left", "Disk quota exceeded")
_ABSENT = ("NOT_FOUND", "NO_SUCH_FILE", "No such file")
_LOCKED_OUT = ("CREDENTIAL", "EXPIRED", "CONSENT", "AUTHENTICATION", "SESSION")
_REFUSED = ("PERMISSION_DENIED", "PERMISSION DENIED", "NOT_A_FILE", "IS_A_DIRECTORY")


class GlobusLogin:
    """A user's login to Globus: kept in a file that only the user can read, and renewed without asking.

    With a client secret it is an application's own identity (a confidential client) and needs no person; without one
    a person visits an address once (a native application).
    """

    def __init__(self, *, client_id: str, client_secret: str | None = None, tokens_file: Path) -> None:
        self._client_id = client_id
        self._secret = client_secret
        self._file = tokens_file
        self._flow: globus_sdk.NativeAppAuthClient | None = None

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> GlobusLogin:
        """As CONVOY_GLOBUS_CLIENT_ID and CONVOY_GLOBUS_CLIENT_SECRET say. Raises StagingError."""
        client_id = environment.get("CONVOY_GLOBUS_CLIENT_ID")
        if not client_id:
            raise StagingError(
                "Globus knows programs by an id: register one at app.globus.org/settings/developers and set "
                "CONVOY_GLOBUS_CLIENT_ID (and CONVOY_GLOBUS_CLIENT_SECRET for a confidential client)"
            )
        return cls(
            client_id=client_id,
            client_secret=environment.get("CONVOY_GLOBUS_CLIENT_SECRET"),
            tokens_file=Path(platformdirs.user_data_dir("convoy")) / "globus.json",
        )

    @property
    def needed(self) -> bool:
        """Whether a person has to log in first."""
        return self._secret is None and self._stored() is None

    def start(self, collections: Iterable[str] = ()) -> str:
        """The address that a person must visit; some collections want to be named in the consent given there."""
        scope = TransferScopes.all
        for collection in collections:
            scope = scope.with_dependency(GCSCollectionScopes(collection).data_access)
        self._flow = globus_sdk.NativeAppAuthClient(self._client_id)
        self._flow.oauth2_start_flow(requested_scopes=[scope], refresh_tokens=True)
        return self._flow.oauth2_get_authorize_url()

    def finish(self, code: str) -> None:
        """The login is kept, with the code that the person was shown. Raises InvalidInputError for a wrong code."""
        if self._flow is None:
            raise InvalidInputError("a login to Globus begins with the address to visit")
        try:
            self._store(self._flow.oauth2_exchange_code_for_tokens(code.strip()))
        except globus_sdk.AuthAPIError as error:
            raise InvalidInputError(f"Globus does not take this code: {error.message or error.code}") from error

    def authorizer(self) -> GlobusAuthorizer:
        """What signs requests. Raises StagingError where a person has to log in first."""
        if self._secret is not None:
            client = globus_sdk.ConfidentialAppAuthClient(self._client_id, self._secret)
            return globus_sdk.ClientCredentialsAuthorizer(client, TransferScopes.all)
        stored = self._stored()
        if stored is None or stored.refresh_token is None:
            raise StagingError(f"nobody is logged in to Globus; {_LOGIN}")
        return globus_sdk.RefreshTokenAuthorizer(
            stored.refresh_token,
            globus_sdk.NativeAppAuthClient(self._client_id),
            access_token=stored.access_token,
            expires_at=stored.expires_at_seconds,
            on_refresh=self._store,
        )

    def forget(self) -> None:
        """The login is forgotten here; Globus keeps the consent until it is taken back there."""
        self._file.unlink(missing_ok=True)

    def _stored(self) -> Any:
        if not self._file.exists():
            return None
        return JSONTokenStorage(self._file).get_token_data_by_resource_server().get(_TRANSFER)

    def _store(self, answer: globus_sdk.OAuthTokenResponse) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        JSONTokenStorage(self._file).store_token_response(answer)
        self._file.chmod(0o600)


class GlobusMover:
    """One Globus task for all files of a request, between two doors `globus`.

    A door says `collection` (its UUID) and `path`, the folder of the site that the collection shows as its root (`/`
    when it shows all). Globus encrypts on the way, compares checksums of its own and tries again by itself; files
    that lie whole at the destination are not sent again.
    """

    capabilities = Capabilities(
        schemes=frozenset({"globus"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.THIRD_PARTY}),
        batches=True,
        parallel_streams=True,
        encrypted=True,
    )

    def __init__(self, *, login: GlobusLogin | None = None, poll_s: float = _POLL_S) -> None:
        self._login = login
        self._poll_s = poll_s

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path, as Globus says."""
        login = self._login or GlobusLogin.find()
        with globus_sdk.TransferClient(authorizer=login.authorizer()) as client:
            progress(0)
            task_id = _submit(client, request)
            with settled_when_broken(request, shell_of(request.destination)):
                try:
                    task = self._watch(client, task_id, request, progress)
                except BaseException:
                    with suppress(globus_sdk.GlobusError):
                        client.cancel_task(task_id)
                    raise
        progress(request.size_bytes)
        return MoveResult(bytes_moved=min(int(task["bytes_transferred"]), request.size_bytes))

    def _watch(
        self, client: globus_sdk.TransferClient, task_id: str, request: MoveRequest, progress: Progress
    ) -> Mapping[str, Any]:
        """The task as it was when it had succeeded."""
        answered = time.monotonic()
        moved = 0
        while True:
            try:
                task: Mapping[str, Any] = client.get_task(task_id).data
                answered = time.monotonic()
            except globus_sdk.GlobusError as error:
                if time.monotonic() - answered > _SILENCE_S or not _may_pass(error):
                    _explain_refusal(error, request)
            else:
                if task["status"] == "SUCCEEDED":
                    return task
                _check(task, request)
                moved = max(moved, min(int(task["bytes_transferred"] or 0), request.size_bytes))
            self._pause(progress, moved)

    def _pause(self, progress: Progress, moved: int) -> None:
        """Waits in small steps: `progress` may break off at each."""
        until = time.monotonic() + self._poll_s
        progress(moved)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_BREATH_S, left))
            progress(moved)


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
            f"{end.site}: the door 'globus' has no option {unknown[0]!r}; it knows: collection, path", site=end.site
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
        raise NoSpaceError(f"{site}: no room left; free some space there, then: convoy retry ({said})", site=site)
    if any(word in said for word in _ABSENT):
        raise NotFoundError(f"{ends}: a file to copy is not there: {said}", site=request.source.site)
    if task["status"] == "INACTIVE" or any(word in said for word in _LOCKED_OUT):
        raise StagingError(f"{ends}: {said or 'a login has expired'}; {_LOGIN}")
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
        raise StagingError(f"{ends}: {said}; {_LOGIN}") from error
    raise StagingError(f"{ends}: {said}") from error


ADAPTER = GlobusMover
