"""Tells other systems what ended, without ever holding up a run.

Every message is signed as https://www.standardwebhooks.com asks, so that receivers find libraries for it: the header
`webhook-signature` is `v1,` and the base64 of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`, where ID and TIMESTAMP are the
headers `webhook-id` and `webhook-timestamp`. A message that nobody took is sent again with growing pauses, under the
same ID. The journal is the truth: what could not be told before the engine ended is not told later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import queue
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metadata.errors import InvalidInputError
from orchestrator.settings import Webhook

_log = logging.getLogger(__name__)

TOLD = frozenset({
    "run.started", "run.completed", "run.failed", "run.canceled", "transfer.completed", "transfer.failed",
})  # fmt: skip
"""The kinds of events that are sent."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin
_TIMEOUT_S = 10.0
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_MOST_WAITING = 10_000
_LAST_WORDS_S = 10.0


@dataclass(frozen=True, kw_only=True)
class _Message:
    id: str
    body: bytes


class Webhooks:
    """A thread that posts events, one after the other, in their order."""

    def __init__(self, webhook: Webhook, *, pauses_s: tuple[float, ...] = _PAUSES_S) -> None:
        """Raises InvalidInputError for a secret that cannot be read."""
        self._url = webhook.url
        self._key = key_of(webhook.secret)
        self._pauses_s = pauses_s
        self._waiting: queue.Queue[_Message | None] = queue.Queue(maxsize=_MOST_WAITING)
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="webhooks", daemon=True)
        self._thread.start()

    def tell(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Events as the journal has them: `run_id`, `at` (seconds since the epoch), `kind`, `subject`, `message`."""
        for event in events:
            if event["kind"] in TOLD:
                self._put(_message(event))

    def close(self, *, patience_s: float = _LAST_WORDS_S) -> None:
        """What waits is sent, if that succeeds soon; an end that nobody hears of is in the journal all the same."""
        self._closing.set()
        self._put(None)
        self._thread.join(patience_s)
        self._ended.set()

    def _put(self, message: _Message | None) -> None:
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            _log.warning("the webhook %s takes nothing; a message to it is dropped", self._url)

    def _send_all(self) -> None:
        # Slow to load, and most homes have no webhook.
        import httpx  # noqa: PLC0415

        with httpx.Client(timeout=_TIMEOUT_S) as client:
            while (message := self._waiting.get()) and not self._ended.is_set():
                self._send(client, message)

    def _send(self, client: Any, message: _Message) -> None:
        trouble = ""
        for pause_s in (0.0, *self._pauses_s):
            self._closing.wait(pause_s)
            trouble = self._trouble(client, message)
            if not trouble or self._closing.is_set():
                break
            _log.info("the webhook %s did not take %s (%s)", self._url, message.id, trouble)
        if trouble:
            _log.warning("the webhook %s did not take %s: %s", self._url, message.id, trouble)

    def _trouble(self, client: Any, message: _Message) -> str:
        """Why the message was not taken; empty when it was."""
        import httpx  # noqa: PLC0415

        try:
            answer = client.post(self._url, content=message.body, headers=headers(message.id, message.body, self._key))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"
        return "" if answer.is_success else f"HTTP {answer.status_code}"


def _message(event: Mapping[str, Any]) -> _Message:
    body = {
        "type": event["kind"],
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["at"])),
        "data": {"run": event["run_id"], "subject": event["subject"], "message": event["message"]},
    }
    return _Message(id=f"msg_{secrets.token_hex(12)}", body=json.dumps(body).encode())


def headers(message_id: str, body: bytes, key: bytes, *, now: float | None = None) -> dict[str, str]:
    """What goes with a message, by which its receiver knows that it is ours and fresh."""
    timestamp = str(int(time.time() if now is None else now))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def key_of(secret: str) -> bytes:
    """The bytes of a secret: of `whsec_...` what its base64 says, of anything else its text."""
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise InvalidInputError("the webhook's secret is not base64 behind whsec_; copy all of it") from error
