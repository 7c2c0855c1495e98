"""How answers look on a terminal."""

from orchestrator.faces.cli.tables.benchmarks import benchmark_view
from orchestrator.faces.cli.tables.datasets import (
    dataset_view,
    datasets_view,
    found_view,
    orphans_view,
    paths_view,
    values_view,
    verification_view,
)
from orchestrator.faces.cli.tables.images import images_view
from orchestrator.faces.cli.tables.jobs import efficiency_view, job_view, jobs_view
from orchestrator.faces.cli.tables.places import carried_view, folder_view, moved_view, unwanted_view, usage_view
from orchestrator.faces.cli.tables.plans import plan_view
from orchestrator.faces.cli.tables.reports import report_view
from orchestrator.faces.cli.tables.runs import run_view, runs_view
from orchestrator.faces.cli.tables.sandbox import clusters_view, sandbox_view
from orchestrator.faces.cli.tables.sites import decisions_view, findings_view, identity_view, site_view, sites_view
from orchestrator.faces.cli.tables.transfers import transfers_view
from orchestrator.faces.cli.tables.upkeep import pins_view, rules_view, upkeep_plan_view, upkeep_view
from orchestrator.faces.cli.tables.usecases import usecase_view, usecases_view

__all__ = [
    "benchmark_view", "carried_view", "clusters_view", "dataset_view", "datasets_view", "decisions_view",
    "efficiency_view", "findings_view", "folder_view", "found_view", "identity_view", "images_view", "job_view",
    "jobs_view", "moved_view", "orphans_view", "paths_view", "pins_view", "plan_view", "report_view",
    "rules_view", "run_view", "runs_view", "sandbox_view", "site_view", "sites_view", "transfers_view", "unwanted_view",
    "upkeep_plan_view", "upkeep_view", "usage_view", "usecase_view", "usecases_view", "values_view",
    "verification_view",
]  # fmt: skip
