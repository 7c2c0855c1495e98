"""One login: a stream, a checked host key, a proven user."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import fabric  # type: ignore[import-untyped]  # fabric ships no types
from paramiko import SSHConfig, SSHException, Transport

from adapters.runners.ssh.client_config import Target, resolve_target
from adapters.runners.ssh.dial import Stream, dial_command, dial_tcp
from adapters.runners.ssh.host_check import HostCheck
from adapters.runners.ssh.login import Login
from adapters.runners.ssh.questions import Prompter
from adapters.runners.ssh.settings import SshSettings
from adapters.runners.ssh.transport import new_transport
from metadata.errors import InvalidSiteError, SiteUnavailableError

_MOST_JUMPS = 8
_TYPING_TIME_S = 120.0
"""sshd's LoginGraceTime: so long may a person take to look up a code."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A user who is logged in."""

    transport: Transport
    """paramiko's connection; channels are opened on it."""

    close: Callable[[], None]
    """Ends it, and the connections to the hosts on the way. Never raises."""


def open_connection(settings: SshSettings, prompter: Prompter | None, *, depth: int = 0) -> Connection:
    """The user is logged in.

    Raises SiteUnavailableError (no answer), LoginNeededError, LoginRefusedError, HostKeyUnknownError,
    HostKeyChangedError or InvalidSiteError.
    """
    target = resolve_target(settings)
    try:
        stream = _dial(settings, target, prompter, depth)
    except OSError as error:
        raise SiteUnavailableError(
            f"{_place(settings, target)} cannot be reached: {error}", site=settings.site
        ) from error
    except UnicodeError as error:  # of a name's parts each has at most 63 characters
        message = f"{_place(settings, target)}: {target.address!r} is no name of a host; correct it in the site file"
        raise InvalidSiteError(message, site=settings.site) from error
    try:
        return _log_in(settings, target, prompter, stream)
    except (OSError, EOFError, SSHException) as error:
        stream.close()
        message = f"{_place(settings, target)} broke off the login: {error or type(error).__name__}"
        raise SiteUnavailableError(message, site=settings.site) from error
    except BaseException:
        stream.close()
        raise


def _log_in(settings: SshSettings, target: Target, prompter: Prompter | None, stream: Stream) -> Connection:
    check = HostCheck(site=settings.site, target=target)
    login = Login(site=settings.site, target=target, prompter=prompter)
    connection = _fabric_connection(settings, target, login)
    connection.client.set_missing_host_key_policy(check)  # fabric's own choice trusts every key that it has not seen
    connection.connect_kwargs |= {"sock": stream.sock, "transport_factory": functools.partial(new_transport, check)}
    try:
        connection.open()
    except BaseException:
        connection.client.close()  # fabric closes only what it believes to be open
        raise
    connection.transport.set_keepalive(settings.keepalive_s)

    def close() -> None:
        connection.client.close()  # and not connection.close(), which leaves a broken connection as it is
        stream.close()

    return Connection(transport=connection.transport, close=close)


def _fabric_connection(settings: SshSettings, target: Target, login: Login) -> Any:
    """Fabric with no opinion of its own: the configuration was read already, and strictly."""
    strategy = {"authentication": {"strategy_class": lambda **_: login}}
    return fabric.Connection(
        host=target.address,
        user=target.user,
        port=target.port,
        config=fabric.Config(ssh_config=SSHConfig(), lazy=True, overrides=strategy),
        connect_timeout=settings.connect_timeout_s,
        connect_kwargs={
            "banner_timeout": settings.connect_timeout_s,
            "auth_timeout": _TYPING_TIME_S if login.prompter else settings.connect_timeout_s,
            "channel_timeout": settings.connect_timeout_s,
        },
    )


def _dial(settings: SshSettings, target: Target, prompter: Prompter | None, depth: int) -> Stream:
    if target.jumps:
        return _dial_through(settings, target, prompter, depth)
    if target.proxy_command:
        return dial_command(target.proxy_command)
    return dial_tcp(target, timeout_s=settings.connect_timeout_s, silence_s=2 * settings.keepalive_s)


def _dial_through(settings: SshSettings, target: Target, prompter: Prompter | None, depth: int) -> Stream:
    """A channel through the last jump host, which is reached through those before it."""
    if depth >= _MOST_JUMPS:
        raise InvalidSiteError(f"{_place(settings, target)}: more than {_MOST_JUMPS} jump hosts; is it a circle?")
    hop = open_connection(_jump_settings(settings, target.jumps[-1]), prompter, depth=depth + 1)
    try:
        channel = hop.transport.open_channel(
            "direct-tcpip", (target.address, target.port), ("", 0), timeout=settings.connect_timeout_s
        )
    except SSHException as error:
        hop.close()
        raise SiteUnavailableError(
            f"{target.jumps[-1]} does not reach {_place(settings, target)}: {error}", site=settings.site
        ) from error

    def close() -> None:
        channel.close()
        hop.close()

    return Stream(sock=channel, close=close)


def _jump_settings(settings: SshSettings, hop: str) -> SshSettings:
    """hop: [user@]host[:port]. What it leaves out comes from the configuration, not from the site's own settings."""
    user, _, place = hop.rpartition("@")
    host, _, port = place.partition(":")
    return replace(settings, host=host, user=user or None, port=int(port) if port else None)


def _place(settings: SshSettings, target: Target) -> str:
    return f"site '{settings.site}' ({target.address}, port {target.port})"
