"""A run as a picture that changes in place, for a person at a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metadata.progress import RunProgress, StepProgress, TransferProgress
from orchestrator.faces.cli.plain import transfers_line
from orchestrator.faces.cli.rates import Rates
from orchestrator.faces.states import count_of, look_of, step_state
from orchestrator.quantities import shown_duration, shown_rate, shown_size

_FRAMES_PER_S = 5
_BAR_WIDTH = 28
_MOST_TRANSFERS = 6
_NAME_WIDTH = 36
_UNDER_WAY = ("ACTIVE", "QUEUED", "STAGE_IN", "STAGE_OUT", "CLEANUP", "UNKNOWN")


class LiveView:
    """Draws the newest progress a few times a second, so that the clock goes on while nothing else does."""

    def __init__(self, console: Console) -> None:
        self.last: RunProgress | None = None
        """The newest progress; None before there was any."""
        self._rates = Rates()
        self._live = Live(console=console, get_renderable=self._frame, refresh_per_second=_FRAMES_PER_S)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, progress: RunProgress) -> None:
        """Takes the run's progress at one moment."""
        self._rates.note(progress.transfers, at=time.monotonic(), whole=progress.bytes_done)
        self.last = progress

    def _frame(self) -> RenderableType:
        return frame(self.last, self._rates) if self.last else Text("starting …", style="dim")


def frame(progress: RunProgress, rates: Rates) -> RenderableType:
    """The picture of one moment."""
    parts: list[RenderableType] = [_headline(progress)]
    if progress.message and not progress.ended_at:
        parts.append(Text(progress.message, style="yellow"))
    parts += [Text(""), _steps(progress.steps)]
    if progress.transfers:
        parts += [Text(""), _transfers(progress.transfers, rates)]
    return Group(*parts, Text(""), _foot(progress, rates), Text(""))


def _headline(progress: RunProgress) -> Text:
    look = look_of(progress.state)
    word = "canceling" if progress.wanted == "cancel" and not progress.ended_at else look.word
    begin, end = progress.started_at or progress.created_at, progress.ended_at or time.time()
    elapsed = shown_duration(max(0.0, end - begin))
    return Text.assemble((f"{look.sign} ", look.style), (progress.id, "bold"), f"  {word}  ", (elapsed, "dim"))


def _steps(steps: Sequence[StepProgress]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "left", "left", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for step in steps:
        look = look_of(step_state(step))
        done, total = count_of(step, "COMPLETED"), step.total
        share = f"{done}/{total}" if total else ""
        name = Text(step.name, style="dim" if look.style == "dim" else "bold")
        table.add_row(
            Text(look.sign, style=look.style), name, Text(step.site, style="dim"), _bar(step), share, _note(step)
        )
    return table


def _bar(step: StepProgress) -> RenderableType:
    done, failed = count_of(step, "COMPLETED"), count_of(step, "FAILED")
    colour = "red" if failed else "cyan"
    return ProgressBar(
        total=step.total or 1, completed=done + failed, width=_BAR_WIDTH, style="grey23", complete_style=colour,
        finished_style="red" if failed else "green",
    )  # fmt: skip


def _note(step: StepProgress) -> Text:
    """What its tasks do just now."""
    if step.skipped or not step.total:
        return Text(step.skipped or "waiting", style="dim")
    parts = []
    for state in ("ACTIVE", "QUEUED", "STAGE_IN", "STAGE_OUT", "UNKNOWN", "FAILED", "CANCELED"):
        look, number = look_of(state), count_of(step, state)
        parts += [Text(f"{number} {look.word}", style=look.style)] if number else []
    return Text(" ").join(parts)


def _transfers(transfers: Sequence[TransferProgress], rates: Rates) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "left", "right", "left", "right"):
        table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
    for row in transfers[:_MOST_TRANSFERS]:
        rate = rates.of(row)
        way = f"{row.source_site} → {row.destination_site}"
        sizes = f"{shown_size(row.bytes_done)} / {shown_size(row.size_bytes)}"
        speed = shown_rate(rate) if rate else Text("" if row.bytes_done else "starting", style="dim")
        table.add_row(Text("⇄", style="blue"), Text(_shortened(row.name)), way, sizes, speed, _left(row, rate))
    left = len(transfers) - _MOST_TRANSFERS
    return Group(table, Text(f"   and {left} more under way", style="dim")) if left > 0 else table


def _shortened(name: str) -> str:
    """The end of a name tells most."""
    return name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"


def _left(row: TransferProgress, rate: float | None) -> str:
    return f"{shown_duration((row.size_bytes - row.bytes_done) / rate)} left" if rate else ""


def _pace(progress: RunProgress, rates: Rates) -> str:
    """How fast all transfers are together, and when they will be done."""
    if not rates.whole or not progress.transfers:
        return ""
    left = shown_duration((progress.bytes_total - progress.bytes_done) / rates.whole)
    return f"{shown_rate(rates.whole)}, {left} left"


def _foot(progress: RunProgress, rates: Rates) -> Text:
    active = sum(count_of(step, *_UNDER_WAY) for step in progress.steps)
    moved = ", ".join(filter(None, (transfers_line(progress), _pace(progress, rates))))
    parts = [f"{active} task{'s' * (active != 1)} under way" if active else "", f"transfers: {moved}" if moved else ""]
    hint = "" if progress.ended_at else "Ctrl-C leaves the run; its jobs go on"
    return Text(" · ".join(part for part in (*parts, hint) if part), style="dim")
