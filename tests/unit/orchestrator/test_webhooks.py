"""Other systems hear what ended, and can tell that it is true."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from metadata.errors import InvalidInputError
from orchestrator import operations
from orchestrator.engine.webhooks import Webhooks, headers, key_of
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import Webhook, find_settings
from tests.unit.orchestrator.homes import Home, wait_until

SECRET = "whsec_" + base64.b64encode(b"a key of some length").decode()
EVENT = {"run_id": "toy-1", "at": 0.0, "kind": "run.completed", "subject": "toy-1", "message": "all's well"}


class Receiver(HTTPServer):
    """A web server that keeps what it is sent, and answers with the given codes, then with 204."""

    def __init__(self, codes: tuple[int, ...] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.codes = list(codes)
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def close(self) -> None:
        """It is gone, and its port refuses."""
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that takes everything."""
    server = Receiver()
    yield server
    server.close()


def check_signed(row: tuple[dict[str, str], bytes]) -> dict[str, Any]:
    """The message, if its signature is right; computed here as the standard says, past the code under test."""
    head, body = row
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"a key of some length", signed, hashlib.sha256).digest()
    assert head["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(time.time() - int(head["webhook-timestamp"])) < 60
    message: dict[str, Any] = json.loads(body)
    return message


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """The vector of the reference libraries."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', key, now=1614265330)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_end_is_told_once_and_signed(receiver: Receiver) -> None:
    """Other events are not."""
    webhooks = Webhooks(Webhook(url=receiver.url, secret=SECRET))
    webhooks.tell([EVENT, {**EVENT, "kind": "task.completed"}])
    webhooks.close()
    [row] = receiver.taken
    assert check_signed(row) == {
        "type": "run.completed",
        "timestamp": "1970-01-01T00:00:00Z",
        "data": {"run": "toy-1", "subject": "toy-1", "message": "all's well"},
    }


def test_what_was_not_taken_is_sent_again_under_the_same_id_and_in_order() -> None:
    """So that a receiver can tell a repetition from news."""
    server = Receiver(codes=(500, 503))
    webhooks = Webhooks(Webhook(url=server.url, secret=SECRET), pauses_s=(0.01, 0.02, 0.04))
    webhooks.tell([EVENT, {**EVENT, "kind": "run.failed"}])
    wait_until(lambda: len(server.taken) == 4, what="two repetitions and two messages")
    webhooks.close()
    server.close()
    ids = [head["webhook-id"] for head, _ in server.taken]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [check_signed(row)["type"] for row in server.taken] == ["run.completed"] * 3 + ["run.failed"]


def test_a_receiver_that_is_not_there_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """Neither while the run goes on nor at its end; that nobody heard is logged, without the secret."""
    server = Receiver()
    url = server.url
    server.close()
    webhooks = Webhooks(Webhook(url=url, secret=SECRET), pauses_s=(0.01,))
    begin = time.monotonic()
    webhooks.tell([EVENT] * 1000)
    told = time.monotonic() - begin
    webhooks.close(patience_s=0.5)
    assert told < 1
    assert time.monotonic() - begin < 5
    wait_until(lambda: "did not take msg_" in caplog.text, what="the log to tell")
    assert SECRET not in caplog.text


def test_a_run_tells_of_its_transfers_and_of_its_end(tmp_path: Path, receiver: Receiver) -> None:
    """In this order, and only once each is written down."""
    home = Home(folder=tmp_path)
    (tmp_path / "slide").write_bytes(b"content")
    plan = home.plan(
        "inputs: {s: {home}/slide}\nsteps: {look: {command: 'wc {{inputs.s}}', in: {s: inputs.s}, at: lrz}}"
    )
    environment = {"CONVOY_WEBHOOK": receiver.url, "CONVOY_WEBHOOK_SECRET": SECRET}
    with Workspace(find_settings(home=tmp_path, environment=environment)) as workspace:
        run = operations.start(workspace, plan).id
    messages = [check_signed(row) for row in receiver.taken]
    assert [row["type"] for row in messages] == ["run.started", "transfer.completed", "run.completed"]
    assert {row["data"]["run"] for row in messages} == {run}
    assert "sha256 verified" in messages[1]["data"]["message"]


def test_the_secret_may_lie_in_the_home(tmp_path: Path) -> None:
    """And is never shown."""
    (tmp_path / "webhook.secret").write_text("very secret\n")
    settings = find_settings(home=tmp_path, environment={"CONVOY_WEBHOOK": "https://portal.example/convoy"})
    assert settings.webhook == Webhook(url="https://portal.example/convoy", secret="very secret")
    assert "very secret" not in repr(settings)
    assert find_settings(home=tmp_path, environment={}).webhook is None


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CONVOY_WEBHOOK": "https://x"}, "no secret to sign with"),
        ({"CONVOY_WEBHOOK": "portal.example", "CONVOY_WEBHOOK_SECRET": "s"}, "write the whole address"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused(environment: dict[str, str], words: str, tmp_path: Path) -> None:
    """Before anything runs."""
    with pytest.raises(InvalidInputError, match=words):
        find_settings(home=tmp_path, environment=environment)
    with pytest.raises(InvalidInputError, match="not base64"):
        key_of("whsec_???")
