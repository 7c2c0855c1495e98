"""Where words go: answers to standard output, and what is only said on the way to people."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metadata.errors import InvalidInputError
from orchestrator import operations
from orchestrator.faces.json_values import plain, render_json
from orchestrator.settings import Settings, find_settings

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from orchestrator.operations import Workspace

Answer = TypeVar("Answer")
_WIDE = 200
"""Columns where nobody looks: lines in a file or pipe are cut as late as possible."""


class Terminal:
    """One call of the command: its settings, and its way to the person or program that made it."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        """True when standard output shall hold one JSON document and nothing else."""
        self.verbosity = 0
        """-1 quiet, 0, 1 more, 2 tracebacks as well."""
        self.home_was_named = False
        """True when the caller said which home, and none was looked for."""

    @cached_property
    def settings(self) -> Settings:
        """Where everything is."""
        return find_settings()

    @cached_property
    def workspace(self) -> Workspace:
        """The home, opened when it is first needed. The start of the process is over then, for its garbage too."""
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return operations.Workspace(self.settings)

    @property
    def watched(self) -> bool:
        """True when a person looks at standard output as it is written."""
        return sys.stdout.isatty() and not self.as_json and self.verbosity >= 0

    @cached_property
    def console(self) -> Console:
        """For tables and colours."""
        from rich.console import Console  # noqa: PLC0415 - it takes 0.1 s, and most calls in scripts need none

        return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDE)

    def answer(self, value: Answer, view: Callable[[Answer], RenderableType], **more: Any) -> None:
        """What was asked for: as a document with `more` beside it, or as `view` shows it."""
        if self.as_json:
            self.write_json({**plain(value), **more} if more else value)
        else:
            self.console.print(view(value))

    def preview(self, value: Answer, view: Callable[[Answer], RenderableType]) -> None:
        """Something on the way to the answer, for people only."""
        if self.verbosity >= 0 and not self.as_json:
            self.console.print(view(value))
            self.console.print()

    def write_json(self, value: Any) -> None:
        """The value as the document on standard output."""
        sys.stdout.write(render_json(value) + "\n")

    def write_line(self, line: str) -> None:
        """A line of an answer that has no end yet; it can be read at once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def save_json(self, value: Any, path: Path) -> None:
        """The value as a document in a file. Raises InvalidInputError where nothing can be written."""
        try:
            path.write_text(render_json(value) + "\n", encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"cannot write {path}: {error.strerror}") from error

    def say(self, line: str) -> None:
        """A line for people; nothing when they asked for quiet."""
        if self.verbosity >= 0:
            stream = sys.stderr if self.as_json else sys.stdout
            stream.write(line + "\n")
            stream.flush()

    def hint(self, line: str) -> None:
        """What to do next, for a person; never mixed with the answer."""
        if self.verbosity >= 0 and not self.as_json:
            sys.stderr.write(line + "\n")

    def warn(self, line: str) -> None:
        """Something that a person should know although the verb succeeds."""
        sys.stderr.write(f"convoy: {line}\n")

    def at(self, *, home: Path | None, sites_file: Path | None, database_url: str | None) -> None:
        """Works with this home, site file and database from now on."""
        self.home_was_named = home is not None
        self.settings = find_settings(home=home, sites_file=sites_file, database_url=database_url)

    def close(self) -> None:
        """Lets go of the database."""
        if "workspace" in self.__dict__:
            self.workspace.__exit__()
