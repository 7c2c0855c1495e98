"""What can go wrong on the way into a site, beside what goes wrong everywhere (LoginNeededError, SiteUnavailableError).

SiteError (permanent)
├── UntrustedHostKeyError
│   ├── HostKeyUnknownError    nobody has said yet that this key is the site's
│   └── HostKeyChangedError    the site shows another key than before
└── LoginRefusedError      the site does not let this user in
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.runners.ssh.known_hosts import HostKey
from metadata.errors import SiteError


class LoginRefusedError(SiteError):
    """The site lets this user in by none of the ways that were tried."""


@dataclass(frozen=True, kw_only=True)
class ShownKey:
    """A host key that a host showed and that nobody has said yes to."""

    key: HostKey
    """The key."""

    key_name: str
    """The host, as known_hosts names it. With jump hosts it need not be the site's own."""

    file: Path
    """The known_hosts file that a trusted key is written to."""

    changed: bool = False
    """Whether another key was trusted before, or this one was revoked: then asking a person is not enough."""


class UntrustedHostKeyError(SiteError):
    """The host that answers is not known to be the site. `shown` is what a person can decide about."""

    def __init__(self, message: str, *, shown: ShownKey, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.shown = shown


class HostKeyUnknownError(UntrustedHostKeyError):
    """The site's host key is in no known_hosts file."""


class HostKeyChangedError(UntrustedHostKeyError):
    """The site's host key is not the one in the known_hosts file, or was revoked there."""
