"""Images, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from orchestrator.faces.cli.tables.style import moment, sheet
from orchestrator.operations import ImageView
from orchestrator.quantities import shown_size


def images_view(views: Sequence[ImageView]) -> RenderableType:
    """One line an image."""
    if not views:
        return Text("There is no image. Make one with: convoy image build, or convoy image import", style="dim")
    table = sheet("image", "digest", "size", "at", "made from", "added", right=("size",), wrapped=("at",))
    for view in views:
        image = view.image
        digest = Text(f"{image.digest[:19]}…", style="dim")
        made_from = Text(image.source, style="dim")
        name = Text(image.name, style="bold")
        table.add_row(
            name, digest, shown_size(image.size_bytes), ", ".join(view.sites), made_from, moment(image.added_at)
        )
    return table
