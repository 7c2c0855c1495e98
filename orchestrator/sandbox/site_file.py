"""The site file for practice clusters, and whether one that is there may be replaced. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from orchestrator.sandbox.clusters import Cluster

_MARK = "# Written by `convoy sandbox up`, which replaces it unless somebody edits it: "
_SHORT = 12
_MEMORY_MIB = 4000
"""Of a node, as slurm.sh says."""


def render(clusters: Sequence[Cluster], *, ssh_config: Path) -> str:
    """`sites.yaml` for these clusters. The first one has no GPU label, so that workflows have something to choose."""
    lines = ["sites:"]
    for number, cluster in enumerate(clusters):
        nodes, cores, gpus = cluster.nodes, cluster.nodes * cluster.cpus, cluster.nodes * cluster.gpus
        lines += [
            f"  {cluster.name}:",
            f"    description: practice SLURM cluster, {cluster.nodes} nodes with {cluster.cpus} cores",
            f"    labels: [cpu{', gpu' if number or len(clusters) == 1 else ''}]",
            "    workdir: /home/alice/convoy",
            "    scheduler: slurm",
            f'    runner: {{type: ssh, options: {{host: {cluster.name}, config_file: "{ssh_config}"}}}}',
            "    storage: command",
            "    # Its GPUs are only names, so there is no driver to bring into images.",
            "    container: {type: apptainer, options: {nv: false}}",
            f"    slots: {{nodes: {nodes}, cpus: {cores}, memory: {nodes * _MEMORY_MIB}MiB, gpus: {gpus}}}",
        ]
    body = "\n".join(lines) + "\n"
    return f"{_MARK}{_digest(body)}\n{body}"


def is_untouched(text: str) -> bool:
    """True when `render` wrote the text, and nobody changed it since."""
    first, _, body = text.partition("\n")
    return first == _MARK + _digest(body)


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_SHORT]
