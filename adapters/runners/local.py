"""Runs commands on this machine: the embedded site, and the model that remote runners must agree with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from metadata.errors import InvalidInputError, InvalidSiteError, NotFoundError, SiteError, SiteUnavailableError
from orchestrator.ports import Argv, CommandResult

_GRACE_S = 1.0
"""Seconds that a command has to tidy up, between SIGTERM and SIGKILL."""

_OPTIONS = ("directory",)
_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 128  # a shell's words, so that all runners speak alike


class LocalRunner:
    """A `CommandRunner` on this machine. Commands start in `directory`, by default the user's home. Thread-safe."""

    def __init__(self, *, site: str = "local", options: Mapping[str, Any] | None = None) -> None:
        given = dict(options or {})
        for name in given.keys() - set(_OPTIONS):
            close = get_close_matches(name, _OPTIONS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(_OPTIONS)}"
            raise InvalidSiteError(f"site '{site}': the local runner has no option '{name}'; {hint}", site=site)
        self._site = site
        self._directory = Path(given.get("directory") or "~").expanduser()

    def run(self, argv: Argv, *, stdin: str = "", timeout_s: float = 60.0) -> CommandResult:
        """The command's answer, whatever its exit code; 127 when there is no such command, 128+N after signal N.

        Raises SiteUnavailableError after `timeout_s` (the command and its children were killed), or
        InvalidInputError for an empty command or a NUL character in a word.
        """
        if not argv or any("\0" in word for word in argv):
            raise InvalidInputError("a command needs at least one word, and no word may hold a NUL character")
        try:
            program = subprocess.Popen(
                argv,
                cwd=self._directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            return self._not_started(argv, _NOT_FOUND, "not found")
        except PermissionError:
            return self._not_started(argv, _NOT_EXECUTABLE, "Permission denied")
        except OSError as error:
            raise SiteError(
                f"site '{self._site}' cannot start {argv[0]}: {error}", site=self._site, argv=argv
            ) from error
        return self._converse(program, argv, stdin, timeout_s)

    def put_text(self, path: PurePosixPath, text: str, *, mode: int = 0o644) -> None:
        """The file holds `text`, whole or not at all, with `mode`; missing folders are made.

        A relative path starts in `directory`. Raises SiteError with the system's words.
        """
        target = self._directory / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._replace(target, text.encode("utf-8", "surrogateescape"), mode)
        except OSError as error:
            raise SiteError(f"site '{self._site}' cannot write {path}: {error}", site=self._site) from error

    def get_text(self, path: PurePosixPath) -> str:
        """The file's text, undecodable bytes replaced. Raises NotFoundError, or SiteError (not readable)."""
        try:
            return (self._directory / path).read_bytes().decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"site '{self._site}' has no file {path}", site=self._site) from error
        except OSError as error:
            raise SiteError(f"site '{self._site}' cannot read {path}: {error}", site=self._site) from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _converse(self, program: subprocess.Popen[bytes], argv: Argv, stdin: str, timeout_s: float) -> CommandResult:
        try:
            stdout, stderr = program.communicate(stdin.encode("utf-8", "surrogateescape"), timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            message = f"site '{self._site}': {argv[0]} did not end within {timeout_s:g} s and was killed"
            raise SiteUnavailableError(message, site=self._site, argv=argv) from error
        finally:
            if program.returncode is None:
                self._kill(program)
        code = program.returncode
        return CommandResult(
            argv=argv,
            exit_code=code if code >= 0 else _KILLED - code,
            stdout=stdout.decode("utf-8", "replace"),
            stderr=stderr.decode("utf-8", "replace"),
        )

    def _kill(self, program: subprocess.Popen[bytes]) -> None:
        """Ends the whole process group: a child that holds the output open would keep the caller waiting."""
        for number, grace_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.communicate(timeout=grace_s)

    def _not_started(self, argv: Argv, exit_code: int, reason: str) -> CommandResult:
        return CommandResult(argv=argv, exit_code=exit_code, stdout="", stderr=f"{argv[0]}: {reason}\n")

    def _replace(self, target: Path, content: bytes, mode: int) -> None:
        """The mode is set while the file is empty, so that no secret is ever readable by others."""
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent)
        try:
            os.fchmod(descriptor, mode)
            with open(descriptor, "wb") as stream:  # noqa: PTH123 - Path.open takes no descriptor
                stream.write(content)
            os.replace(name, target)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


ADAPTER = LocalRunner
