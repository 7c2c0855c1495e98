"""What a site file may say about an SSH login, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from metadata.errors import InvalidSiteError

_PATHS = ("config_file", "known_hosts")
_WHOLE_NUMBERS = ("port", "max_sessions")
_SECONDS = ("connect_timeout_s", "keepalive_s")


@dataclass(frozen=True, kw_only=True)
class SshSettings:
    """How to reach one site. What is left out comes from the SSH client's configuration."""

    site: str
    """Convoy's name for the site; it stands in messages."""

    host: str
    """A host name, an address, or a `Host` of the SSH configuration."""

    user: str | None = None
    """The user at the site."""

    port: int | None = None
    """sshd's port."""

    identity_files: tuple[Path, ...] = ()
    """Private keys, tried before those of the SSH configuration. A certificate beside one (-cert.pub) is used."""

    config_file: Path | None = None
    """Read in place of ~/.ssh/config and /etc/ssh/ssh_config."""

    known_hosts: Path | None = None
    """Read in place of the known_hosts files that the configuration names."""

    max_sessions: int = 8
    """Commands at the same time. sshd's own default is 10 (MaxSessions) and others may share the connection."""

    connect_timeout_s: float = 15.0
    """For each stage of a login: the TCP connection, the banner, the authentication."""

    keepalive_s: float = 15.0
    """Seconds of silence after which a sign of life is sent; twice that without an answer ends the connection."""


def parse_settings(site: str, options: Mapping[str, Any]) -> SshSettings:
    """The settings that a site file's mapping states; `identity_file` may be one path or a list.

    Raises InvalidSiteError for a name that does not exist, a value of the wrong kind, or a missing host.
    """
    given = dict(options)
    identities = given.pop("identity_file", given.pop("identity_files", ()))
    _refuse_unknown(site, given)
    if not given.get("host"):
        raise InvalidSiteError(f"site '{site}': the SSH runner needs 'host'", site=site)
    converted = {name: _converted(site, name, value) for name, value in given.items() if value is not None}
    paths = [identities] if isinstance(identities, str | Path) else identities or ()
    return SshSettings(site=site, identity_files=tuple(Path(path).expanduser() for path in paths), **converted)


def _refuse_unknown(site: str, given: Mapping[str, Any]) -> None:
    known = sorted({field.name for field in fields(SshSettings)} - {"site", "identity_files"} | {"identity_file"})
    for name in given.keys() - set(known):
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
        raise InvalidSiteError(f"site '{site}': the SSH runner has no option '{name}'; {hint}", site=site)


def _converted(site: str, name: str, value: Any) -> Any:
    try:
        if name in _PATHS:
            return Path(value).expanduser()
        if name in _WHOLE_NUMBERS:
            return int(_positive(int(value)))
        return _positive(float(value)) if name in _SECONDS else str(value)
    except (TypeError, ValueError) as error:
        raise InvalidSiteError(f"site '{site}': '{name}' cannot be {value!r}: {error}", site=site) from error


def _positive(number: float) -> float:
    if number <= 0:
        raise ValueError("it must be more than 0")
    return number
