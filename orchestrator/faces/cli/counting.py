"""How far a long piece of work has come, for people: a bar where one looks on, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Literal, Self

from orchestrator.faces.cli.rates import Window
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.quantities import shown_duration, shown_rate, shown_size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_FRAMES_PER_S = 5
_BAR_WIDTH = 28
_NAME_WIDTH = 48
_LINE_EVERY_S = 10.0

Unit = Literal["bytes", "cases"]


class Counter:
    """Takes progress while its `with` block lasts; standard output stays the answer's alone.

    Where nobody looks on, work that takes no longer than some seconds is not told of.
    """

    def __init__(self, terminal: Terminal, word: str, *, unit: Unit = "bytes") -> None:
        self._terminal = terminal
        self._drawn = terminal.watched and sys.stderr.isatty()
        self._word = word
        self._unit = unit
        self._name, self._done, self._total = "", 0, 0
        self._begun_at = self._line_at = time.monotonic()
        self._window: Window | None = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Takes what is worked on, and how much of everything is done."""
        self._name, self._done, self._total = name, done, total
        if self._window is None:
            self._begin()
        now = time.monotonic()
        if self._window is not None:
            self._window.note(done, at=now)
        if not self._drawn and now - self._line_at >= _LINE_EVERY_S:
            self._line_at = now
            self._terminal.hint(f"{time.strftime('%H:%M:%S')}  {self._word}  {'  '.join(self._facts())}  {name}")

    def _begin(self) -> None:
        self._window = Window()
        if self._drawn:
            # They take 0.1 s to load, which work that nobody looks at shall not pay.
            from rich.console import Console  # noqa: PLC0415
            from rich.live import Live  # noqa: PLC0415

            screen = Console(stderr=True, highlight=False, markup=False, emoji=False)
            self._live = Live(
                console=screen, get_renderable=self._frame, refresh_per_second=_FRAMES_PER_S, transient=True
            )
            self._live.start()

    def _facts(self) -> list[str]:
        """Share, amounts, rate and what is left; the rate is that of the last seconds."""
        share = f"{100 * self._done // max(self._total, 1):3d} %"
        if self._unit == "cases":
            spent = shown_duration(time.monotonic() - self._begun_at)
            return [share, f"{self._done} of {self._total}", f"{spent} so far"]
        rate = self._window.rate if self._window else None
        pace = [shown_rate(rate), f"{shown_duration((self._total - self._done) / rate)} left"] if rate else []
        return [share, f"{shown_size(self._done)} of {shown_size(self._total)}", *pace]

    def _frame(self) -> RenderableType:
        from rich.progress_bar import ProgressBar  # noqa: PLC0415 - see _begin
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(
            total=self._total or 1, completed=self._done, width=_BAR_WIDTH, style="grey23", complete_style="cyan",
            finished_style="green",
        )  # fmt: skip
        name = self._name if len(self._name) <= _NAME_WIDTH else f"…{self._name[1 - _NAME_WIDTH :]}"
        table.add_row(Text(self._word, style="bold"), bar, *self._facts(), Text(name, style="dim"))
        return table
