"""Errors as a person or a program reads them."""

from __future__ import annotations

import errno
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.exceptions import TyperException

from metadata.errors import MiddlewareError
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.exit_codes import FAULT, INVALID, TRY_AGAIN, Outcome, outcome_of
from orchestrator.faces.json_values import render_json

_TRACEBACKS_FROM = 2
_NO_ROOM = (TRY_AGAIN, "make room there, then try again")
_NOT_ALLOWED = (INVALID, "check who may read and write there")
_OF_THE_MACHINE = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _NOT_ALLOWED,
}
"""What is no fault of Convoy's, wherever it happens."""


def tell(terminal: Terminal, error: Exception, words: Sequence[str]) -> int:
    """The error is told on standard error. Returns the exit code."""
    outcome, document = _read(terminal, error, words)
    if terminal.verbosity >= _TRACEBACKS_FROM:
        traceback.print_exception(error)
    if terminal.as_json:
        sys.stderr.write(render_json({**document, "exit_code": outcome.exit_code}, indent=None) + "\n")
    else:
        sys.stderr.write(f"convoy: error: {document['message']}\n")
    return outcome.exit_code


def _read(terminal: Terminal, error: Exception, words: Sequence[str]) -> tuple[Outcome, dict[str, Any]]:
    if isinstance(error, MiddlewareError):
        return outcome_of(error), error.as_dict()
    if isinstance(error, TyperException):
        return INVALID, {"error": "UsageError", "message": error.format_message() + _hint(error)}
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        outcome, advice = _OF_THE_MACHINE[error.errno]
        message = f"{error.filename or 'the output'}: {error.strerror}; {advice}"
        return outcome, {"error": type(error).__name__, "message": message}
    return FAULT, {"error": type(error).__name__, "message": _kept(terminal, error, words)}


def _hint(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f" Try: {context.command_path} --help" if context else ""


def _kept(terminal: Terminal, error: Exception, words: Sequence[str]) -> str:
    """The traceback is kept for whoever mends this. Returns what to say of it."""
    said = traceback.format_exception_only(error)[-1].strip()
    try:
        log = terminal.settings.home / "crash.log"
        _append(
            log, [f"{time.strftime('%F %T')} convoy {shlex.join(words)}\n", *traceback.format_exception(error), "\n"]
        )
    except OSError:
        return f"unexpected: {said}; run it again with -vv to see where"
    return f"unexpected: {said}; the traceback is in {log}"


def _append(log: Path, lines: Sequence[str]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(lines)
