"""Sites as people see them."""

from __future__ import annotations

from rich.console import Console

from orchestrator.faces.cli.tables.sites import site_view, sites_view
from orchestrator.sites import Site

CLUSTER = Site.model_validate({"workdir": "w", "scheduler": "slurm", "runner": "ssh"})


def test_a_cluster_is_said_to_run_jobs_by_its_scheduler() -> None:
    """And not by this machine, in the list as in the whole."""
    console = Console(width=120)
    with console.capture() as shown:
        console.print(sites_view({"agh": CLUSTER, "here": Site.model_validate({"workdir": "w"})}))
        console.print(site_view(CLUSTER, name="agh"))
    agh, here = (next(line for line in shown.get().splitlines() if line.startswith(name)) for name in ("agh", "here"))
    assert "slurm over ssh" in agh
    assert "local" in here
    assert shown.get().count("slurm over ssh") == 2
