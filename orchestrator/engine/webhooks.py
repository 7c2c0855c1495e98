"""Tells other systems what ended, without ever holding up a run.

Every message is signed as https://www.standardwebhooks.com asks, so that receivers find libraries for it: the header
`webhook-signature` is `v1,` and the base64 of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`, where ID and TIMESTAMP are the
headers `webhook-id` and `webhook-timestamp`. A message is written down with the event that it tells of, and stays until
it was taken: one that nobody took is sent again with growing pauses, by the next engine if need be, under the same ID.
So each is told at least once; a receiver that sees an ID again drops it. After `MOST_TRIES` a message is given up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

from metadata.errors import InvalidInputError
from metadata.journal import MESSAGES, Page
from metadata.outbox import MOST_AT_ONCE, Outbox
from metadata.sessions import Row
from orchestrator.settings import Webhook

_log = logging.getLogger(__name__)

TOLD = frozenset({
    "run.started", "run.completed", "run.failed", "run.canceled", "transfer.completed", "transfer.failed",
})  # fmt: skip
"""The kinds of events that are sent."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin
_TIMEOUT_S = 10.0
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 60.0, 300.0, 900.0, 3600.0)
"""After each failure; the last one again and again."""
MOST_TRIES = 24
_IN_ORDER = 5
"""A message that failed so often lets later ones pass: something may be wrong with it alone."""
_LAST_WORDS_S = 10.0
_IDLE_S, _SOON_S = 5.0, 0.01


def write_down(page: Page, *, run_id: str) -> None:
    """What others shall hear of this page is kept with it, even if this process dies right after."""
    for number, event in enumerate(page.events):
        if event["kind"] in TOLD:
            order = f"{int(event['at'] * 1e6):014x}{number:04x}"
            page.insert(
                MESSAGES, id=f"msg_{order}{secrets.token_hex(6)}", run_id=run_id, kind=event["kind"],
                body=_body(event), created_at=event["at"], tries=0, not_before=0.0, trouble="",
            )  # fmt: skip


def _body(event: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "type": event["kind"],
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["at"])),
            "data": {"run": event["run_id"], "subject": event["subject"], "message": event["message"]},
        }
    )


class Webhooks:
    """A thread that posts pending messages, those of earlier engines too, in their order."""

    def __init__(self, webhook: Webhook, outbox: Outbox, *, pauses_s: tuple[float, ...] = _PAUSES_S) -> None:
        """Raises InvalidInputError for a secret that cannot be read."""
        self._url = webhook.url
        self._key = key_of(webhook.secret)
        self._outbox = outbox
        self._pauses_s = pauses_s
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="webhooks", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be new messages."""
        self._wake.set()

    def close(self, *, patience_s: float = _LAST_WORDS_S) -> None:
        """What waits is tried once more, as far as that goes quickly; the rest is left to the next engine."""
        self._closing.set()
        self._wake.set()
        self._thread.join(patience_s)
        self._ended.set()

    def _send_all(self) -> None:
        # Slow to load, and most homes have no webhook.
        import httpx  # noqa: PLC0415

        with httpx.Client(timeout=_TIMEOUT_S) as client:
            while not self._closing.is_set():
                self._wake.clear()
                pause_s = self._round(client)
                self._wake.wait(pause_s)
            self._round(client, once_more=True)

    def _round(self, client: Any, *, once_more: bool = False) -> float:
        """Sends what is due, in its order; the seconds until something else is."""
        rows = self._outbox.pending()
        for row in rows:
            if self._ended.is_set():
                break
            wait_s = row["not_before"] - time.time()
            if wait_s > 0 and not once_more:
                if row["tries"] <= _IN_ORDER:
                    return float(min(wait_s, _IDLE_S))
            elif not self._send(client, row) and (once_more or row["tries"] < _IN_ORDER):
                return _SOON_S
        if len(rows) == MOST_AT_ONCE:
            return _SOON_S
        waits: list[float] = [row["not_before"] - time.time() for row in self._outbox.pending()]
        return max(_SOON_S, min([_IDLE_S, *waits]))

    def _send(self, client: Any, message: Row) -> bool:
        """True when it was taken."""
        trouble = self._trouble(client, message)
        if self._ended.is_set():
            return False  # whoever waited for this has gone, and the next engine sends it again
        tries = message["tries"] + 1
        if not trouble:
            self._outbox.settle(message, "webhook.taken", f"{message['kind']}, at try {tries}")
            return True
        _log.info("the webhook %s did not take %s (%s)", self._url, message["id"], trouble)
        if tries >= MOST_TRIES:
            _log.warning("the webhook %s did not take %s: %s", self._url, message["id"], trouble)
            self._outbox.settle(message, "webhook.given-up", f"{message['kind']}, after {tries} tries: {trouble}")
        else:
            wait_s = self._pauses_s[min(message["tries"], len(self._pauses_s) - 1)]
            self._outbox.note_trouble(message, trouble, wait_s=wait_s)
        return False

    def _trouble(self, client: Any, message: Row) -> str:
        """Why the message was not taken; empty when it was."""
        import httpx  # noqa: PLC0415

        body = message["body"].encode()
        try:
            answer = client.post(self._url, content=body, headers=headers(message["id"], body, self._key))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"
        return "" if answer.is_success else f"HTTP {answer.status_code}"


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
