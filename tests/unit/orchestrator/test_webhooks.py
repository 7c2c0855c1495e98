"""Other systems hear what ended, and can tell that it is true."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from metadata.errors import InvalidInputError
from metadata.journal import Journal, Page
from metadata.outbox import Outbox
from metadata.sessions import Sessions, open_sessions
from orchestrator import operations
from orchestrator.engine.webhooks import MOST_TRIES, Webhooks, headers, key_of, write_down
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
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Sessions]:
    """An empty one."""
    sessions = open_sessions(f"sqlite:///{tmp_path / 'convoy.db'}")
    yield sessions
    sessions.dispose()


def journal(database: Sessions, *kinds: str) -> None:
    """Events of these kinds happen."""
    page = Page()
    page.events += [{**EVENT, "kind": kind} for kind in kinds]
    write_down(page, run_id="toy-1")
    Journal(database).commit(page)


def outcomes(database: Sessions) -> list[tuple[str, str]]:
    """What the run's story says of its messages."""
    return [
        (row["kind"], row["message"]) for row in Journal(database).rows("events", "toy-1") if "webhook." in row["kind"]
    ]


def sending(database: Sessions, url: str, **more: Any) -> Webhooks:
    """A sender of the database's messages."""
    return Webhooks(Webhook(url=url, secret=SECRET), Outbox(database), **more)


def test_an_end_is_told_once_and_signed(receiver: Receiver, database: Sessions) -> None:
    """Other events are not."""
    journal(database, "run.completed", "task.completed")
    sending(database, receiver.url).close()
    sending(database, receiver.url).close()
    [row] = receiver.taken
    assert outcomes(database) == [("webhook.taken", "run.completed, at try 1")]
    assert check_signed(row) == {
        "type": "run.completed",
        "timestamp": "1970-01-01T00:00:00Z",
        "data": {"run": "toy-1", "subject": "toy-1", "message": "all's well"},
    }


def test_what_was_not_taken_is_sent_again_under_the_same_id_and_in_order(database: Sessions) -> None:
    """So that a receiver can tell a repetition from news."""
    server = Receiver(codes=(500, 503))
    journal(database, "run.completed", "run.failed")
    webhooks = sending(database, server.url, pauses_s=(0.01, 0.02, 0.04))
    wait_until(lambda: len(server.taken) == 4, what="two repetitions and two messages")
    webhooks.close()
    server.close()
    ids = [head["webhook-id"] for head, _ in server.taken]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [check_signed(row)["type"] for row in server.taken] == ["run.completed"] * 3 + ["run.failed"]


def test_what_one_engine_could_not_tell_the_next_one_tells(
    receiver: Receiver, database: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that is not there holds nobody up; what it missed waits for it, and no secret is logged."""
    gone = Receiver()
    gone.close()
    caplog.set_level("INFO")
    journal(database, *["run.failed"] * 3)
    begin = time.monotonic()
    sending(database, gone.url, pauses_s=(60.0,)).close()
    assert time.monotonic() - begin < 5
    waiting = Outbox(database).pending()
    assert len(waiting) == 3
    assert waiting[0]["tries"] > 0
    assert "ConnectError" in waiting[0]["trouble"]
    assert "did not take msg_" in caplog.text
    assert SECRET not in caplog.text
    sending(database, receiver.url).close()
    assert [head["webhook-id"] for head, _ in receiver.taken] == [row["id"] for row in waiting]
    assert Outbox(database).pending() == []


def test_a_message_that_is_never_taken_is_given_up_and_holds_up_no_other(database: Sessions) -> None:
    """The run's story says so. It lets others pass after a few tries."""
    codes = (400,) * 6 + (204,) + (400,) * (MOST_TRIES - 6)
    server = Receiver(codes=codes)
    journal(database, "run.failed", "run.completed")
    webhooks = sending(database, server.url, pauses_s=(0.005,))
    wait_until(lambda: len(outcomes(database)) == 2, what="both to be settled")
    webhooks.close()
    server.close()
    assert outcomes(database) == [
        ("webhook.taken", "run.completed, at try 1"),
        ("webhook.given-up", f"run.failed, after {MOST_TRIES} tries: HTTP 400"),
    ]
    assert len(server.taken) == MOST_TRIES + 1


def test_a_killed_engine_owes_nobody_a_message(tmp_path: Path) -> None:
    """SIGKILL while the first is being refused: the next engine sends it again, and each is told once at least."""
    server = Receiver(codes=(503,) * 1000)
    home = Home(folder=tmp_path)
    path = home.workflow("steps: {look: {command: 'while [ ! -e {home}/go ]; do sleep 0.1; done', at: lrz}}")
    environment = {
        **os.environ, "CONVOY_WEBHOOK": server.url, "CONVOY_WEBHOOK_SECRET": SECRET, "PYTHONDONTWRITEBYTECODE": "",
    }  # fmt: skip
    words = [sys.executable, "-m", "orchestrator.faces.cli", "--home", str(tmp_path)]
    run = subprocess.Popen([*words, "run", str(path), "--no-report"], env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: server.taken, what="the first message", timeout_s=60)
    run.kill()
    run.wait()
    first = server.taken[0][0]["webhook-id"]
    server.codes.clear()
    (tmp_path / "go").touch()
    before = len(server.taken)
    done = subprocess.run(
        [*words, "resume", "--no-report"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    server.close()
    told = [(head["webhook-id"], check_signed((head, body))["type"]) for head, body in server.taken[before:]]
    assert told[0] == (first, "run.started")
    assert [kind for _, kind in told] == ["run.started", "run.completed"]
    with home.open() as workspace:
        story = operations.show(workspace).events
    assert [row.subject for row in story if row.kind == "webhook.taken"] == [name for name, _ in told]


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
