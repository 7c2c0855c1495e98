"""Runs commands at a site over SSH."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from adapters.runners.ssh.answers import Answer, CommandTimeoutError, LinkLostError, ShellEndedError
from adapters.runners.ssh.errors import LoginRefusedError, ShownKey, UntrustedHostKeyError
from adapters.runners.ssh.files import get_command, missing_or_refused, put_command
from adapters.runners.ssh.framing import kill_command, new_marker, parse_answer, render_line
from adapters.runners.ssh.known_hosts import save_known_key
from adapters.runners.ssh.questions import Prompter
from adapters.runners.ssh.settings import parse_settings
from adapters.runners.ssh.sharing import borrow_share, give_back_share
from adapters.runners.ssh.shell_language import takes
from metadata.errors import ConflictError, LoginNeededError, MiddlewareError, SiteError, SiteUnavailableError
from orchestrator.ports import Argv, CommandResult

if TYPE_CHECKING:
    from adapters.runners.ssh.sftp import SftpSession

_log = logging.getLogger(__name__)
_FILE_TIMEOUT_S = 60.0
_KILL_TIMEOUT_S = 5.0


class SshRunner:
    """A `CommandRunner` over one kept SSH connection, which runners with the same options share. Thread-safe.

    The connection opens with the first command, and again after it broke. A command that was sent when it broke may
    have run: that is told by SiteUnavailableError and never repeated here.
    """

    def __init__(self, *, site: str, options: Mapping[str, Any], prompter: Prompter | None = None) -> None:
        self._site = site
        self._settings = parse_settings(site, options)
        self._share = borrow_share(self._settings, prompter)
        self._closed = False

    def run(self, argv: Argv, *, stdin: str = "", timeout_s: float = 60.0) -> CommandResult:
        """The command's answer, whatever its exit code; 127 when there is no such command, 128+N after signal N.

        Raises SiteUnavailableError (time-out: the command was killed; lost link: it may have run), LoginNeededError,
        LoginRefusedError, HostKeyUnknownError, HostKeyChangedError, or InvalidInputError for a NUL in a word.
        """
        answer = self._ask(argv, stdin.encode("utf-8", "surrogateescape"), timeout_s)
        return CommandResult(
            argv=argv,
            exit_code=answer.exit_code,
            stdout=answer.stdout.decode("utf-8", "replace"),
            stderr=answer.stderr.decode("utf-8", "replace"),
        )

    def put_text(self, path: PurePosixPath, text: str, *, mode: int = 0o644) -> None:
        """The file holds `text`, whole or not at all, with `mode`; missing folders are made.

        A relative path starts in the user's home. Raises SiteError with the site's words, and what `run` raises.
        """
        content = text.encode("utf-8", "surrogateescape")
        answer = self._ask(put_command(path, mode=mode, size_bytes=len(content)), content, _FILE_TIMEOUT_S)
        if answer.exit_code != 0:
            words = answer.stderr.decode("utf-8", "replace").strip()
            raise SiteError(f"site '{self._site}' cannot write {path}: {words}", site=self._site)

    def get_text(self, path: PurePosixPath) -> str:
        """The file's text, undecodable bytes replaced.

        Raises NotFoundError, SiteError (not readable), and what `run` raises.
        """
        answer = self._ask(get_command(path), b"", _FILE_TIMEOUT_S)
        if answer.exit_code != 0:
            raise missing_or_refused(self._site, path, answer.stderr.decode("utf-8", "replace"))
        return answer.stdout.decode("utf-8", "replace")

    def open_sftp(self) -> SftpSession:
        """A new SFTP session over this connection; the caller closes it. Raises what `run` raises."""
        if self._closed:
            raise ConflictError(f"site '{self._site}': this runner was closed", site=self._site)
        from adapters.runners.ssh.sftp import SftpSession  # noqa: PLC0415 - see Share.link

        return SftpSession(self._share.link, deadline=time.monotonic() + _FILE_TIMEOUT_S)

    def connect(self) -> None:
        """The user is logged in; the prompter was asked where the site asks. Raises what `run` raises."""
        self._share.link.connect()

    def log_in(self, prompter: Prompter) -> None:
        """Every program of this user gets in from now on; `prompter` was asked where the site wants a person.

        Raises what `run` raises, LoginNeededError for a wrong answer too.
        """
        if self._share.login.open:
            return
        try:
            self._share.link.connect()
        except LoginNeededError:
            self._share.login.log_in(prompter)

    def log_out(self) -> None:
        """The login that `log_in` left behind is over."""
        self._share.login.log_out()

    def find_untrusted_key(self) -> ShownKey | None:
        """The first host key on the way that nobody has said yes to (or that changed); None when all are trusted.

        Nothing is sent to a host before its key is trusted. Raises SiteUnavailableError.
        """
        try:
            self._share.link.connect()
        except UntrustedHostKeyError as error:
            return error.shown
        except (LoginNeededError, LoginRefusedError):
            pass  # a login follows the check of the key
        return None

    def trust(self, shown: ShownKey) -> None:
        """The key is in the known_hosts file. For a person to decide: nothing in Convoy calls this by itself."""
        save_known_key(shown.file, shown.key_name, shown.key)

    def close(self) -> None:
        """This runner is done with the site; the connection ends with the last runner that shares it."""
        if not self._closed:
            self._closed = True
            give_back_share(self._settings)

    def _ask(self, argv: Argv, stdin: bytes, timeout_s: float) -> Answer:
        if self._closed:
            raise ConflictError(f"site '{self._site}': this runner was closed", site=self._site)
        marker = new_marker()
        started = time.monotonic()
        deadline = started + timeout_s
        try:
            answer = self._exchange(argv, marker, stdin, deadline)
        except TimeoutError as error:
            self._end(error.stdout if isinstance(error, CommandTimeoutError) else b"", marker)
            message = f"site '{self._site}': {argv[0]} did not end within {timeout_s:g} s and was killed"
            raise SiteUnavailableError(message, site=self._site, argv=argv) from error
        except LinkLostError as error:
            message = f"site '{self._site}': the connection broke while {argv[0]} ran; it may have done its work"
            raise SiteUnavailableError(f"{message} ({error})", site=self._site, argv=argv) from error
        # Arguments may hold names of patients, and standard input may hold secrets: neither is logged.
        _log.debug(
            "%s: %s: exit %d, %.1f ms", self._site, argv[0], answer.exit_code, 1e3 * (time.monotonic() - started)
        )
        framed = parse_answer(answer.stdout, answer.stderr, marker)
        return Answer(exit_code=answer.exit_code, stdout=framed.stdout, stderr=framed.stderr)

    def _exchange(self, argv: Argv, marker: str, stdin: bytes, deadline: float) -> Answer:
        """By the login that a person opened, where there is one, else by this program's own connection.

        Where a person is needed, to try the own one first would be a failed login each time, and sshd counts those.
        """
        line = render_line(argv, marker, reads=bool(stdin))
        if not self._share.connected and self._share.login.open:
            return self._share.login.run(line, stdin=stdin, deadline=deadline)
        link = self._share.link
        if not stdin and takes(argv):
            with link.shell(deadline=deadline) as shell, contextlib.suppress(ShellEndedError):
                if shell is not None:
                    return shell.run(argv, marker, deadline)
        return link.run(line, stdin=stdin, deadline=deadline)

    def _end(self, stdout: bytes, marker: str) -> None:
        """A command that ran out of time is killed by another one: many sshd refuse SSH's own signal request."""
        with contextlib.suppress(MiddlewareError, TimeoutError, LinkLostError):  # the caller's error says enough
            kill = kill_command(parse_answer(stdout, b"", marker).start)
            self._exchange(kill, new_marker(), b"", time.monotonic() + _KILL_TIMEOUT_S)
