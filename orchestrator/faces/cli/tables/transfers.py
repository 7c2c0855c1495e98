"""What moves."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.tables.style import NOTHING, sheet, state_text
from orchestrator.operations import TransferView
from orchestrator.quantities import shown_duration, shown_rate, shown_size

_MOST = 200


def transfers_view(transfers: Sequence[TransferView]) -> RenderableType:
    """One line a transfer."""
    if not transfers:
        return Text("Nothing moves or waits. What has ended: convoy transfer ls --ended", style="dim")
    numbers = ("done", "size", "rate", "left")
    table = sheet("transfer", "state", "from", "to", "what", "run", *numbers, right=numbers, wrapped=("what",))
    for row in transfers[:_MOST]:
        left = Text(shown_duration(row.left_s)) if row.left_s is not None else NOTHING
        rate = Text(shown_rate(row.rate_bytes_per_s)) if row.rate_bytes_per_s else NOTHING
        what = Text(f"{row.name}: {row.message}" if row.message else row.name)
        sites = row.source_site or "-", row.destination_site or "-"
        done = f"{100 * row.bytes_done // max(row.size_bytes, 1)} %"
        table.add_row(
            Text(row.id, style="bold"), state_text(row.state), *sites, what, Text(row.run or "-", style="dim"),
            done, shown_size(row.size_bytes), rate, left,
        )  # fmt: skip
    more = len(transfers) - _MOST
    return Group(table, Text(f"and {more} more; --json shows all", style="dim")) if more > 0 else table
