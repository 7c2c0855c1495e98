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
    from orchestrator.operations.data import *  # noqa: F403
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
    "data": (
        "Carried",
        "DatasetView",
        "Orphan",
        "Entry",
        "Named",
        "Reader",
        "Sighting",
        "Unwanted",
        "Upkeep",
        "UpkeepPlan",
        "Usage",
        "Verification",
        "Watch",
        "add_data",
        "clean_data",
        "add_rule",
        "apply_rules",
        "copy_data",
        "find_data",
        "get_data",
        "list_data",
        "list_folder",
        "list_pins",
        "list_rules",
        "measure_usage",
        "move_data",
        "open_data",
        "pin_data",
        "put_data",
        "remove_data",
        "remove_rule",
        "show_data",
        "stat_data",
        "tag_data",
        "unpin_data",
        "verify_data",
        "watch_data",
    ),
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
