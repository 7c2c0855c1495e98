"""How answers look on a terminal.

A view's module is imported when it first draws: most verbs show one thing, and with --json nothing is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.faces.cli.tables.benchmarks import *  # noqa: F403
    from orchestrator.faces.cli.tables.datasets import *  # noqa: F403
    from orchestrator.faces.cli.tables.images import *  # noqa: F403
    from orchestrator.faces.cli.tables.jobs import *  # noqa: F403
    from orchestrator.faces.cli.tables.places import *  # noqa: F403
    from orchestrator.faces.cli.tables.plans import *  # noqa: F403
    from orchestrator.faces.cli.tables.reports import *  # noqa: F403
    from orchestrator.faces.cli.tables.runs import *  # noqa: F403
    from orchestrator.faces.cli.tables.sandbox import *  # noqa: F403
    from orchestrator.faces.cli.tables.sites import *  # noqa: F403
    from orchestrator.faces.cli.tables.transfers import *  # noqa: F403
    from orchestrator.faces.cli.tables.upkeep import *  # noqa: F403
    from orchestrator.faces.cli.tables.usecases import *  # noqa: F403

_WHERE = {
    "benchmarks": ("benchmark_view",),
    "datasets": (
        "dataset_view",
        "datasets_view",
        "found_view",
        "orphans_view",
        "paths_view",
        "values_view",
        "verification_view",
    ),
    "images": ("images_view",),
    "jobs": (
        "efficiency_view",
        "job_view",
        "jobs_view",
    ),
    "places": (
        "carried_view",
        "folder_view",
        "moved_view",
        "unwanted_view",
        "usage_view",
    ),
    "plans": ("plan_view",),
    "reports": ("report_view",),
    "runs": (
        "run_view",
        "runs_view",
    ),
    "sandbox": (
        "clusters_view",
        "sandbox_view",
    ),
    "sites": (
        "decisions_view",
        "findings_view",
        "identity_view",
        "site_view",
        "sites_view",
    ),
    "transfers": ("transfers_view",),
    "upkeep": (
        "pins_view",
        "rules_view",
        "upkeep_plan_view",
        "upkeep_view",
    ),
    "usecases": (
        "usecase_view",
        "usecases_view",
    ),
}
"""Module -> its views."""

_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
__all__ = tuple(_MODULE_OF)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

        def view(*values: Any, **choices: Any) -> Any:
            return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)(*values, **choices)

        return view
