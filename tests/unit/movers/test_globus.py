"""Globus Transfer, against the answers that Globus publishes with its SDK. The service itself is never asked."""

from __future__ import annotations

import copy
import io
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

globus_sdk = pytest.importorskip("globus_sdk", reason="globus-sdk is not installed (pip install convoy-hpc[globus])")
responses = pytest.importorskip("responses", reason="the answers that Globus publishes need the package responses")

from globus_sdk.testing import get_response_set, load_response  # noqa: E402
from globus_sdk.testing.data.transfer.task_list import TASK_LIST_DOC  # noqa: E402

from adapters.movers._globus.login import GlobusLogin  # noqa: E402
from adapters.movers.globus import GlobusMover  # noqa: E402
from metadata.errors import (  # noqa: E402
    InvalidInputError,
    MiddlewareError,
    NoSpaceError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from orchestrator import operations  # noqa: E402
from orchestrator.faces.cli.main import main  # noqa: E402
from orchestrator.operations import Workspace  # noqa: E402
from orchestrator.settings import find_settings  # noqa: E402
from staging.ports import Direction, Endpoint, MoveFile, MoveRequest, MoveResult  # noqa: E402

SOURCE, DESTINATION = "aa752cea-8222-5bc8-acd9-555b090c0ccb", "313ce13e-b597-5858-ae13-29e46fea26e6"
API = "https://transfer.api.globus.org/v0.10"
TASK_ID = get_response_set("transfer.submit_transfer").metadata["task_id"]


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """No request leaves this machine, and no waiting between the SDK's own tries."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def answers(mock: Any, *tasks: Mapping[str, Any]) -> None:
    """A task is taken, and then reported in these states, the last of them for ever."""
    load_response("auth.oauth2_client_credentials_tokens", requests_mock=mock)
    load_response("transfer.get_submission_id", requests_mock=mock)
    load_response("transfer.submit_transfer", requests_mock=mock)
    for told in tasks:
        document = copy.deepcopy(TASK_LIST_DOC["DATA"][0]) | {"task_id": TASK_ID} | dict(told)
        mock.get(f"{API}/task/{TASK_ID}", json=document)
    mock.post(f"{API}/task/{TASK_ID}/cancel", json={"DATA_TYPE": "result", "code": "Canceled", "message": "x"})


def request_of(*names: str, **doors: Mapping[str, str]) -> MoveRequest:
    """Files of ten bytes from one collection to another."""
    return MoveRequest(
        source=Endpoint(site="agh", doors={"globus": {"collection": SOURCE, "path": "/scratch", **doors.get("a", {})}}),
        destination=Endpoint(site="lrz", doors={"globus": {"collection": DESTINATION, **doors.get("b", {})}}),
        files=tuple(
            MoveFile(source_path=f"/scratch/{name}", partial_path=f"/work/{name}.part", size_bytes=10)
            for name in names or ("x",)
        ),
        direction=Direction.THIRD_PARTY,
    )


def moved(request: MoveRequest, told: list[int] | None = None) -> MoveResult:
    """What the mover did, as an application with a secret."""
    login = GlobusLogin(client_id="an-id", client_secret="a-secret", tokens_file=Path("/nonexistent/globus.json"))
    progress = told.append if told is not None else (lambda _: None)
    return GlobusMover(login=login, poll_s=0).move(request, progress=progress)


def sent(mock: Any, path: str) -> list[dict[str, Any]]:
    """What was posted to the Transfer service."""
    return [json.loads(call.request.body) for call in mock.calls if call.request.url.endswith(path)]


def cancelled(mock: Any) -> bool:
    """Whether the task was taken back."""
    return any(call.request.url.endswith(f"{TASK_ID}/cancel") for call in mock.calls)


def test_all_files_go_in_one_task_checked_and_encrypted(service: Any) -> None:
    """Under the names that the collections know, without letters to anybody."""
    answers(service, {"status": "ACTIVE", "bytes_transferred": 7}, {"status": "SUCCEEDED", "bytes_transferred": 20})
    told: list[int] = []
    result = moved(request_of("a b", "é/漢"), told)
    (task,) = sent(service, "/v0.10/transfer")
    assert [(item["source_path"], item["destination_path"]) for item in task["DATA"]] == [
        ("/a b", "/work/a b.part"),
        ("/é/漢", "/work/é/漢.part"),
    ]
    assert (task["source_endpoint"], task["destination_endpoint"]) == (SOURCE, DESTINATION)
    assert task["verify_checksum"] is task["encrypt_data"] is task["fail_on_quota_errors"] is True
    assert task["sync_level"] == 3
    assert task["notify_on_succeeded"] is task["notify_on_failed"] is task["notify_on_inactive"] is False
    assert task["submission_id"]
    assert result.bytes_moved == 20
    assert result.digests == {}
    assert sorted(set(told)) == [0, 7, 20]
    assert told == sorted(told)
    assert not cancelled(service)


def test_whole_files_that_globus_skipped_did_not_travel(service: Any) -> None:
    """It compares checksums first."""
    answers(service, {"status": "SUCCEEDED", "bytes_transferred": 10})
    assert moved(request_of("one", "two")).bytes_moved == 10


@pytest.mark.parametrize(
    ("told", "error", "words"),
    [
        ({"status": "INACTIVE", "nice_status": "CREDENTIALS_EXPIRED"}, StagingError, "convoy site login"),
        ({"status": "ACTIVE", "nice_status": "PERMISSION_DENIED"}, StagingError, "PERMISSION_DENIED"),
        ({"status": "ACTIVE", "nice_status": "FILE_NOT_FOUND"}, NotFoundError, "not there"),
        (
            {"status": "FAILED", "fatal_error": {"code": "QUOTA_EXCEEDED", "description": "x"}},
            NoSpaceError,
            "convoy retry",
        ),
        ({"status": "ACTIVE", "nice_status_details": "write: No space left on device"}, NoSpaceError, "lrz"),
        (
            {"status": "FAILED", "fatal_error": {"code": "ENDPOINT_GONE", "description": "y"}},
            TransferInterruptedError,
            "y",
        ),
    ],
)
def test_a_fault_that_trying_does_not_mend_ends_the_task(
    service: Any, told: dict[str, Any], error: type[MiddlewareError], words: str
) -> None:
    """Globus alone would try for days."""
    answers(service, {"bytes_transferred": 0, **told})
    with pytest.raises(error, match=words):
        moved(request_of())
    assert cancelled(service)


def test_trouble_on_the_way_is_left_to_globus(service: Any) -> None:
    """A lost connection, a paused collection and a service that is down for a moment are not the end."""
    answers(service, {"status": "ACTIVE", "nice_status": "CONNECTION_RESET"}, {"status": "SUCCEEDED"})
    service.get(f"{API}/task/{TASK_ID}", status=503)
    assert moved(request_of()).bytes_moved == 4


def test_breaking_off_takes_the_task_back(service: Any) -> None:
    """Nothing goes on at Globus."""
    answers(service, {"status": "ACTIVE", "bytes_transferred": 3})

    def stop(done: int) -> None:
        if done:
            raise TransferInterruptedError("enough")

    login = GlobusLogin(client_id="an-id", client_secret="a-secret", tokens_file=Path("/nonexistent/globus.json"))
    with pytest.raises(TransferInterruptedError, match="enough"):
        GlobusMover(login=login, poll_s=0).move(request_of(), progress=stop)
    assert cancelled(service)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (
            400,
            {"code": "ClientError.BadRequest.NoTransferItems", "message": "at least one"},
            StagingError,
            "at least one",
        ),
        (403, {"code": "ConsentRequired", "message": "m", "required_scopes": ["s"]}, StagingError, "convoy site login"),
        (401, {"code": "AuthenticationFailed", "message": "m"}, StagingError, "convoy site login"),
        (503, {"code": "ServiceUnavailable", "message": "m"}, SiteUnavailableError, "does not answer"),
    ],
)
def test_a_refused_submission_is_told(
    service: Any, status: int, body: dict[str, Any], error: type[MiddlewareError], words: str
) -> None:
    """In our words, and no token is among them."""
    load_response("auth.oauth2_client_credentials_tokens", requests_mock=service)
    load_response("transfer.get_submission_id", requests_mock=service)
    service.post(f"{API}/transfer", status=status, json=body)
    with pytest.raises(error, match=words) as caught:
        moved(request_of())
    assert "INTERTUBES" not in str(caught.value)


@pytest.mark.parametrize(
    ("doors", "words"),
    [
        ({"a": {"collection": "not one"}}, "agh: 'collection'"),
        ({"a": {"path": "/elsewhere"}}, "/scratch/x lies outside /elsewhere"),
        ({"b": {"colection": "x"}}, "lrz: .* no option 'colection'"),
    ],
)
def test_a_wrong_door_is_told_before_anything_is_asked(service: Any, doors: dict[str, Any], words: str) -> None:
    """With its site."""
    load_response("auth.oauth2_client_credentials_tokens", requests_mock=service)
    with pytest.raises(StagingError, match=words):
        moved(request_of(**doors))


def test_a_door_whose_collection_is_named_in_the_consent_moves_files(service: Any) -> None:
    """`data_access` is for the login alone."""
    answers(service, {"status": "SUCCEEDED", "bytes_transferred": 10})
    assert moved(request_of(a={"data_access": "true"}, b={"data_access": "true"})).bytes_moved == 10


def test_a_name_that_json_cannot_say_is_left_to_another_mover(service: Any) -> None:
    """It is no UTF-8."""
    load_response("auth.oauth2_client_credentials_tokens", requests_mock=service)
    with pytest.raises(StagingError, match="cannot say"):
        moved(request_of("\udcff"))


def native(tmp_path: Path) -> GlobusLogin:
    """A login of a person."""
    return GlobusLogin(client_id="an-id", tokens_file=tmp_path / "home/globus.json")


def log_in(mock: Any, login: GlobusLogin) -> str:
    """The login is done; the address that the person was sent to."""
    document = get_response_set("auth.oauth2_exchange_code_for_tokens").lookup("default").json
    mock.post("https://auth.globus.org/v2/oauth2/token", json={**document, "refresh_token": "a-refresh-token"})
    address = login.start([DESTINATION])
    login.finish(" the-code\n")
    return address


def test_a_person_logs_in_once_and_only_he_can_read_it(service: Any, tmp_path: Path) -> None:
    """The next program finds the login."""
    login = native(tmp_path)
    assert login.needed
    address = log_in(service, login)
    assert "an-id" in address
    assert DESTINATION in address
    assert parse_qs(service.calls[0].request.body)["code"] == ["the-code"]
    file = tmp_path / "home/globus.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = native(tmp_path)
    assert not again.needed
    assert again.authorizer().get_authorization_header() == "Bearer transfer_access_token"
    again.forget()
    assert native(tmp_path).needed


def test_an_old_token_is_renewed_and_kept(service: Any, tmp_path: Path) -> None:
    """Without asking anybody."""
    login = native(tmp_path)
    log_in(service, login)
    file = tmp_path / "home/globus.json"
    file.write_text(file.read_text().replace('"expires_at_seconds": 1', '"expires_at_seconds": -1'))
    service.upsert(
        "POST",
        "https://auth.globus.org/v2/oauth2/token",
        json={
            "access_token": "a-new-token",
            "refresh_token": "a-refresh-token",
            "scope": "urn:globus:auth:scope:transfer.api.globus.org:all",
            "expires_in": 172800,
            "token_type": "Bearer",
            "resource_server": "transfer.api.globus.org",
            "other_tokens": [],
        },
    )
    assert native(tmp_path).authorizer().get_authorization_header() == "Bearer a-new-token"
    assert "a-new-token" in file.read_text()


class Person:
    """Types a code, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def ask(self, *, site: str, title: str, questions: Any) -> list[str]:
        """The code."""
        assert site in title
        self.shown.append(title)
        assert [(question.text, question.secret) for question in questions] == [("Code: ", False)]
        return ["the-code"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with sites whose data Globus moves, and a program that Globus knows."""
    monkeypatch.setenv("CONVOY_GLOBUS_CLIENT_ID", "an-id")
    monkeypatch.delenv("CONVOY_GLOBUS_CLIENT_SECRET", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    door = f"{{collection: {SOURCE}}}"
    named = f"{{collection: {DESTINATION}, data_access: 'true'}}"
    (tmp_path / "sites.yaml").write_text(
        f"sites:\n  agh: {{workdir: agh, doors: {{globus: {door}}}}}\n"
        f"  lrz: {{workdir: lrz, doors: {{globus: {named}}}}}\n  uva: {{workdir: uva}}\n"
    )
    return tmp_path


def test_site_login_sends_a_person_to_globus_once_for_all_sites(service: Any, home: Path) -> None:
    """Again only for a collection that wants to be named in the consent."""
    log_in(service, native(home))
    person = Person()
    with Workspace(find_settings(home=home, environment={})) as workspace:
        for site, asked in (("agh", 1), ("agh", 1), ("lrz", 2), ("lrz", 2), ("agh", 2)):
            assert operations.login_site(workspace, site, person).user
            assert len(person.shown) == asked
        with pytest.raises(InvalidInputError, match="needs no login"):
            operations.login_site(workspace, "uva", person)
    assert all("https://auth.globus.org/v2/oauth2/authorize?" in title for title in person.shown)
    assert [DESTINATION in title for title in person.shown] == [False, True]
    [tokens] = (home / "user").rglob("globus.json")
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert "a-refresh-token" in tokens.read_text()


def test_site_logout_revokes_and_forgets(service: Any, home: Path) -> None:
    """Both tokens, and a Globus that is not reached is told after all is forgotten here."""
    log_in(service, native(home))
    load_response("auth.oauth2_revoke_token", requests_mock=service)
    with Workspace(find_settings(home=home, environment={})) as workspace:
        operations.login_site(workspace, "agh", Person())
        operations.logout_site(workspace, "agh")
        sent = [call.request.body for call in service.calls if call.request.url.endswith("/revoke")]
        assert [parse_qs(body)["token"] for body in sent] == [["a-refresh-token"], ["transfer_access_token"]]
        assert not list((home / "user").rglob("globus*"))
        operations.logout_site(workspace, "agh")
        operations.login_site(workspace, "agh", Person())
        service.replace("POST", "https://auth.globus.org/v2/oauth2/token/revoke", status=503)
        with pytest.raises(SiteUnavailableError, match="settings/consents"):
            operations.logout_site(workspace, "agh")
    assert not list((home / "user").rglob("globus*"))


def test_the_command_shows_the_address_asks_for_the_code_and_never_says_a_token(
    service: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As a person at a terminal meets it."""
    log_in(service, native(home))
    caplog.set_level("DEBUG")
    person = io.StringIO("the-code\n")
    person.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", person)
    with pytest.raises(SystemExit) as end:
        main(["--home", str(home), "site", "login", "agh", "-v"])
    assert not end.value.code
    said = capfd.readouterr()
    assert "https://auth.globus.org/v2/oauth2/authorize?" in said.err
    assert said.err.endswith("Code: ")
    for text in (said.out, said.err, caplog.text):
        assert "refresh-token" not in text
        assert "transfer_access_token" not in text


def test_a_wrong_code_is_told(service: Any, tmp_path: Path) -> None:
    """And nothing is kept."""
    load_response("auth.oauth2_exchange_code_for_tokens", case="invalid_grant", requests_mock=service)
    login = native(tmp_path)
    login.start()
    with pytest.raises(InvalidInputError, match="does not take this code"):
        login.finish("wrong")
    assert login.needed


def test_without_a_login_nothing_is_asked(tmp_path: Path) -> None:
    """It says what to do."""
    with pytest.raises(StagingError, match="convoy site login"):
        GlobusMover(login=native(tmp_path)).move(request_of(), progress=lambda _: None)


def test_the_client_is_told_by_the_environment() -> None:
    """And its absence with what to set."""
    assert not GlobusLogin.find({"CONVOY_GLOBUS_CLIENT_ID": "a", "CONVOY_GLOBUS_CLIENT_SECRET": "b"}).needed
    with pytest.raises(StagingError, match="CONVOY_GLOBUS_CLIENT_ID"):
        GlobusLogin.find({})
