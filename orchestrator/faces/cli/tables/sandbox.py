"""Practice clusters."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.tables.style import sheet
from orchestrator.operations import Cluster, Sandbox


def clusters_view(clusters: Sequence[Cluster]) -> RenderableType:
    """One line a cluster."""
    if not clusters:
        return Text("There are none. Bring some up with: convoy sandbox up", style="dim")
    table = sheet("cluster", "state", "address", "nodes", "cores", "GPUs", "link", right=("nodes", "cores", "GPUs"))
    for row in clusters:
        colour = {"up": "green", "starting": "yellow"}.get(row.state, "dim")
        name, state = Text(row.name, style="bold"), Text(row.state, style=colour)
        counts = (str(row.nodes), str(row.nodes * row.cpus), str(row.nodes * row.gpus))
        table.add_row(name, state, row.address, *counts, _link(row))
    return table


def sandbox_view(sandbox: Sandbox) -> RenderableType:
    """The clusters, and the site file that knows them."""
    lines = [Text(f"Written: {sandbox.sites_file}")]
    if sandbox.kept:
        lines.append(Text(f"The one that was there is now {sandbox.kept}", style="yellow"))
    return Group(clusters_view(sandbox.clusters), *lines)


def _link(cluster: Cluster) -> str:
    parts = [
        cluster.rate,
        f"{cluster.rtt_ms:g} ms" if cluster.rtt_ms else "",
        f"{cluster.loss:.3%} lost" if cluster.loss else "",
    ]
    return ", ".join(part for part in parts if part) or "unlimited"
