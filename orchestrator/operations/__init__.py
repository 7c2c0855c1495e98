"""THE verbs. Every face (command line, REST, Python) calls these and nothing else.

A verb's module is imported when the verb is first asked for: a run shall not wait for what only reports need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.operations.access import *  # noqa: F403
    from orchestrator.operations.accounting import *  # noqa: F403
    from orchestrator.operations.benchmarks import *  # noqa: F403
    from orchestrator.operations.data.adding import *  # noqa: F403
    from orchestrator.operations.data.cleaning import *  # noqa: F403
    from orchestrator.operations.data.copying import *  # noqa: F403
    from orchestrator.operations.data.errands import *  # noqa: F403
    from orchestrator.operations.data.fetching import *  # noqa: F403
    from orchestrator.operations.data.keeping import *  # noqa: F403
    from orchestrator.operations.data.looking import *  # noqa: F403
    from orchestrator.operations.data.passing import *  # noqa: F403
    from orchestrator.operations.data.putting import *  # noqa: F403
    from orchestrator.operations.data.reading import *  # noqa: F403
    from orchestrator.operations.data.removing import *  # noqa: F403
    from orchestrator.operations.data.verifying import *  # noqa: F403
    from orchestrator.operations.data.watching import *  # noqa: F403
    from orchestrator.operations.images import *  # noqa: F403
    from orchestrator.operations.job_records import *  # noqa: F403
    from orchestrator.operations.jobs import *  # noqa: F403
    from orchestrator.operations.logs import *  # noqa: F403
    from orchestrator.operations.planning import *  # noqa: F403
    from orchestrator.operations.reports import *  # noqa: F403
    from orchestrator.operations.runs import *  # noqa: F403
    from orchestrator.operations.sandbox import *  # noqa: F403
    from orchestrator.operations.setup import *  # noqa: F403
    from orchestrator.operations.sites import *  # noqa: F403
    from orchestrator.operations.transfers import *  # noqa: F403
    from orchestrator.operations.usecases import *  # noqa: F403
    from orchestrator.operations.workspace import *  # noqa: F403
    from staging.upkeep import UpkeepPlan as UpkeepPlan

_WHERE = {
    "access": (
        "Identity",
        "KeyDecision",
        "Prompter",
        "Question",
        "UnknownKey",
        "login_site",
        "logout_site",
        "run_command",
        "trust_site",
    ),
    "accounting": ("RunEfficiency", "TaskEfficiency", "efficiency"),
    "benchmarks": ("LinkBenchmark", "Timing", "bench_transfer", "draw_benchmark"),
    "data.adding": ("add_data",),
    "data.cleaning": ("Orphan", "clean_data"),
    "data.copying": ("Named", "copy_data", "move_data"),
    "data.errands": ("Carried",),
    "data.fetching": ("get_data",),
    "data.keeping": (
        "Upkeep",
        "UpkeepPlan",
        "add_rule",
        "apply_rules",
        "list_pins",
        "list_rules",
        "pin_data",
        "remove_rule",
        "unpin_data",
    ),
    "data.looking": (
        "DatasetView",
        "Entry",
        "Usage",
        "find_data",
        "list_data",
        "list_folder",
        "measure_usage",
        "show_data",
        "stat_data",
        "tag_data",
    ),
    "data.passing": ("copy_through",),
    "data.putting": ("put_data",),
    "data.reading": ("Reader", "open_data"),
    "data.removing": ("Unwanted", "remove_data"),
    "data.verifying": ("Verification", "verify_data"),
    "data.watching": ("Sighting", "Watch", "watch_data"),
    "images": (
        "ImageView",
        "build_image",
        "convert_image",
        "import_image",
        "list_images",
        "push_image",
        "verify_image",
    ),
    "job_records": ("JobAccount", "JobRecord"),
    "jobs": (
        "JobOutput",
        "abort_job",
        "delete_job",
        "job_output",
        "job_status",
        "list_jobs",
        "resume_job",
        "submit_job",
        "wait_job",
    ),
    "logs": ("Log", "logs"),
    "planning": ("check_workflow", "plan", "saved_plan"),
    "reports": ("Report", "write_report"),
    "runs": (
        "cancel",
        "create_run",
        "list_runs",
        "newest",
        "progress",
        "resume",
        "retry",
        "show",
        "start",
        "to_resume",
    ),
    "sandbox": (
        "DEFAULT_CLUSTERS",
        "Cluster",
        "LinkShape",
        "Sandbox",
        "sandbox_down",
        "sandbox_status",
        "sandbox_up",
    ),
    "setup": ("init", "schema"),
    "sites": ("Finding", "list_sites", "show_site", "test_site"),
    "transfers": ("TransferView", "cancel_transfers", "list_transfers", "pause_transfers", "resume_transfers"),
    "usecases": ("DemoData", "list_usecases", "make_demo_data", "show_usecase", "usecase_workflow"),
    "workspace": ("Workspace",),
}
"""Module -> what it offers to faces."""

_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
__all__ = tuple(_MODULE_OF)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
        # All of them at once: the module `logs` must not stand where the verb `logs` is looked for.
        globals().update({other: getattr(module, other) for other in _WHERE[_MODULE_OF[name]]})
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
