"""What the last words of OpenSSH's programs mean."""

from __future__ import annotations

import re

from metadata.errors import (
    LoginNeededError,
    MiddlewareError,
    NoSpaceError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
    no_room,
)

RETRY_S = 2.0
_FULL = re.compile(r"No space left|Disk quota exceeded")
_UNREACHABLE = re.compile(
    r"Connection refused|Connection timed out|No route to host|Network is unreachable|Could not resolve|"
    r"Operation timed out|banner exchange|Host is down|Name or service not known"
)
_BROKEN = re.compile(
    r"Connection (closed|reset|to .* closed)|Broken pipe|lost connection|connection unexpectedly closed|"
    r"Timeout, server|mux_client|Connection aborted|disconnect",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"Permission denied \(|Host key verification failed|Too many authentication failures")
# What login shells and OpenSSH say besides.
_NOISE = re.compile(r"^(Warning: Permanently added|debug\d|Killed by signal)")


def is_full(words: str) -> bool:
    """Whether a program found no room."""
    return _FULL.search(words) is not None


_PERSON = re.compile(r"permission denied \([^)]*(keyboard-interactive|password)", re.IGNORECASE)
"""Keys alone let nobody in."""


def login_error(site: str, words: str, code: int) -> MiddlewareError:
    """Why nobody could log in."""
    if _PERSON.search(words):
        return LoginNeededError(f"{site} wants a person to log in; run: convoy site login {site}", site=site)
    if _REFUSED.search(words):
        hint = "check the site's user, identity_file and known_hosts, or log in with: convoy site login"
        return StagingError(f"{site}: OpenSSH was not let in: {last_line(words, code)}; {hint} {site}", site=site)
    return SiteUnavailableError(f"{site}: {last_line(words, code)}", site=site)


def failure(site: str, words: str, code: int) -> MiddlewareError:
    """Why a program ended with `code`, which is negative after a signal."""
    if is_full(words):
        return full(site, words)
    if _REFUSED.search(words) or _UNREACHABLE.search(words):
        return login_error(site, words, code)
    if code == 255 or code < 0 or _BROKEN.search(words):
        message = f"{site}: the connection broke: {last_line(words, code)}"
        return TransferInterruptedError(message, site=site, retry_after_s=RETRY_S)
    return StagingError(f"{site}: {last_line(words, code)}", site=site, exit_code=code)


def full(site: str, words: str) -> NoSpaceError:
    """The destination is full, as a line of many may say."""
    return no_room(site, next(line.strip() for line in words.splitlines() if is_full(line)))


def gone(site: str, path: str) -> NotFoundError:
    """A source is not there."""
    return NotFoundError(f"{site}: there is no {path} to copy", site=site)


def last_line(words: str, code: int) -> str:
    """The last thing that was said."""
    lines = [line for line in words.splitlines() if line.strip() and not _NOISE.match(line)]
    return lines[-1].strip() if lines else f"it ended with exit code {code}"
