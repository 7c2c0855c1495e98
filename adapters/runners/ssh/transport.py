"""Paramiko's transport, which remembers with which words the host hung up."""

from __future__ import annotations

import logging
from typing import Any

from paramiko import Message, Transport

from adapters.runners.ssh.host_check import HostCheck

# Our own errors tell what went wrong; without a handler Python would write paramiko's words to the screen as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_NO_MORE_METHODS = 14  # SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, RFC 4253, section 11.1
_TOO_MANY = "too many authentication failures"  # OpenSSH's words; it sends them as a plain protocol error


class PoliteTransport(Transport):
    """A connection whose end can be told: a host that says goodbye decided something, a host that vanished did not."""

    refusal: str = ""
    """The words with which the host refused the user for good; empty when it never did."""

    def _parse_disconnect(self, message: Message) -> None:
        code, words = message.get_int(), message.get_text()
        if code == _NO_MORE_METHODS or _TOO_MANY in words.lower():
            self.refusal = words
        message.rewind()
        super()._parse_disconnect(message)  # type: ignore[misc]  # private, and in no stub


def new_transport(check: HostCheck, sock: Any, **options: Any) -> PoliteTransport:
    """A transport that prefers the kinds of host key that are known already."""
    transport = PoliteTransport(sock, **options)
    security = transport.get_security_options()
    security.key_types = check.preferred_algorithms(tuple(security.key_types))
    return transport
