"""What a run leaves for people and machines: an HTML report, its pictures, and an RO-Crate."""

from __future__ import annotations

import getpass
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from metadata.errors import ConflictError, MiddlewareError
from metadata.history import RunRecord, StepRecord, TaskFile, TaskRecord
from metadata.records import FileRecord
from orchestrator.operations.accounting import efficiency_of
from orchestrator.operations.data.fetching import fetch_file
from orchestrator.operations.workspace import Workspace
from orchestrator.plans import Plan
from orchestrator.reports.pictures import Picture
from orchestrator.version import convoy_version, versions
from orchestrator.workflows import Output

_PATIENCE_S = 5.0
"""What jobs used is good to know, but no report waits longer for a site to tell."""
_LARGEST_BYTES = 20_000_000
_MEDIA_TYPES = ("image/", "application/json", "text/")


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where everything lies."""

    run: str
    page: Path
    """The HTML report."""
    pictures: tuple[Path, ...]
    crate: Path | None
    """The RO-Crate's folder; None when nothing was carried out."""
    withheld: tuple[str, ...] = ()
    """Results that are not shown, each with the reason: data that may not leave their site, for one."""


@dataclass(kw_only=True)
class _Shown:
    """Results that were fetched for the report."""

    pictures: list[Picture] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    by_hash: dict[str, Path] = field(default_factory=dict)
    withheld: list[str] = field(default_factory=list)


def write_report(workspace: Workspace, run_id: str, *, folder: Path | None = None) -> Report:
    """The run's report, pictures and crate lie in `folder`, or below the home's `reports`.

    Raises NotFoundError. Results that may not leave their sites are left out and named.
    """
    from orchestrator.report import render_report  # noqa: PLC0415 - the template engine would slow every other verb's start

    record = workspace.history.run(run_id)
    plan = Plan.model_validate(record.plan)
    target = (folder or workspace.settings.home / "reports" / record.id).resolve()
    target.mkdir(parents=True, exist_ok=True)
    shown = _fetched(workspace, record, plan, target / "pictures")
    page = target / "report.html"
    used = efficiency_of(workspace, record, within_s=_PATIENCE_S)
    html = render_report(record, plan, pictures=shown.pictures, versions=versions(), efficiency=used)
    page.write_text(html, encoding="utf-8")
    return Report(
        run=record.id,
        page=page,
        pictures=tuple(path for path in shown.paths if path.suffix in (".png", ".svg", ".jpg")),
        crate=_crate(record, plan, target / "crate", shown.by_hash),
        withheld=tuple(shown.withheld),
    )


def _crate(record: RunRecord, plan: Plan, folder: Path, files: Mapping[str, Path]) -> Path | None:
    from metadata.provenance import write_crate  # noqa: PLC0415 - its library takes a third of a second to load

    text = io.StringIO()
    YAML(typ="safe").dump(plan.workflow, text)
    try:
        write_crate(
            record, folder, workflow=text.getvalue(), version=convoy_version(), files=files, operator=getpass.getuser()
        )
    except ConflictError:
        return None
    return folder


def _fetched(workspace: Workspace, record: RunRecord, plan: Plan, folder: Path) -> _Shown:
    shown = _Shown()
    for step, task, name, output, file in _reported(record, plan):
        place = folder / "-".join(part for part in (step.name, task.label or str(task.position), file.name) if part)
        found = FileRecord(
            dataset=record.id,
            path=f"{step.name}/{task.position}/{file.name}",
            size_bytes=file.size_bytes,
            sha256=file.sha256,
        )
        try:
            fetch_file(workspace, found, place)
        except MiddlewareError as error:
            shown.withheld.append(error.message)
            continue
        shown.paths.append(place)
        shown.by_hash[file.sha256] = place
        shown.pictures.append(
            Picture(
                title=name, step=step.name, task=task.label, media_type=output.media_type, content=place.read_bytes()
            )
        )
    return shown


def _reported(record: RunRecord, plan: Plan) -> Iterator[tuple[StepRecord, TaskRecord, str, Output, TaskFile]]:
    """The results to show: those that the workflow names as its own first, then the others, last step first."""
    named = set(plan.outputs.values())
    rows = [
        (step, task, name, plan.step(step.name).outputs[name], file)
        for step in reversed(record.steps)
        for task in step.tasks
        for name, files in task.outputs.items()
        for file in files
    ]
    rows = [row for row in rows if row[3].report or (f"{row[0].name}.{row[2]}" in named and row[3].media_type)]
    rows = [row for row in rows if row[3].media_type.startswith(_MEDIA_TYPES) and row[4].size_bytes <= _LARGEST_BYTES]
    yield from sorted(rows, key=lambda row: (f"{row[0].name}.{row[2]}" not in named,))
